import { HearthError } from '../errors.ts'
import { ControlFinder } from './control.ts'

/** Strings that are longer than this are searched natively; for shorter ones the calls would cost more than they save. */
const shortBytes = 64
export const quote = 0x22
const backslash = 0x5c
/** 1 at the letters that may follow a backslash; a table, since texts are full of escapes. */
const escapes = new Uint8Array(256)
for (const letter of Buffer.from('"\\/bfnrt')) escapes[letter] = 1
const literals = ['true', 'false', 'null'].map((text) => Buffer.from(text))

/** A body as a row of tokens; `at` is the byte that comes next. Throws `invalid_json` where a token is broken. */
export class Lexer {
  protected readonly bytes: Buffer
  protected at = 0
  readonly #controls: ControlFinder
  /** The next quote and the next backslash from somewhere before `at`; searched anew only once passed. */
  #nextQuote = -1
  #nextBackslash = -1

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.#controls = new ControlFinder(bytes)
  }

  /** Walks over a string; returns whether it holds an escape. */
  protected string(): boolean {
    const bytes = this.bytes
    const { length } = bytes
    let at = this.at + 1
    let escaped = false
    let searchAt = at + shortBytes
    while (at < length) {
      if (at >= searchAt) {
        at = this.#skipPlain(at)
        searchAt = at + shortBytes
      }
      const byte = bytes[at] ?? 0
      if (byte === quote) {
        this.at = at + 1
        return escaped
      }
      if (byte < 0x20) throw invalid('has a control character in a string', at)
      if (byte !== backslash) at += 1
      else {
        escaped = true
        at = this.#escape(at + 1) + 1
        searchAt = at + shortBytes
      }
    }
    throw invalid('ends inside a string', length)
  }

  /** The place of the next quote, backslash or control character. */
  #skipPlain(at: number): number {
    const stop = Math.min(this.#quoteFrom(at), this.#backslashFrom(at))
    if (stop === Number.POSITIVE_INFINITY) throw invalid('ends inside a string', this.bytes.length)
    return this.#controls.find(at, stop)
  }

  #quoteFrom(at: number): number {
    if (this.#nextQuote < at) this.#nextQuote = found(this.bytes.indexOf(quote, at))
    return this.#nextQuote
  }

  #backslashFrom(at: number): number {
    if (this.#nextBackslash < at) this.#nextBackslash = found(this.bytes.indexOf(backslash, at))
    return this.#nextBackslash
  }

  /** Checks the escape whose letter stands at `at`; returns the place of its last byte. */
  #escape(at: number): number {
    const letter = this.bytes[at] ?? 0
    if (letter !== 0x75) {
      if (escapes[letter] !== 1) throw invalid('has an unknown escape in a string', at)
      return at
    }
    for (let digit = at + 1; digit <= at + 4; digit += 1) {
      if (!isHexDigit(this.bytes[digit])) throw invalid('has a broken \\u escape in a string', at)
    }
    return at + 4
  }

  protected number(): void {
    if (this.bytes[this.at] === 0x2d) this.at += 1
    if (this.bytes[this.at] === 0x30) this.at += 1
    else this.#digits()
    if (this.bytes[this.at] === 0x2e) {
      this.at += 1
      this.#digits()
    }
    const exponent = this.bytes[this.at]
    if (exponent !== 0x65 && exponent !== 0x45) return
    this.at += 1
    const sign = this.bytes[this.at]
    if (sign === 0x2b || sign === 0x2d) this.at += 1
    this.#digits()
  }

  #digits(): void {
    const start = this.at
    while (isDigit(this.bytes[this.at])) this.at += 1
    if (this.at === start) throw this.unexpected('a digit')
  }

  protected literal(): void {
    for (const literal of literals) {
      const end = this.at + literal.length
      if (end <= this.bytes.length && this.bytes.compare(literal, 0, literal.length, this.at, end) === 0) {
        this.at = end
        return
      }
    }
    throw this.unexpected('a value')
  }

  /** Takes `byte` (after white space) where it comes next. */
  protected isNext(byte: number): boolean {
    this.skipSpace()
    if (this.bytes[this.at] !== byte) return false
    this.at += 1
    return true
  }

  protected skipSpace(): void {
    for (;;) {
      const byte = this.bytes[this.at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
      this.at += 1
    }
  }

  protected unexpected(wanted: string): HearthError {
    if (this.at >= this.bytes.length) return invalid(`ends where ${wanted} is wanted`)
    return invalid(`has something else than ${wanted}`, this.at)
  }
}

export function invalid(what: string, at?: number): HearthError {
  const where = at === undefined ? '' : ` at byte ${at}`
  return new HearthError('invalid_json', { message: `The body is not valid JSON: it ${what}${where}.` })
}

/** `index` of a search; what was not found is at no place before the end. */
function found(index: number): number {
  return index < 0 ? Number.POSITIVE_INFINITY : index
}

export function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

function isHexDigit(byte: number | undefined): boolean {
  if (byte === undefined) return false
  const lower = byte | 0x20
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66)
}
