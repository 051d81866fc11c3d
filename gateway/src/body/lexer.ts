import { HearthError } from '../errors.ts'
import { ControlFinder } from './control.ts'

/** Strings that are longer than this are searched natively; for shorter ones the calls would cost more than they save. */
const shortBytes = 256
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
/** What a byte is inside of a string: 0 plain, 1 the end or an escape, 2 a control character. Texts are full of escapes. */
const classes = new Uint8Array(256).fill(2, 0, 0x20)
classes[quote] = 1
classes[backslash] = 1
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
  readonly #controls: ControlFinder
  /** The next quote and the next backslash from somewhere before `at`; searched anew only once passed. */
  #nextQuote = -1
  #nextBackslash = -1
  /** What closes each level. */
  readonly #closers = new Uint8Array(depthMax + 1)
  #step = atStart
  #depthBefore = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.until = bytes.length + 1
    this.#controls = new ControlFinder(bytes)
  }

  /** Steps over the quote that comes next; `closeString` walks the rest. */
  protected openString(): void {
    this.at += 1
    this.escaped = false
  }

  /** Walks on in the string; whether it came to its end before `until`. */
  protected closeString(): boolean {
    const { bytes, until } = this
    const { length } = bytes
    let at = this.at
    let searchAt = Math.min(at + shortBytes, length)
    for (;;) {
      while (at < searchAt && classes[bytes[at] ?? 0] === 0) at += 1
      if (at === searchAt) at = this.#skipPlain(at)
      else if (bytes[at] === backslash) at = this.#escape(at + 1) + 1
      else if (bytes[at] === quote) break
      else throw invalid('has a control character in a string', at)
      searchAt = Math.min(at + shortBytes, length)
      if (at < until) continue
      this.at = at
      return false
    }
    this.at = at + 1
    return true
  }

  /** The place of the next quote, backslash or control character, or `until`. */
  #skipPlain(at: number): number {
    const stop = Math.min(this.#quoteFrom(at), this.#backslashFrom(at))
    if (stop === this.bytes.length) throw invalid('ends inside a string', this.bytes.length)
    return Math.max(at, this.#controls.find(at, Math.min(stop, this.until)))
  }

  #quoteFrom(at: number): number {
    if (this.#nextQuote < at) this.#nextQuote = this.#find(quote, at)
    return this.#nextQuote
  }

  #backslashFrom(at: number): number {
    if (this.#nextBackslash < at) this.#nextBackslash = this.#find(backslash, at)
    return this.#nextBackslash
  }

  /** The place of the next `byte`, or the end of the body. */
  #find(byte: number, at: number): number {
    const found = this.bytes.indexOf(byte, at)
    return found < 0 ? this.bytes.length : found
  }

  /** Checks the escape whose letter stands at `at`; returns the place of its last byte. */
  #escape(at: number): number {
    this.escaped = true
    const letter = this.bytes[at] ?? 0
    if (escapes[letter] === 1) return at
    if (letter !== 0x75) throw invalid('has an unknown escape in a string', at)
    const unit = this.#unit(at)
    if (unit < 0xd800 || unit > 0xdfff) return at + 4
    const isPair = unit < 0xdc00 && this.bytes[at + 5] === backslash && this.bytes[at + 6] === 0x75
    const low = isPair ? this.#unit(at + 6) : 0
    // Engines carry half a pair as far as their tokenizer, which fails on it.
    if (low < 0xdc00 || low > 0xdfff) throw invalid('has half of a surrogate pair in a string', at)
    return at + 10
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
    if (this.isNext(comma)) return true
    const isObject = this.#closers[this.depth] === closeBrace
    if (this.isClosed()) return false
    throw this.unexpected(isObject ? '"," or "}"' : '"," or "]"')
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
