import { HearthError } from '../errors.ts'

/** What no program writes, and some read slowly or not at all. */
const numberBytesMax = 128
/** White space is walked over in one go, so it must not be endless. */
const spaceBytesMax = 64 * 1024
export const depthMax = 64
export const keysMax = 100_000
export const quote = 0x22
export const openBrace = 0x7b
export const closeBrace = 0x7d
export const openBracket = 0x5b
export const closeBracket = 0x5d
const comma = 0x2c
const colon = 0x3a
const backslash = 0x5c
/** 1 at the letters that may follow a backslash, beside `u`. */
const escapes = new Uint8Array(256)
for (const letter of Buffer.from('"\\/bfnrt')) escapes[letter] = 1
const literals = new Map(['true', 'false', 'null'].map((text) => [text.charCodeAt(0), Buffer.from(text)]))

/** Where a walk over a value stands that nobody looks into. */
const atStart = 0
const atItem = 1
const inString = 2
const atKey = 3
const inKey = 4
const afterOpening = 5
const afterValue = 6

/**
 * A body as a row of tokens; `at` is the byte that comes next. What may be long can be walked in pieces: it stops at
 * `until` and goes on from there when it is called again. Throws `invalid_json` where RFC 8259 is broken, and at what
 * parsers read in different ways: halves of surrogate pairs, numbers that no double holds or that are absurdly long,
 * more than 64 levels or 100,000 keys.
 */
