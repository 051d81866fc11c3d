import type { Env } from '../config.ts'

/** The exit codes of every verb. */
export const exitCode = {
  ok: 0,
  failure: 1,
  usage: 2,
  config: 3,
  auth: 4,
  unreachable: 5,
  timeout: 6,
  limited: 7,
} as const

/** What a verb may touch of the world. */
export interface Terminal {
  readonly env: Env
  out(text: string): void
  err(text: string): void
  nowMs(): number
}

/** Words on the command line that make no sense; exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly help: string | undefined
  constructor(message: string, help?: string) {
    super(message)
    this.help = help
  }
}
