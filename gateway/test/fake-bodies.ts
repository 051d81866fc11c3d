import { createHash, type Hash } from 'node:crypto'

/** What is left of a request body once it has streamed by. */
export interface BodyCount {
  readonly bytes: number
  readonly sha256: string
  /** The base64 text of each `data:…;base64,` URI in the body, hashed: it stays the same when the JSON around it is rebuilt. */
  readonly dataUris: readonly { readonly bytes: number; readonly sha256: string }[]
}

const MARK = Buffer.from(';base64,')
const QUOTE = 0x22

/** Counts and hashes a body chunk by chunk; holds no more than a few bytes of it. */
export class BodyCounter {
  #bytes = 0
  readonly #hash = createHash('sha256')
  readonly #dataUris: { bytes: number; sha256: string }[] = []
  #open: { bytes: number; hash: Hash } | undefined
  #tail = Buffer.alloc(0)

  get bytes(): number {
    return this.#bytes
  }

  add(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#hash.update(chunk)
    let at = 0
    while (at < chunk.length) at = this.#open === undefined ? this.#seek(chunk, at) : this.#take(chunk, at)
  }

  /** The counts; call it once, after the last chunk. */
  finish(): BodyCount {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex'), dataUris: this.#dataUris }
  }

  #seek(chunk: Buffer, from: number): number {
    const text = Buffer.concat([this.#tail, chunk.subarray(from)])
    const found = text.indexOf(MARK)
    if (found < 0) {
      this.#tail = Buffer.from(text.subarray(Math.max(0, text.length - MARK.length + 1)))
      return chunk.length
    }
    const next = from + found + MARK.length - this.#tail.length
    this.#tail = Buffer.alloc(0)
    this.#open = { bytes: 0, hash: createHash('sha256') }
    return next
  }

  #take(chunk: Buffer, from: number): number {
    const open = this.#open
    if (open === undefined) return from
    const quote = chunk.indexOf(QUOTE, from)
    const end = quote < 0 ? chunk.length : quote
    open.bytes += end - from
    open.hash.update(chunk.subarray(from, end))
    if (quote < 0) return chunk.length
    this.#dataUris.push({ bytes: open.bytes, sha256: open.hash.digest('hex') })
    this.#open = undefined
    return end
  }
}