export class Lexer {
  protected readonly bytes: Buffer
  protected at = 0
  /** A whole number always, as all places here: the loops are much slower on others. */
  protected until: number
  /** Whether the string that was walked over last holds an escape. */
  protected escaped = false
  protected depth = 0
  protected keysSeen = 0
  /** The body four bytes at a time, from the beginning of its memory; the body begins at `#offset` of that. */
  readonly #words: Int32Array
  readonly #offset: number
  /** What closes each level. */
  readonly #closers = new Uint8Array(depthMax + 1)
  #step = atStart
  #depthBefore = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.until = bytes.length + 1
    this.#words = new Int32Array(bytes.buffer, 0, bytes.buffer.byteLength >> 2)
    this.#offset = bytes.byteOffset
  }

  /** Steps over the quote that comes next; `closeString` walks the rest. */
  protected openString(): void {
    this.at += 1
    this.escaped = false
  }

  /** Walks on in the string; whether it came to its end before `until`. */
  protected closeString(): boolean {
    const { bytes, until } = this
    const offset = this.#offset
    let at = this.at
    while (at < until) {
      const byte = bytes[at] ?? 0
      if (byte === quote) {
        this.at = at + 1
        return true
      }
      if (byte === backslash) {
        this.escaped = true
        at = escapes[bytes[at + 1] ?? 0] === 1 ? at + 2 : this.#passUnit(at + 1)
      } else if (byte < 0x20) throw this.#wrongByte(at)
      else {
        at += 1
        if (((at + offset) & 3) === 0) at = this.#skipPlain(at)
      }
    }
    this.at = at
    return false
  }

  #wrongByte(at: number): HearthError {
    const { length } = this.bytes
    return at < length ? invalid('has a control character in a string', at) : invalid('ends inside a string', length)
  }

  /**
   * The place of the first word of memory from `at` on, where one begins, that holds a quote, a backslash or a control
   * character, or of `until`. The sums find the bytes that are zero, or below 0x20, and at times their neighbour.
   */
  #skipPlain(at: number): number {
    const offset = this.#offset
    const words = this.#words
    const end = (Math.min(this.until, this.bytes.length) + offset) >> 2
    let place = (at + offset) >> 2
    for (; place < end; place += 1) {
      const word = words[place] ?? 0
      const quotes = word ^ 0x22222222
      const backslashes = word ^ 0x5c5c5c5c
      const found =
        ((word - 0x20202020) & ~word) | ((quotes - 0x01010101) & ~quotes) | ((backslashes - 0x01010101) & ~backslashes)
      if ((found & 0x80808080) !== 0) break
    }
    return (place << 2) - offset
  }

  /** Checks an escape of more than a letter, whose `u` stands at `at`; returns the place behind it. */
  #passUnit(at: number): number {
    if (this.bytes[at] !== 0x75) throw invalid('has an unknown escape in a string', at)
    const unit = this.#unit(at)
    if (unit < 0xd800 || unit > 0xdfff) return at + 5
    const isPair = unit < 0xdc00 && this.bytes[at + 5] === backslash && this.bytes[at + 6] === 0x75
    const low = isPair ? this.#unit(at + 6) : 0
    // Engines carry half a pair as far as their tokenizer, which fails on it.
    if (low < 0xdc00 || low > 0xdfff) throw invalid('has half of a surrogate pair in a string', at)
    return at + 11
  }

  /** The number behind the `u` at `at`. */
  #unit(at: number): number {
    let unit = 0
    for (let digit = at + 1; digit <= at + 4; digit += 1) {
      const value = hexValue(this.bytes[digit] ?? 0)
      if (value < 0) throw invalid('has a broken \\u escape in a string', at)
      unit = unit * 16 + value
    }
    return unit
  }

  protected number(): void {
    const start = this.at
    if (this.bytes[this.at] === 0x2d) this.at += 1
    if (this.bytes[this.at] === 0x30) this.at += 1
    else this.#digits(start)
    if (this.bytes[this.at] === 0x2e) {
      this.at += 1
      this.#digits(start)
    }
    const exponent = this.bytes[this.at]
    if (exponent !== 0x65 && exponent !== 0x45) return
    this.at += 1
    const sign = this.bytes[this.at]
    if (sign === 0x2b || sign === 0x2d) this.at += 1
    this.#digits(start)
    if (!Number.isFinite(this.numberFrom(start))) throw invalid('has a number that is too large', start)
  }

  /** The number that was just walked over. */
  protected numberFrom(start: number): number {
    return Number(this.bytes.toString('latin1', start, this.at))
  }

  #digits(numberStart: number): void {
    const start = this.at
    while (isDigit(this.bytes[this.at])) {
      this.at += 1
      if (this.at - numberStart > numberBytesMax)
        throw invalid(`has a number of more than ${numberBytesMax} characters`, numberStart)
    }
    if (this.at === start) throw this.unexpected('a digit')
  }

  protected literal(): void {
    const literal = literals.get(this.bytes[this.at] ?? 0)
    if (literal === undefined) throw this.unexpected('a value')
    for (let index = 1; index < literal.length; index += 1) {
      if (this.bytes[this.at + index] !== literal[index]) throw this.unexpected('a value')
    }
    this.at += literal.length
  }

  /** Steps into the object or list whose first byte comes next. */
  protected descend(): void {
    if (this.depth >= depthMax) throw invalid(`is nested deeper than ${depthMax} levels`, this.at)
    this.depth += 1
    this.#closers[this.depth] = this.bytes[this.at] === openBrace ? closeBrace : closeBracket
    this.at += 1
  }

  /** Takes what closes the object or list, if that comes next. */
  protected isClosed(): boolean {
    if (!this.isNext(this.#closers[this.depth] ?? 0)) return false
    this.depth -= 1
    return true
  }

  /** Takes the comma between two members, if one comes next; else the object or list must close. */
  protected isContinued(): boolean {
    this.skipSpace()
    const byte = this.bytes[this.at]
    const closer = this.#closers[this.depth]
    if (byte !== comma && byte !== closer) throw this.unexpected(closer === closeBrace ? '"," or "}"' : '"," or "]"')
    this.at += 1
    if (byte === comma) return true
    this.depth -= 1
    return false
  }

  /** Steps over the quote of a key, and counts it. */
  protected openKey(): void {
    this.skipSpace()
    if (this.bytes[this.at] !== quote) throw this.unexpected('a key in quotes')
    this.keysSeen += 1
    if (this.keysSeen > keysMax) throw invalid(`has more than ${keysMax} keys`, this.at)
    this.openString()
  }

  /** Takes the colon behind a key, and the space behind it. */
  protected passColon(): void {
    if (!this.isNext(colon)) throw this.unexpected('":"')
    this.skipSpace()
  }

  /** Steps over the value that comes next, or goes on with it; whether it came to its end before `until`. */
  protected passValue(): boolean {
    if (this.#step === atStart) this.#depthBefore = this.depth
    for (;;) {
      if (this.#step === afterValue && this.depth === this.#depthBefore) {
        this.#step = atStart
        return true
      }
      if (!this.#passStep()) return false
    }
  }

  /** Takes one token; false where it paused. */
  #passStep(): boolean {
    switch (this.#step) {
      case atStart:
        this.#passFirst()
        return true
      case atItem:
        if (this.at >= this.until) return false
        this.skipSpace()
        this.#passFirst()
        return true
      case inString:
        if (!this.closeString()) return false
        this.#step = afterValue
        return true
      case atKey:
        if (this.at >= this.until) return false
        this.openKey()
        this.#step = inKey
        return true
      case inKey:
        if (!this.closeString()) return false
        this.passColon()
        this.#passFirst()
        return true
      case afterOpening:
        this.#step = this.isClosed() ? afterValue : this.#nextStep()
        return true
      default:
        this.#step = this.isContinued() ? this.#nextStep() : afterValue
        return true
    }
  }

  #nextStep(): number {
    return this.#closers[this.depth] === closeBrace ? atKey : atItem
  }

  /** The first byte of a value says what it is. */
  #passFirst(): void {
    const byte = this.bytes[this.at]
    if (byte === quote) {
      this.openString()
      this.#step = inString
    } else if (byte === openBrace || byte === openBracket) {
      this.descend()
      this.#step = afterOpening
    } else {
      if (byte === 0x2d || isDigit(byte)) this.number()
      else this.literal()
      this.#step = afterValue
    }
  }

  /** Takes `byte` (after white space) where it comes next. */
  protected isNext(byte: number): boolean {
    this.skipSpace()
    if (this.bytes[this.at] !== byte) return false
    this.at += 1
    return true
  }

  protected skipSpace(): void {
    const start = this.at
    for (;;) {
      const byte = this.bytes[this.at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
      this.at += 1
      if (this.at - start > spaceBytesMax)
        throw invalid(`has more than ${spaceBytesMax} bytes of white space in a row`, start)
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

export function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

function hexValue(byte: number): number {
  if (isDigit(byte)) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
