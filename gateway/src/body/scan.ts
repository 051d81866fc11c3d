import { isUtf8 } from 'node:buffer'
import { HearthError } from '../errors.ts'

/** Where a value stands in the body: bytes from `start` up to, not including, `end`. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** What policy needs to know of a body; everything else passes as bytes. */
export interface BodyScan {
  /** Top-level values of the keys asked for, by key. */
  readonly values: ReadonlyMap<string, Span>
  /** How many objects inside the body carry a picture (a key `image_url` or `input_image`). */
  readonly pictures: number
}

const depthMax = 64
const quote = 0x22
const backslash = 0x5c
const escapes = new Set(Buffer.from('"\\/bfnrt'))
const pictureKeys = [Buffer.from('image_url'), Buffer.from('input_image')]
const literals = ['true', 'false', 'null'].map((text) => Buffer.from(text))

/**
 * Walks a JSON body once, as bytes: nothing is decoded, so a picture costs no more than its length. Accepts what
 * RFC 8259 accepts and no more: an object at the root, valid UTF-8, at most 64 levels. A key of `keys` that stands
 * twice or is written with escapes is refused, since the engine might read the other one. Throws `invalid_json`.
 */
export function scanBody(bytes: Buffer, keys: ReadonlySet<string>): BodyScan {
  if (!isUtf8(bytes)) throw invalid('is not UTF-8')
  return new Walk(bytes, keys).run()
}

/** The value at a span, parsed; for the small values that policy reads. */
export function parseSpan(bytes: Buffer, span: Span): unknown {
  return JSON.parse(bytes.toString('utf8', span.start, span.end))
}

function invalid(what: string, at?: number): HearthError {
  const where = at === undefined ? '' : ` at byte ${at}`
  return new HearthError('invalid_json', { message: `The body is not valid JSON: it ${what}${where}.` })
}

/** One pass over one body by recursive descent; the depth limit bounds the call stack. */
class Walk {
  readonly #bytes: Buffer
  readonly #keys: ReadonlySet<string>
  readonly #values = new Map<string, Span>()
  #at = 0
  #pictures = 0

  constructor(bytes: Buffer, keys: ReadonlySet<string>) {
    this.#bytes = bytes
    this.#keys = keys
  }

