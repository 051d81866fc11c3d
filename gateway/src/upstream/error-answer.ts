import type { HearthError } from '../errors.ts'
import { errorBodyBytesMax, fromEngine } from './engine-error.ts'
import type { ModelNames } from './shaper.ts'

/** An answer of an engine that is an error: as much of its body as anybody reads. */
export class ErrorAnswer {
  readonly #names: ModelNames
  readonly #status: number
  readonly #contentType: string
  readonly #chunks: Buffer[] = []
  #bytes = 0

  constructor(status: number, contentType: string, names: ModelNames) {
    this.#names = names
    this.#status = status
    this.#contentType = contentType
  }

  /** Whether no more of it is read. */
  get isFull(): boolean {
    return this.#bytes >= errorBodyBytesMax
  }

  add(chunk: Buffer): void {
    const kept = chunk.subarray(0, errorBodyBytesMax - this.#bytes)
    this.#chunks.push(kept)
    this.#bytes += kept.length
  }

  /** What it says, as one of ours. */
  toError(): HearthError {
    const body = Buffer.concat(this.#chunks)
    return fromEngine({ status: this.#status, contentType: this.#contentType, body }, this.#names)
  }
}
