import { HearthError } from '../../errors.ts'
import { Splices } from './splices.ts'

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a
const openBrace = 0x7b
const nothing = Buffer.alloc(0)

/** What a byte outside of a string does; all others are stepped over. */
const opens = 1
const closes = 2
const begins = 3
const roleOf = new Uint8Array(256)
for (const byte of Buffer.from('{[')) roleOf[byte] = opens
for (const byte of Buffer.from('}]')) roleOf[byte] = closes
roleOf[quote] = begins

/** A name or an account of tokens that is longer is none. */
const heldBytesMax = 64 * 1024

/**
 * Follows one JSON object as its bytes come in, in any pieces and with little memory: whether it is whole, with nothing
 * behind it, and what its own `model` and `usage` are. Strings and brackets are what it goes by; it is no judge of the rest.
 */
export class JsonDocument {
  /** The object `usage`, once it came. */
  usage: Buffer | undefined
  readonly #modelToken: Buffer
  readonly #splices = new Splices()
  /** Bytes of a key, a text or the usage of the first level that goes on in the next piece. */
  #held: Buffer = nothing
  #depth = 0
  /** In a string below the first level, and there behind a backslash. */
  #isInString = false
  #isEscaped = false
  #isWhole = false
  #isKeyNext = true
  #key = ''

  /** `modelToken` is the public name as a JSON string: it goes out in the place of the engine's. */
  constructor(modelToken: Buffer) {
    this.#modelToken = modelToken
  }

  get isWhole(): boolean {
    return this.#isWhole
  }

  /**
   * Takes the next bytes and returns those that may go on, under the public name of the model. Throws
   * `engine_bad_answer` for what is no JSON object, or comes behind it.
   */
  feed(piece: Buffer): Buffer {
    const bytes = this.#held.length === 0 ? piece : Buffer.concat([this.#held, piece])
    let at = 0
    while (at < bytes.length) {
      const next = this.#depth > 1 ? this.#passNested(bytes, at) : this.#passFirstLevel(bytes, at)
      if (next < 0) break
      at = next
    }
    this.#held = at < bytes.length ? bytes.subarray(at) : nothing
    if (this.#held.length > heldBytesMax) throw bad('has a text or an account of tokens without end')
    return this.#splices.applyTo(at < bytes.length ? bytes.subarray(0, at) : bytes)
  }

  /** Takes what comes at `at`, and returns the place behind it; -1 where it does not end in these bytes. */
  #passFirstLevel(bytes: Buffer, at: number): number {
    const byte = bytes[at] ?? 0
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return at + 1
    if (this.#isWhole) throw bad('goes on after its end')
    if (this.#depth === 0 && byte !== openBrace) throw bad('is no JSON object')
    const role = roleOf[byte]
    if (role === begins) return this.#passText(bytes, at)
    if (role === opens) return this.#open(bytes, at)
    if (role === closes) {
      this.#depth = 0
      this.#isWhole = true
    } else this.#isKeyNext = byte !== colon && (this.#isKeyNext || byte === 0x2c)
    return at + 1
  }

  /** A key or a text of the first level. */
  #passText(bytes: Buffer, at: number): number {
    const end = endOfString(bytes, at)
    if (end < 0) return -1
    if (this.#isKeyNext) this.#key = end - at === 7 ? bytes.toString('latin1', at + 1, end - 1) : ''
    else if (this.#key === 'model' && !bytes.subarray(at, end).equals(this.#modelToken))
      this.#splices.add(at, end, this.#modelToken)
    return end
  }

  #open(bytes: Buffer, at: number): number {
    if (this.#depth === 0 || this.#key !== 'usage' || bytes[at] !== openBrace) {
      this.#depth += 1
      return at + 1
    }
    const end = endOfNested(bytes, at)
    if (end > 0) this.usage = Buffer.from(bytes.subarray(at, end))
    return end
  }

  /** Steps through what stands below the first level, as far as these bytes go. */
  #passNested(bytes: Buffer, from: number): number {
    let at = from
    while (at < bytes.length) {
      if (this.#isInString) {
        at = this.#passNestedString(bytes, at)
        continue
      }
      while (at < bytes.length && roleOf[bytes[at] ?? 0] === 0) at += 1
      const role = roleOf[bytes[at] ?? 0]
      at += 1
      if (role === begins) this.#isInString = true
      else if (role === opens) this.#depth += 1
      else if (role === closes) {
        this.#depth -= 1
        if (this.#depth === 1) return at
      }
    }
    return bytes.length
  }

  #passNestedString(bytes: Buffer, from: number): number {
    const start = this.#isEscaped ? from + 1 : from
    this.#isEscaped = false
    for (let at = start; ; at += 1) {
      const end = bytes.indexOf(quote, at)
      const stop = end < 0 ? bytes.length : end
      const isEscaped = slashesBefore(bytes, stop, start) % 2 === 1
      if (end < 0) this.#isEscaped = isEscaped
      else if (isEscaped) {
        at = end
        continue
      } else this.#isInString = false
      return end < 0 ? bytes.length : end + 1
    }
  }
}

/** The place behind the string that begins at `at`; -1 where it does not end in these bytes. */
export function endOfString(bytes: Buffer, at: number): number {
  for (let end = bytes.indexOf(quote, at + 1); end >= 0; end = bytes.indexOf(quote, end + 1))
    if (slashesBefore(bytes, end, at + 1) % 2 === 0) return end + 1
  return -1
}

/** The place behind the object or list that begins at `at`; -1 where it does not end in these bytes. */
function endOfNested(bytes: Buffer, from: number): number {
  let depth = 0
  for (let at = from; at < bytes.length; at += 1) {
    const role = roleOf[bytes[at] ?? 0]
    if (role === opens) depth += 1
    else if (role === begins) {
      const end = endOfString(bytes, at)
      if (end < 0) return -1
      at = end - 1
    } else if (role === closes) {
      depth -= 1
      if (depth === 0) return at + 1
    }
  }
  return -1
}

/** How many backslashes stand right before `end`, counted back to `start` at most. */
function slashesBefore(bytes: Buffer, end: number, start: number): number {
  let at = end
  while (at > start && bytes[at - 1] === backslash) at -= 1
  return end - at
}

function bad(what: string): HearthError {
  return new HearthError('engine_bad_answer', { detail: `The answer of the engine ${what}` })
}
