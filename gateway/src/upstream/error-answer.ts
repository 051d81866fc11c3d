import type { HearthError } from '../errors.ts'
import { errorBodyBytesMax, fromEngine } from './engine-error.ts'

/** An answer of an engine that is an error: as much of its body as anybody reads. */
export class ErrorAnswer {
  readonly #status: number
  readonly #contentType: string
  readonly #chunks: Buffer[] = []
  #bytes = 0

  constructor(status: number, contentType: string) {
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
    return fromEngine({ status: this.#status, contentType: this.#contentType, body: Buffer.concat(this.#chunks) })
  }
}
