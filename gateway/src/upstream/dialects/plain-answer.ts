import { HearthError } from '../../errors.ts'
import { JsonDocument } from './document.ts'

const nothing = Buffer.alloc(0)

/**
 * A plain answer on its way: its first bytes are held, so that most failures come before anything of it went out; what
 * is no longer than that is held whole.
 */
export class PlainAnswer {
  readonly #document: JsonDocument
  readonly #heldBytesMax: number
  #held: Buffer[] = []
  #heldBytes = 0
  #isPassing = false

  constructor(modelToken: Buffer, heldBytesMax: number) {
    this.#document = new JsonDocument(modelToken)
    this.#heldBytesMax = heldBytesMax
  }

  get usage(): Buffer | undefined {
    return this.#document.usage
  }

  /** Takes the next bytes; returns what may go out now. */
  piece(bytes: Buffer): Buffer {
    const passed = this.#document.feed(bytes)
    if (this.#isPassing) return passed
    this.#held.push(passed)
    this.#heldBytes += passed.length
    return this.#heldBytes > this.#heldBytesMax ? this.#release() : nothing
  }

  /** What was held until the end, where that was all of it. Throws `engine_died` where the document is not whole. */
  end(): Buffer {
    if (!this.#document.isWhole)
      throw new HearthError('engine_died', { detail: 'The answer of the engine ended within its JSON document' })
    return this.#release()
  }

  #release(): Buffer {
    const held = this.#held.length === 1 ? (this.#held[0] ?? nothing) : Buffer.concat(this.#held)
    this.#held = []
    this.#isPassing = true
    return held
  }
}
