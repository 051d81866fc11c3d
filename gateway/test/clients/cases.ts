import type { Case } from './case.ts'
import { answerCases } from './cases-answers.ts'
import { faultCases } from './cases-faults.ts'
import { refusalCases } from './cases-refusals.ts'

/** All that is asked of every client, under the headings of docs/clients.md. */
export const groups: Readonly<Record<string, readonly Case[]>> = {
  Answers: answerCases,
  Refusals: refusalCases,
  Faults: faultCases,
}
