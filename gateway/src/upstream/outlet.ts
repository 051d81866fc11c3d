import type { ServerResponse } from 'node:http'
import { HearthError } from '../errors.ts'

export interface OutletOptions {
  readonly response: ServerResponse
  /** Longest time a caller may leave a full buffer unread. */
  readonly callerStallMs: number
  /** Most bytes of an answer that are passed on. */
  readonly answerBytesMax: number
  /** The caller's buffer is full: nothing more should come. */
  readonly onFull: () => void
  /** It has room again. */
  readonly onRoom: () => void
  /** The caller left it full for too long. */
  readonly onStall: (error: HearthError) => void
}

/** The caller's end of an answer: counts its bytes, holds it to its limit, and tells when the caller does not keep up. */
export class Outlet {
  readonly #options: OutletOptions
  readonly #onDrain: () => void
  #bytesOut = 0
  #stall: NodeJS.Timeout | undefined

  constructor(options: OutletOptions) {
    this.#options = options
    this.#onDrain = () => this.#drained()
  }

  get bytesOut(): number {
    return this.#bytesOut
  }

  get isFull(): boolean {
    return this.#stall !== undefined
  }

  /** Throws `answer_too_large` where `bytes` more would be too many. */
  check(bytes: number): void {
    const { answerBytesMax } = this.#options
    if (this.#bytesOut + bytes <= answerBytesMax) return
    const detail = `The answer has more than ${answerBytesMax} bytes`
    throw new HearthError('answer_too_large', { source: 'engine', detail })
  }

  /** Throws `answer_too_large`. */
  write(bytes: Buffer): void {
    this.check(bytes.length)
    this.#bytesOut += bytes.length
    const { response, callerStallMs, onFull, onStall } = this.#options
    if (response.write(bytes) || this.#stall !== undefined) return
    const gone = () => onStall(new HearthError('client_gone', { detail: 'The caller stopped reading the answer' }))
    this.#stall = setTimeout(gone, callerStallMs)
    response.once('drain', this.#onDrain)
    onFull()
  }

  /** Nothing more will be written through it. */
  close(): void {
    clearTimeout(this.#stall)
    this.#stall = undefined
    this.#options.response.off('drain', this.#onDrain)
  }

  #drained(): void {
    clearTimeout(this.#stall)
    this.#stall = undefined
    this.#options.onRoom()
  }
}
