import type { IncomingMessage } from 'node:http'
import { HearthError } from '../errors.ts'
import type { Reservation } from './budget.ts'

export interface ReadLimits {
  readonly bytesMax: number
  /** Longest silence between two pieces. */
  readonly idleMs: number
  /** Longest time for the whole body. */
  readonly totalMs: number
}

/** First size of the buffer for a body that does not announce its length. */
const chunkedBytes = 64 * 1024

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
  const target = new GrowingBuffer(announced > 0 ? announced : chunkedBytes, held, limits.bytesMax)
  await fill(incoming, target, limits, signal)
  return target.bytes()
}

function tooLarge(bytesMax: number): HearthError {
  return new HearthError('body_too_large', {
    message: `The body is larger than the ${bytesMax} bytes that are read here.`,
  })
}

function fill(
  incoming: IncomingMessage,
  target: GrowingBuffer,
  limits: ReadLimits,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const idle = setTimeout(() => settle(new HearthError('body_timeout')), limits.idleMs)
  const total = setTimeout(() => settle(new HearthError('body_timeout')), limits.totalMs)
  const onData = (chunk: Buffer) => {
    idle.refresh()
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
    clearTimeout(idle)
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

/** A buffer that is reserved as it grows and never holds more than its reservation. */
class GrowingBuffer {
  readonly #held: Reservation
  readonly #bytesMax: number
  #buffer: Buffer
  #length = 0

  constructor(bytes: number, held: Reservation, bytesMax: number) {
    held.growTo(bytes)
    this.#held = held
    this.#bytesMax = bytesMax
    this.#buffer = Buffer.allocUnsafeSlow(bytes)
  }

  append(chunk: Buffer): void {
    const needed = this.#length + chunk.length
    if (needed > this.#bytesMax) throw tooLarge(this.#bytesMax)
    if (needed > this.#buffer.length) this.#grow(needed)
    chunk.copy(this.#buffer, this.#length)
    this.#length = needed
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #grow(needed: number): void {
    const bytes = Math.min(Math.max(needed, this.#buffer.length * 2), this.#bytesMax)
    this.#held.growTo(bytes)
    const larger = Buffer.allocUnsafeSlow(bytes)
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}
