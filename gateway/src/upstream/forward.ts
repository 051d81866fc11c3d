import type { ServerResponse } from 'node:http'
import type { AnswerTimeouts, Limits, Timeouts } from '../config.ts'
import { engineRequestHeaders } from './headers.ts'
import type { Heartbeat } from './heartbeat.ts'
import { Relay, type RelayOutcome } from './relay.ts'
import { serverTiming, type Timing } from './server-timing.ts'
import type { Shaper } from './shaper.ts'
import type { Upstream } from './transport.ts'
import type { Carried } from './tunnels.ts'

export interface Attempt {
  readonly upstream: Upstream
  /** A constant of the table of routes. */
  readonly path: string
  readonly body: readonly Buffer[]
  readonly stream: boolean
  readonly requestId: string
  /** W3C trace context for the engine. */
  readonly traceparent: string | undefined
  readonly tracestate: string | undefined
  readonly engineApiKey: string | undefined
  readonly response: ServerResponse
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  readonly timeouts: Pick<Timeouts, keyof AnswerTimeouts | 'callerStallMs'>
  readonly shaper: Shaper
  /** Made before the request waited for its turn; undefined where the answer is no stream. Stopped by whoever made it. */
  readonly heartbeat: Heartbeat | undefined
  /** Told of the time between two reads that brought tokens. */
  readonly onTokenGap: (ms: number) => void
  readonly limits: Pick<Limits, 'answerBytesMax'>
  /** Where the time of this request went; the steps of the attempt are written into it. */
  readonly timing: Timing
  readonly now: () => number
  /** Told which connection carries the request, and after how many milliseconds it had it. */
  readonly onCarried: (carried: Carried, connectMs: number) => void
}

/**
 * Makes one attempt: sends the body to the engine and relays the answer. Resolves when the answer ended; rejects with
 * a HearthError while nothing was sent to the caller. Any abort destroys the connection to the engine.
 */
export function forward(attempt: Attempt): Promise<RelayOutcome> {
  const { upstream, timeouts, stream, body, timing } = attempt
  const startedAt = attempt.now()
  const onCarried = (carried: Carried) => {
    timing.connectMs = attempt.now() - startedAt
    attempt.onCarried(carried, timing.connectMs)
  }
  const relay = new Relay({
    response: attempt.response,
    headers: attempt.headers,
    signal: attempt.signal,
    viaMesh: upstream.viaMesh,
    timing: ({ firstByteMs, firstTokenMs }) => {
      timing.way = upstream.way()
      timing.firstByteMs = (firstByteMs ?? attempt.now() - startedAt) - (timing.connectMs ?? 0)
      if (firstTokenMs !== undefined) timing.firstTokenMs = firstTokenMs
      return serverTiming(timing)
    },
    shaper: attempt.shaper,
    heartbeat: attempt.heartbeat,
    firstByteMs: stream ? timeouts.streamFirstByteMs : timeouts.plainFirstByteMs,
    idleMs: timeouts.idleMs,
    onTokenGap: attempt.onTokenGap,
    callerStallMs: timeouts.callerStallMs,
    answerBytesMax: attempt.limits.answerBytesMax,
    now: attempt.now,
  })
  const headers = engineRequestHeaders({
    requestId: attempt.requestId,
    traceparent: attempt.traceparent,
    tracestate: attempt.tracestate,
    engineApiKey: attempt.engineApiKey,
    bodyBytes: body.reduce((sum, piece) => sum + piece.length, 0),
    stream,
  })
  const { path, signal } = attempt
  upstream.dispatch({ path, headers, body, signal, onCarried }, relay)
  return relay.done
}
