import type { AnswerTimeouts } from '../config.ts'

/**
 * The time limits of one answer: each for itself from the key where it has one of its own, else from the model, else
 * from the section of all.
 */
export function timeoutsOf<T extends AnswerTimeouts>(
  section: T,
  model: Partial<AnswerTimeouts> | undefined,
  key: Partial<AnswerTimeouts> | undefined,
): T {
  return { ...section, ...model, ...key }
}
