import type { IncomingMessage } from 'node:http'
import { HearthError } from '../errors.ts'
import { BodyBuffer, tooLarge } from './body-buffer.ts'
import type { Reservation } from './budget.ts'

export interface ReadLimits {
  readonly bytesMax: number
  /** Over so long a body must keep up its pace, on average. */
  readonly idleMs: number
  /** The pace: a slower body is given up, since it holds its room from the start. */
  readonly bytesPerSecondMin: number
  /** Longest time for the whole body. */
  readonly totalMs: number
}

/**
 * Reads a whole request body into one buffer that is reserved before it is filled. Counts what arrives; an announced
 * length is reserved at once, so that a body that finds no room is refused before it is read. Throws
 * `body_too_large`, `body_timeout`, `body_budget`, `encoded_body`, `client_gone` or the reason of `signal`; the caller
 * releases the reservation.
 */
export async function readBody(
  incoming: IncomingMessage,
  held: Reservation,
  limits: ReadLimits,
  signal: AbortSignal,
): Promise<Buffer> {
  signal.throwIfAborted()
  if (incoming.headers['content-encoding'] !== undefined) throw new HearthError('encoded_body')
  const announced = Number(incoming.headers['content-length'] ?? 0)
  if (announced > limits.bytesMax) throw tooLarge(limits.bytesMax)
  const target = new BodyBuffer(announced, held, limits.bytesMax)
  await fill(incoming, target, limits, signal)
  return target.finish()
}

function fill(incoming: IncomingMessage, target: BodyBuffer, limits: ReadLimits, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const pace = setInterval(
    keepPace(target, limits, () => settle(new HearthError('body_timeout'))),
    limits.idleMs,
  )
  const total = setTimeout(() => settle(new HearthError('body_timeout')), limits.totalMs)
  const onData = (chunk: Buffer) => {
    try {
      target.append(chunk)
    } catch (error) {
      settle(error)
    }
  }
  const onEnd = () => settle(incoming.complete ? undefined : new HearthError('client_gone'))
  const onAbort = () => settle(signal.reason)
  const onGone = () => settle(new HearthError('client_gone'))
  const settle = (error: unknown) => {
    clearInterval(pace)
    clearTimeout(total)
    signal.removeEventListener('abort', onAbort)
    incoming.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone)
    // A socket that is torn down later must not turn its error into an uncaught one.
    incoming.on('error', () => {})
    if (error === undefined) resolve()
    else reject(error)
  }
  signal.addEventListener('abort', onAbort)
  incoming.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
  return promise
}

/** Asked every `idleMs`: gives up where less than the pace wants has arrived since it was asked last. */
function keepPace(target: BodyBuffer, { idleMs, bytesPerSecondMin }: ReadLimits, giveUp: () => void): () => void {
  // Silence is too slow whatever the pace.
  const wanted = Math.max(1, (bytesPerSecondMin * idleMs) / 1000)
  let before = 0
  return () => {
    if (target.length - before < wanted) giveUp()
    before = target.length
  }
}
