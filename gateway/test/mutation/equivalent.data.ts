import type { Equivalent } from './mutants.ts'

const frontDoor = 'gateway/src/edge/front-door.ts'
const precheck = 'gateway/src/edge/precheck.ts'
const verdict = 'gateway/src/edge/verdict.ts'
const always = 'A request that a server has read always has it; the default is for the compiler alone.'

/** Mutants that change nothing that anybody could see, each with the reason; a test holds that each is still one. */
export const equivalents: readonly Equivalent[] = [
  {
    file: frontDoor,
    line: "function judge({ method = '', url = '', httpVersion, rawHeaders }: IncomingMessage): HearthError | undefined {",
    was: "''",
    text: "'mutant'",
    reason: always,
  },
  {
    file: frontDoor,
    line: "function complaint({ code = '', message }: NodeJS.ErrnoException): HearthError {",
    was: "''",
    text: "'mutant'",
    reason: 'Every complaint of the parser and of the clock has a code; the default is for the compiler alone.',
  },
  {
    file: frontDoor,
    line: "answerBare(socket, note(judge(incoming) ?? new HearthError('bad_request_line'), incoming, options))",
    was: "'bad_request_line'",
    text: "''",
    reason: 'The verdict refuses every CONNECT; the default is for the compiler alone.',
  },
  {
    file: precheck,
    line: "const { method = '', url = '' } = c.env.incoming",
    was: "''",
    text: "'mutant'",
    reason: always,
  },
  {
    file: verdict,
    line: "const name = (rawHeaders[at] ?? '').toLowerCase()",
    was: "''",
    text: "'mutant'",
    reason: 'Names and values come in pairs and the index stays within them; the default is for the compiler alone.',
  },
  {
    file: verdict,
    line: "const value = rawHeaders[at + 1] ?? ''",
    was: "''",
    text: "'mutant'",
    reason: 'Names and values come in pairs and the index stays within them; the default is for the compiler alone.',
  },
]
