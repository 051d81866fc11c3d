import type { ServerResponse } from 'node:http'
import type { AnswerTimeouts, Limits, Timeouts } from '../config.ts'
import { engineRequestHeaders } from './headers.ts'
import type { Heartbeat } from './heartbeat.ts'
import { Relay, type RelayOutcome } from './relay.ts'
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
  /** Milliseconds that the request waited for its turn. */
  readonly queuedMs: number
  readonly now: () => number
  /** Told which connection carries the request, and after how many milliseconds it had it. */
  readonly onCarried: (carried: Carried, connectMs: number) => void
}

/**
 * Makes one attempt: sends the body to the engine and relays the answer. Resolves when the answer ended; rejects with
 * a HearthError while nothing was sent to the caller. Any abort destroys the connection to the engine.
 */
export function forward(attempt: Attempt): Promise<RelayOutcome> {
  const { upstream, timeouts, stream, body } = attempt
  const startedAt = attempt.now()
  let connectMs: number | undefined
  const onCarried = (carried: Carried) => {
    connectMs = attempt.now() - startedAt
    attempt.onCarried(carried, connectMs)
  }
  const relay = new Relay({
    response: attempt.response,
    headers: attempt.headers,
    signal: attempt.signal,
    viaMesh: upstream.viaMesh,
    timing: ({ firstByteMs }) => serverTiming(attempt, connectMs ?? 0, firstByteMs ?? attempt.now() - startedAt),
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
    engineApiKey: attempt.engineApiKey,
    bodyBytes: body.reduce((sum, piece) => sum + piece.length, 0),
    stream,
  })
  const { path, signal } = attempt
  upstream.dispatch({ path, headers, body, signal, onCarried }, relay)
  return relay.done
}

/** Where the time went until the engine's head was here, as browsers show it. Names no host and no address. */
function serverTiming({ upstream, queuedMs }: Attempt, connectMs: number, firstByteMs: number): string {
  const way = upstream.way()
  const dur = (ms: number) => `dur=${Math.round(ms * 10) / 10}`
  const mesh =
    way === undefined ? [] : [`mesh;desc="${way.path}"${way.rttMs === undefined ? '' : `;${dur(way.rttMs)}`}`]
  const steps = [`queue;${dur(queuedMs)}`, `connect;${dur(connectMs)}`, `engine;${dur(firstByteMs - connectMs)}`]
  return [...mesh, ...steps].join(', ')
}
