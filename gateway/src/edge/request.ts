import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { Caller } from '../keys/keyring.ts'
import type { RequestNotes } from '../log/request-record.ts'
import type { Timing } from '../upstream/server-timing.ts'
import type { Trace } from './trace.ts'
import type { WholeDeadline } from './whole-deadline.ts'

/**
 * What belongs to one request on its way through the middlewares. `headers` is the one collector of answer headers:
 * hot routes write to the Node response themselves, so headers kept elsewhere would be lost.
 */
export interface RequestState {
  readonly id: string
  readonly startedAt: number
  readonly headers: Record<string, string>
  /** Ends when the caller leaves, the whole deadline passes or the process drains; its reason is a HearthError. */
  readonly abort: AbortController
  /** The clock of the whole request; it ends `abort`, and stands still in the line to an engine. */
  readonly deadline: WholeDeadline
  readonly trace: Trace
  caller: Caller | undefined
  /** Where its time went so far, for `Server-Timing`. */
  readonly timing: Timing
  /** Whether the head of an event stream left before anything was known of its end: a failure is then an event of it. */
  stream: { readonly begunEarly: boolean } | undefined
  /** Fields of the one log record of this request. */
  readonly log: RequestNotes
}

export interface AppEnv {
  Bindings: HttpBindings
  Variables: { request: RequestState }
}

export type AppContext = Context<AppEnv>

/** The headers of every answer, whoever writes it: its name in the log, and that nobody keeps it or guesses its type. */
export function headersOfAll(requestId: string): Record<string, string> {
  return { 'x-request-id': requestId, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }
}
