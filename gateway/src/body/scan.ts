import { isUtf8 } from 'node:buffer'
import { invalid, isDigit, Lexer, quote } from './lexer.ts'

/** Where a value stands in the body: bytes from `start` up to, not including, `end`. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** A key inside the messages that policy looks at, and where its value stands. */
export interface Mark {
  readonly name: string
  readonly depth: number
  /** Whether it is a key of a content part: `messages[].content[].name`. */
  readonly ofPart: boolean
  readonly value: Span
}

/** What policy needs to know of a body; everything else passes as bytes. */
export interface BodyScan {
  /** Top-level values of the keys asked for, by key. */
  readonly values: ReadonlyMap<string, Span>
  /** Top-level keys that were not asked for. */
  readonly others: readonly string[]
  /** The watched keys inside the messages; what is inside a value comes before it. */
  readonly marks: readonly Mark[]
  /** What to cut so that neither the others nor a part's `uuid` is left, in order, commas included. */
  readonly cuts: readonly Span[]
}

const depthMax = 64
const keysMax = 100_000
/** What a content part may carry, as the name of a key or as its `type`, and the gateway does not let through. */
export const unsupportedContent: ReadonlySet<string> = new Set([
  'video_url',
  'video',
  'audio_url',
  'audio',
  'input_audio',
  'file',
  'input_file',
  'image_embeds',
  'audio_embeds',
  'prompt_embeds',
  'image_pil',
])
/** An engine takes a part's `uuid` for the picture itself, so a guessed one shows or poisons another caller's. */
const cutKey = 'uuid'
const contentKey = 'content'
const watched = new Set(['image_url', 'input_image', 'url', 'type', cutKey, ...unsupportedContent])
/** Most keys are nobody's business, which their length and first letter tell without making a text of them. */
const shapes = Map.groupBy([contentKey, ...watched], (name) => shapeOf(name.charCodeAt(0), name.length))

/**
 * Walks a JSON body once, as bytes: nothing is decoded, so a picture costs no more than its length. Accepts what
 * RFC 8259 accepts and no more: an object at the root, valid UTF-8, at most 64 levels and 100,000 keys. A key of `keys`
 * that stands twice, and a key that policy looks at and is written with escapes, are refused, since the engine might
 * read them in another way. Throws `invalid_json`.
 */
export function scanBody(bytes: Buffer, keys: ReadonlySet<string>): BodyScan {
  if (!isUtf8(bytes)) throw invalid('is not UTF-8')
  return new Walk(bytes, keys).run()
}

/** The value at a span, parsed; for the small values that policy reads. */
export function parseSpan(bytes: Buffer, span: Span): unknown {
  return JSON.parse(bytes.toString('utf8', span.start, span.end))
}

/** One pass over one body by recursive descent; the depth limit bounds the call stack. */
class Walk extends Lexer {
  readonly #keys: ReadonlySet<string>
  readonly #values = new Map<string, Span>()
  readonly #others: string[] = []
  readonly #marks: Mark[] = []
  readonly #cuts: Span[] = []
  #keysSeen = 0
  #inMessages = false
  #inContent = false

  constructor(bytes: Buffer, keys: ReadonlySet<string>) {
    super(bytes)
    this.#keys = keys
  }

  run(): BodyScan {
    this.skipSpace()
    if (this.bytes[this.at] !== 0x7b) throw invalid('has no object at its root', this.at)
    this.#object(1)
    this.skipSpace()
    if (this.at < this.bytes.length) throw invalid('goes on after its end', this.at)
    const cuts = this.#cuts.sort((one, other) => one.start - other.start)
    return { values: this.#values, others: this.#others, marks: this.#marks, cuts }
  }

  #value(depth: number): void {
    const byte = this.bytes[this.at]
    if (byte === quote) this.string()
    else if (byte === 0x7b) this.#object(depth + 1)
    else if (byte === 0x5b) this.#array(depth + 1)
    else if (byte === 0x2d || isDigit(byte)) this.number()
    else this.literal()
  }