  run(): BodyScan {
    this.#skipSpace()
    if (this.#bytes[this.#at] !== 0x7b) throw invalid('has no object at its root', this.#at)
    this.#object(1)
    this.#skipSpace()
    if (this.#at < this.#bytes.length) throw invalid('goes on after its end', this.#at)
    return { values: this.#values, pictures: this.#pictures }
  }

  #value(depth: number): void {
    const byte = this.#bytes[this.#at]
    if (byte === quote) this.#string()
    else if (byte === 0x7b) this.#object(depth + 1)
    else if (byte === 0x5b) this.#array(depth + 1)
    else if (byte === 0x2d || isDigit(byte)) this.#number()
    else this.#literal()
  }

  #object(depth: number): void {
    if (depth > depthMax) throw invalid(`is nested deeper than ${depthMax} levels`, this.#at)
    this.#at += 1
    if (this.#isNext(0x7d)) return
    do {
      this.#skipSpace()
      const key = this.#key(depth)
      this.#skipSpace()
      const start = this.#at
      this.#value(depth)
      if (key !== undefined) this.#values.set(key, { start, end: this.#at })
    } while (this.#isNext(0x2c))
    if (!this.#isNext(0x7d)) throw this.#unexpected('"," or "}"')
  }

  #array(depth: number): void {
    if (depth > depthMax) throw invalid(`is nested deeper than ${depthMax} levels`, this.#at)
    this.#at += 1
    if (this.#isNext(0x5d)) return
    do {
      this.#skipSpace()
      this.#value(depth)
    } while (this.#isNext(0x2c))
    if (!this.#isNext(0x5d)) throw this.#unexpected('"," or "]"')
  }

  /** Reads `"key":`; returns the key where it stands at the top and policy asked for it. */
  #key(depth: number): string | undefined {
    if (this.#bytes[this.#at] !== quote) throw this.#unexpected('a key in quotes')
    const start = this.#at + 1
    const escaped = this.#string()
    const end = this.#at - 1
    if (!this.#isNext(0x3a)) throw this.#unexpected('":"')
    if (depth > 1) {
      this.#countPicture(start, end)
      return undefined
    }
    return this.#policyKey(start, end, escaped)
  }

  #policyKey(start: number, end: number, escaped: boolean): string | undefined {
    const written = this.#bytes.toString('utf8', start, Math.min(end, start + 512))
    const key = escaped ? String(JSON.parse(`"${this.#bytes.toString('utf8', start, end)}"`)) : written
    if (!this.#keys.has(key)) return undefined
    if (escaped) throw invalid(`writes the key "${key}" with escapes`, start)
    if (this.#values.has(key)) throw invalid(`has the key "${key}" twice`, start)
    return key
  }

  #countPicture(start: number, end: number): void {
    const length = end - start
    for (const name of pictureKeys) {
      if (name.length === length && this.#bytes.compare(name, 0, length, start, end) === 0) this.#pictures += 1
    }
  }

  /** Walks over a string; returns whether it holds an escape. */
  #string(): boolean {
    const bytes = this.#bytes
    const { length } = bytes
    let at = this.#at + 1
    let escaped = false
    for (; at < length; at += 1) {
      const byte = bytes[at] ?? 0
      if (byte === quote) {
        this.#at = at + 1
        return escaped
      }
      if (byte < 0x20) throw invalid('has a control character in a string', at)
      if (byte === backslash) {
        escaped = true
        at = this.#escape(at + 1)
      }
    }
    throw invalid('ends inside a string', length)
  }

  /** Checks the escape whose letter stands at `at`; returns the place of its last byte. */
  #escape(at: number): number {
    const letter = this.#bytes[at] ?? 0
    if (letter !== 0x75) {
      if (!escapes.has(letter)) throw invalid('has an unknown escape in a string', at)
      return at
    }
    for (let digit = at + 1; digit <= at + 4; digit += 1) {
      if (!isHexDigit(this.#bytes[digit])) throw invalid('has a broken \\u escape in a string', at)
    }
    return at + 4
  }

  #number(): void {
    if (this.#bytes[this.#at] === 0x2d) this.#at += 1
    if (this.#bytes[this.#at] === 0x30) this.#at += 1
    else this.#digits()
    if (this.#bytes[this.#at] === 0x2e) {
      this.#at += 1
      this.#digits()
    }
    const exponent = this.#bytes[this.#at]
    if (exponent !== 0x65 && exponent !== 0x45) return
    this.#at += 1
    const sign = this.#bytes[this.#at]
    if (sign === 0x2b || sign === 0x2d) this.#at += 1
    this.#digits()
  }

  #digits(): void {
    const start = this.#at
    while (isDigit(this.#bytes[this.#at])) this.#at += 1
    if (this.#at === start) throw this.#unexpected('a digit')
  }

  #literal(): void {
    for (const literal of literals) {
      const end = this.#at + literal.length
      if (end <= this.#bytes.length && this.#bytes.compare(literal, 0, literal.length, this.#at, end) === 0) {
        this.#at = end
        return
      }
    }
    throw this.#unexpected('a value')
  }

  /** Takes `byte` (after white space) where it comes next. */
  #isNext(byte: number): boolean {
    this.#skipSpace()
    if (this.#bytes[this.#at] !== byte) return false
    this.#at += 1
    return true
  }

  #skipSpace(): void {
    for (;;) {
      const byte = this.#bytes[this.#at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
      this.#at += 1
    }
  }

  #unexpected(wanted: string): HearthError {
    if (this.#at >= this.#bytes.length) return invalid(`ends where ${wanted} is wanted`)
    return invalid(`has something else than ${wanted}`, this.#at)
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

function isHexDigit(byte: number | undefined): boolean {
  if (byte === undefined) return false
  const lower = byte | 0x20
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66)
}
