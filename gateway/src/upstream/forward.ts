import type { ServerResponse } from 'node:http'
import type { Timeouts } from '../config.ts'
import { engineRequestHeaders } from './headers.ts'
import { Relay, type RelayOutcome } from './relay.ts'
import type { Upstream } from './transport.ts'

export interface Attempt {
  readonly upstream: Upstream
  /** A constant of the table of routes. */
  readonly path: string
  readonly body: readonly Buffer[]
  readonly stream: boolean
  readonly requestId: string
  readonly engineApiKey: string | undefined
  readonly response: ServerResponse
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  readonly timeouts: Timeouts
  readonly now: () => number
}

/**
 * Makes one attempt: sends the body to the engine and relays the answer. Resolves when the answer ended; rejects with
 * a HearthError while nothing was sent to the caller. Any abort destroys the connection to the engine.
 */
export function forward(attempt: Attempt): Promise<RelayOutcome> {
  const { upstream, timeouts, stream, body } = attempt
  const relay = new Relay({
    response: attempt.response,
    headers: attempt.headers,
    signal: attempt.signal,
    viaMesh: upstream.viaMesh,
    callerStallMs: timeouts.callerStallMs,
    now: attempt.now,
  })
  const headers = engineRequestHeaders({
    requestId: attempt.requestId,
    engineApiKey: attempt.engineApiKey,
    bodyBytes: body.reduce((sum, piece) => sum + piece.length, 0),
    stream,
  })
  const firstByteMs = stream ? timeouts.streamFirstByteMs : timeouts.plainFirstByteMs
  upstream.dispatch({ path: attempt.path, headers, body, firstByteMs, idleMs: timeouts.idleMs }, relay)
  return relay.done
}