  #object(depth: number): void {
    if (depth > depthMax) throw invalid(`is nested deeper than ${depthMax} levels`, this.at)
    this.at += 1
    if (this.isNext(0x7d)) return
    let keptEnd = -1
    let cutFrom = -1
    let cutEnd = -1
    let end = -1
    do {
      this.skipSpace()
      const start = this.at
      const kept = this.#member(depth)
      end = this.at
      // What is cut takes one comma with it: the one before it where something is kept before, else the one after.
      if (kept && cutFrom >= 0) this.#cuts.push({ start: cutFrom, end: keptEnd < 0 ? start : cutEnd })
      if (kept) [keptEnd, cutFrom] = [end, -1]
      else if (cutFrom < 0) cutFrom = keptEnd < 0 ? start : keptEnd
      if (!kept) cutEnd = end
    } while (this.isNext(0x2c))
    if (cutFrom >= 0) this.#cuts.push({ start: cutFrom, end })
    if (!this.isNext(0x7d)) throw this.unexpected('"," or "}"')
  }

  #array(depth: number): void {
    if (depth > depthMax) throw invalid(`is nested deeper than ${depthMax} levels`, this.at)
    this.at += 1
    if (this.isNext(0x5d)) return
    do {
      this.skipSpace()
      this.#value(depth)
    } while (this.isNext(0x2c))
    if (!this.isNext(0x5d)) throw this.unexpected('"," or "]"')
  }

  /** Reads `"key": value`; returns whether it stays in the body. */
  #member(depth: number): boolean {
    if (this.bytes[this.at] !== quote) throw this.unexpected('a key in quotes')
    this.#keysSeen += 1
    if (this.#keysSeen > keysMax) throw invalid(`has more than ${keysMax} keys`, this.at)
    const start = this.at + 1
    const escaped = this.string()
    const end = this.at - 1
    if (!this.isNext(0x3a)) throw this.unexpected('":"')
    this.skipSpace()
    if (depth === 1) return this.#field(this.#name(start, end, escaped), start, escaped)
    if (!this.#inMessages) {
      this.#value(depth)
      return true
    }
    return this.#inner(depth, start, end, escaped)
  }

  /** Reads the value of a top-level key. */
  #field(name: string, keyStart: number, escaped: boolean): boolean {
    const known = this.#keys.has(name)
    if (known && escaped) throw invalid(`writes the key "${name}" with escapes`, keyStart)
    if (known && this.#values.has(name)) throw invalid(`has the key "${name}" twice`, keyStart)
    this.#inMessages = known && name === 'messages'
    const start = this.at
    this.#value(1)
    this.#inMessages = false
    if (known) this.#values.set(name, { start, end: this.at })
    else this.#others.push(name)
    return known
  }

  /** Reads the value of a key inside the messages. */
  #inner(depth: number, keyStart: number, keyEnd: number, escaped: boolean): boolean {
    const name = escaped ? this.#name(keyStart, keyEnd, true) : this.#innerName(keyStart, keyEnd)
    const isWatched = name !== contentKey && watched.has(name)
    const isContent = depth === 3 && name === contentKey
    if (escaped && (isWatched || isContent)) throw invalid(`writes the key "${name}" with escapes`, keyStart)
    const ofPart = depth === 5 && this.#inContent
    if (depth === 3) this.#inContent = isContent
    const start = this.at
    this.#value(depth)
    if (isWatched) this.#marks.push({ name, depth, ofPart, value: { start, end: this.at } })
    return !(ofPart && name === cutKey)
  }

  /** A key inside the messages, or nothing where it is none of those that policy looks at. */
  #innerName(start: number, end: number): string {
    const names = shapes.get(shapeOf(this.bytes[start] ?? 0, end - start))
    return names?.find((name) => this.#isAt(name, start)) ?? ''
  }

  #isAt(name: string, start: number): boolean {
    for (let index = 0; index < name.length; index += 1) {
      if (this.bytes[start + index] !== name.charCodeAt(index)) return false
    }
    return true
  }

  #name(start: number, end: number, escaped: boolean): string {
    if (escaped) return String(JSON.parse(`"${this.bytes.toString('utf8', start, end)}"`))
    return this.bytes.toString('utf8', start, Math.min(end, start + 512))
  }
}

function shapeOf(first: number, length: number): number {
  return length * 256 + first
}
