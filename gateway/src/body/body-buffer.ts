import { HearthError } from '../errors.ts'
import type { Reservation } from './budget.ts'

/** First size of the buffer for a body that does not announce its length. */
const firstBytes = 64 * 1024
/** A body of unknown length grows, and moves into its last place, by so much at a time. */
const stepBytes = 256 * 1024

/**
 * Where a body is put together, within its reservation. It costs memory as bytes arrive and never a second copy: an
 * announced body has its place at once, one of unknown length grows in place and then moves piece by piece into a plain
 * buffer, since the engine of JavaScript reads one that can grow several times slower.
 */
export class BodyBuffer {
  readonly #held: Reservation
  readonly #bytesMax: number
  #place: Place
  #length = 0

  /** `announced` 0: the length is unknown. Throws `body_budget`. */
  constructor(announced: number, held: Reservation, bytesMax: number) {
    this.#held = held
    this.#bytesMax = bytesMax
    const bytes = announced > 0 ? announced : Math.min(firstBytes, bytesMax)
    held.growTo(bytes)
    this.#place = plainPlace(bytes, held)
  }

  get length(): number {
    return this.#length
  }

  /** Throws `body_too_large` or `body_budget`; nothing of the chunk is kept then. */
  append(chunk: Buffer): void {
    const needed = this.#length + chunk.length
    if (needed > this.#bytesMax) throw tooLarge(this.#bytesMax)
    if (needed > this.#place.bytes.length) this.#grow(needed)
    chunk.copy(this.#place.bytes, this.#length)
    this.#length = needed
    freeChunk(chunk)
  }

  /** The whole body; nothing is appended after. It is gone when the reservation is released. */
  finish(): Buffer {
    if (this.#place.store === undefined) return this.#place.bytes.subarray(0, this.#length)
    const last = plainPlace(this.#length, this.#held)
    for (let end = this.#length; end > 0; ) {
      const start = Math.floor((end - 1) / stepBytes) * stepBytes
      this.#place.bytes.copy(last.bytes, start, start, end)
      // From the back, because what can grow can only be cut at its end.
      this.#place.store.resize(start)
      this.#place.bytes = Buffer.from(this.#place.store)
      end = start
    }
    this.#place = last
    return last.bytes
  }

  #grow(needed: number): void {
    const bytes = Math.min(Math.ceil(needed / stepBytes) * stepBytes, this.#bytesMax)
    // One step more than it holds: the one that is in both places during the move.
    this.#held.growTo(bytes + stepBytes)
    const { store, bytes: old } = this.#place
    const grown = store ?? new ArrayBuffer(0, { maxByteLength: this.#bytesMax })
    grown.resize(bytes)
    const place: Place = { bytes: Buffer.from(grown), store: grown }
    if (store === undefined) {
      old.copy(place.bytes, 0, 0, this.#length)
      this.#held.onRelease(() => grown.resize(0))
    }
    this.#place = place
  }
}

/** What Node's parser gave is a copy of its own, and nobody else has it: freed now, it need not be collected. */
function freeChunk({ buffer, length }: Buffer): void {
  if (length === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0)
}

interface Place {
  bytes: Buffer
  /** Set where the place can grow. */
  readonly store: ArrayBuffer | undefined
}

/** Small places are left to the garbage collector, which has them soon. */
function plainPlace(bytes: number, held: Reservation): Place {
  const buffer = Buffer.allocUnsafeSlow(bytes)
  if (bytes > firstBytes) held.onRelease(() => void buffer.buffer.transfer(0))
  return { bytes: buffer, store: undefined }
}

export function tooLarge(bytesMax: number): HearthError {
  return new HearthError('body_too_large', {
    message: `The body is larger than the ${bytesMax} bytes that are read here.`,
  })
}
