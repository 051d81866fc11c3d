import type { HearthError } from '../errors.ts'
import { findSchemaProblem } from './caller-schema.ts'
import { checkPictureUrl } from './content.ts'
import { depthMax, invalid, isDigit, keysMax, Lexer, openBrace, openBracket, quote } from './lexer.ts'
import { forbidden, headerNameOf, isOfType, nameOf, refusedKey, wantedOf, wrong, wrongValue } from './refusals.ts'
import type { JsonType, Schema } from './schema.ts'

/** Where a value stands in the body: bytes from `start` up to, not including, `end`. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** A field of the body that reaches the engine under `name`: its value, without what is cut out of it. */
export interface KeptField {
  readonly name: string
  readonly value: Span
  /** In order, inside of `value`, commas included. */
  readonly cuts: readonly Span[]
}

/** What a body holds, read by the schema of its kind. */
export interface BodyScan {
  /** By the engine's name of the field. */
  readonly kept: ReadonlyMap<string, KeptField>
  /** Names of the keys that do not pass, as `messages.name`; not all of very many. */
  readonly dropped: readonly string[]
  /** The urls of the pictures: JSON strings, quotes included. */
  readonly pictures: readonly Span[]
}

const fieldBytesMax = 64 * 1024
const nameBytesMax = 256
const cutsMax = 10_000
const droppedMax = 16
const freeDepthMax = 32
const shownBytesMax = 80
/** Bytes of JSON that one character of a string takes at most. */
const escapeBytes = 6

type Steps<T> = Generator<undefined, T, undefined>

/**
 * One pass over one body by recursive descent along its schema; what no schema describes is stepped over. Pauses by
 * `yield` where the slice ends.
 */
export class Walk extends Lexer {
  readonly #kept = new Map<string, KeptField>()
  readonly #dropped = new Set<string>()
  /** The keys behind `#dropped`, by whose keys they are: the same ones come again and again. */
  readonly #noted = new Map<Schema, Set<string>>()
  readonly #pictures: Span[] = []
  /** The way to the value that is read. */
  readonly #path: (string | number)[] = []
  #cuts: Span[] = []
  /** Where the value stands that an object is unwrapped to. */
  #unwrapped: Span | undefined

  pauseAt(until: number): void {
    this.until = until
  }

  *run(schema: Schema): Steps<BodyScan> {
    this.skipSpace()
    if (this.bytes[this.at] !== openBrace) throw invalid('has no object at its root', this.at)
    yield* this.#object(schema)
    this.skipSpace()
    if (this.at < this.bytes.length) throw invalid('goes on after its end', this.at)
    return { kept: this.#kept, dropped: [...this.#dropped], pictures: this.#pictures }
  }

  /** Reads an object or a list. */
  #container(schema: Schema): Steps<void> {
    const isObject = this.bytes[this.at] === openBrace
    this.#checkType(schema, isObject ? 'object' : 'array', this.at)
    if (!isObject) return this.#array(schema)
    return schema.additionalProperties ? this.#free(schema) : this.#object(schema)
  }

  /** Begins with a value that is neither object nor list; false where it is a string that goes on behind the slice. */
  #openScalar(): boolean {
    const byte = this.bytes[this.at]
    if (byte === quote) {
      this.openString()
      return this.closeString()
    }
    if (byte === 0x2d || isDigit(byte)) this.number()
    else this.literal()
    return true
  }

  #isAtContainer(): boolean {
    const byte = this.bytes[this.at]
    return byte === openBrace || byte === openBracket
  }

  *#object(schema: Schema): Steps<void> {
    const start = this.at
    const isUnwrapped = schema.policy?.unwrap !== undefined
    // At the root nothing is cut: the body is put together anew from its fields.
    const cuts = this.depth === 0 || isUnwrapped ? [] : this.#cuts
    const seen: string[] = []
    this.descend()
    if (!this.isClosed()) yield* this.#members(schema, seen, cuts)
    for (const name of schema.required ?? []) {
      if (!seen.some((one) => engineName(schema, one) === name)) throw this.#missing(schema, name)
    }
    if (isUnwrapped) this.#unwrap(start)
  }

  *#members(schema: Schema, seen: string[], cuts: Span[]): Steps<void> {
    let keptEnd = -1
    let cutFrom = -1
    let cutEnd = -1
    do {
      if (this.at >= this.until) yield
      this.openKey()
      const start = this.at - 1
      while (!this.closeString()) yield
      const name = this.#name(start + 1, this.at - 1)
      this.passColon()
      this.#path.push(name)
      const inner = this.#schemaOf(schema, name, start)
      const valueStart = this.at
      if (inner === undefined) {
        while (!this.passValue()) yield
        this.#noteDropped(schema, name, valueStart)
      } else {
        this.#noteSeen(schema, name, seen, start)
        if (this.#isAtContainer()) yield* this.#container(inner)
        else {
          if (!this.#openScalar()) while (!this.closeString()) yield
          this.#checkScalar(inner, valueStart)
        }
        this.#noteKept(schema, inner, name, valueStart)
      }
      this.#path.pop()
      const end = this.at
      // What is cut takes one comma with it: the one before it where something is kept before, else the one after.
      if (inner !== undefined) {
        if (cutFrom >= 0) cuts.push({ start: cutFrom, end: keptEnd < 0 ? start : cutEnd })
        keptEnd = end
        cutFrom = -1
      } else {
        if (cutFrom < 0) cutFrom = keptEnd < 0 ? start : keptEnd
        cutEnd = end
      }
    } while (this.isContinued())
    if (cutFrom >= 0) cuts.push({ start: cutFrom, end: cutEnd })
    if (cuts.length > cutsMax) throw invalid(`has more than ${cutsMax} keys that are not known here`)
  }

  /** What the value of the key at hand must be; undefined where the key is dropped. Throws where it is refused. */
  #schemaOf({ properties, additionalProperties, policy }: Schema, name: string, keyStart: number): Schema | undefined {
    if (properties !== undefined && Object.hasOwn(properties, name)) {
      // An engine reads it as we do, but whoever writes it so means to be read by some and not by others.
      if (this.escaped) throw invalid(`writes the key "${nameOf(this.#path)}" with escapes`, keyStart)
      return properties[name]
    }
    for (const [code, names] of Object.entries(policy?.refused ?? {})) {
      if (names.includes(name)) throw refusedKey(code, this.#path)
    }
    const isForbidden = policy?.refusedPrefixes?.some((prefix) => name.startsWith(prefix)) === true
    if (isForbidden || additionalProperties === false) throw forbidden(this.#path)
    return undefined
  }

  #noteDropped(parent: Schema, name: string, start: number): void {
    const noted = this.#noted.get(parent)
    if (this.#dropped.size === droppedMax || noted?.has(name) || parent.policy?.silent?.includes(name)) return
    // Null asks for nothing, and clients send back the nulls that they got.
    const isNull = this.at === start + 4 && this.bytes[start] === 0x6e
    if (isNull) return
    this.#dropped.add(headerNameOf(this.#path))
    this.#noted.set(parent, (noted ?? new Set()).add(name))
  }

  /** Notes a key that is kept; one that stands twice, under whatever name, is read by some from the first place. */
  #noteSeen(parent: Schema, name: string, seen: string[], keyStart: number): void {
    if (seen.includes(name)) throw invalid(`has the key "${nameOf(this.#path)}" twice`, keyStart)
    const twin =
      this.depth > 1 ? undefined : seen.find((other) => engineName(parent, other) === engineName(parent, name))
    if (twin !== undefined) throw wrong(this.#path, `stands beside "${twin}", which is the same; wants one of them`)
    seen.push(name)
  }

  #noteKept(parent: Schema, schema: Schema, key: string, start: number): void {
    const value = { start, end: this.at }
    if (parent.policy?.unwrap === key) this.#unwrapped = value
    if (this.depth > 1) return
    if (schema.policy?.large !== true) this.#checkSize(start)
    const cuts = this.#cuts.sort((one, other) => one.start - other.start)
    this.#cuts = []
    const name = engineName(parent, key)
    this.#kept.set(name, { name, value, cuts })
  }

  /** Of the object that was just walked over, leaves the one value that the engine wants in its place. */
  #unwrap(start: number): void {
    const inner = this.#unwrapped
    if (inner === undefined) return
    this.#cuts.push({ start, end: inner.start }, { start: inner.end, end: this.at })
    this.#unwrapped = undefined
  }

  *#array(schema: Schema): Steps<void> {
    const { items = schema, minItems = 0, maxItems = Number.MAX_SAFE_INTEGER } = schema
    const start = this.at
    let count = 0
    this.descend()
    if (!this.isClosed()) {
      do {
        if (count === maxItems) throw wrongValue(this.#path, schema, 'is a longer list')
        if (this.at >= this.until) yield
        this.skipSpace()
        this.#path.push(count)
        const itemStart = this.at
        if (this.#isAtContainer()) yield* this.#container(items)
        else {
          if (!this.#openScalar()) while (!this.closeString()) yield
          this.#checkScalar(items, itemStart)
        }
        this.#path.pop()
        count += 1
      } while (this.isContinued())
    }
    if (count < minItems) throw wrongValue(this.#path, schema, this.#shown(start))
  }

  /** What a caller may fill in as they like, in bounds: engines parse it again, and some hand it to a compiler. */
  *#free(schema: Schema): Steps<void> {
    const start = this.at
    const keysBefore = this.keysSeen
    while (!this.passValue()) yield
    this.#checkSize(start)
    const value = parseSpan(this.bytes, { start, end: this.at })
    if (countKeys(value) !== this.keysSeen - keysBefore)
      throw invalid(`has a key twice inside of "${nameOf(this.#path)}"`, start)
    if (isDeeper(value, freeDepthMax))
      throw wrong(this.#path, `is nested deeper; wants at most ${freeDepthMax} levels of objects and lists`)
    if (typeof schema.additionalProperties === 'object') this.#checkNumbers(schema, schema.additionalProperties, value)
    const problem = schema.policy?.holds === 'json-schema' ? findSchemaProblem(value) : undefined
    if (problem !== undefined) throw wrong(this.#path, problem)
  }

  #checkType(schema: Schema, type: JsonType, start: number): void {
    if (!isOfType(schema, type)) throw wrongValue(this.#path, schema, this.#shown(start))
  }

  #checkSize(start: number): void {
    const bytes = this.at - start
    if (bytes > fieldBytesMax) throw wrong(this.#path, `has ${bytes} bytes; wants at most ${fieldBytesMax}`)
  }

  #checkScalar(schema: Schema, start: number): void {
    const byte = this.bytes[start]
    if (byte === quote) this.#checkString(schema, start)
    else if (byte === 0x2d || isDigit(byte)) {
      if (!isNumber(schema, this.numberFrom(start))) throw wrongValue(this.#path, schema, this.#shown(start))
    } else this.#checkLiteral(schema, start)
  }

  #checkString(schema: Schema, start: number): void {
    this.#checkType(schema, 'string', start)
    const { enum: choices, minLength = 0, maxLength = Number.MAX_SAFE_INTEGER, policy } = schema
    const bytes = this.at - start - 2
    if (policy?.holds === 'picture') {
      checkPictureUrl(this.bytes, start, this.at, this.#path)
      this.#pictures.push({ start, end: this.at })
    }
    if (bytes < minLength || bytes > maxLength * escapeBytes) throw wrongValue(this.#path, schema, this.#shown(start))
    if (choices === undefined && policy?.holds !== 'json-text' && bytes <= maxLength) return
    const text = this.#text(start)
    if (choices?.includes(text) === false || text.length > maxLength)
      throw wrongValue(this.#path, schema, this.#shown(start))
    if (policy?.holds === 'json-text' && isTextDeeper(text, depthMax))
      throw wrong(this.#path, `is nested deeper; wants at most ${depthMax} levels of objects and lists`)
  }

  #checkLiteral(schema: Schema, start: number): void {
    const first = this.bytes[start]
    const value = first === 0x6e ? null : first === 0x74
    this.#checkType(schema, value === null ? 'null' : 'boolean', start)
    if (schema.enum?.includes(value) === false) throw wrongValue(this.#path, schema, this.#shown(start))
  }

  #checkNumbers({ maxProperties = keysMax }: Schema, schema: Schema, value: unknown): void {
    const entries = Object.entries(value ?? {})
    if (entries.length > maxProperties) throw wrong(this.#path, `has more than ${maxProperties} keys`)
    for (const [name, one] of entries) {
      if (typeof one !== 'number' || !isNumber(schema, one))
        throw wrongValue([...this.#path, name], schema, JSON.stringify(one).slice(0, shownBytesMax))
    }
  }

  #missing(schema: Schema, name: string): HearthError {
    const path = [...this.#path, name]
    const wanted = schema.properties?.[name]
    return wrong(path, `is missing; wants ${wanted === undefined ? 'it' : wantedOf(wanted)}`)
  }

  /** The value at `start` for a message: the beginning of its text, or its kind where it is not at its end yet. */
  #shown(start: number): string {
    const byte = this.bytes[start]
    if (byte === openBrace) return 'an object'
    if (byte === openBracket) return 'a list'
    return this.bytes.toString('utf8', start, Math.min(this.at, start + shownBytesMax))
  }

  /** The string that was just walked over. */
  #text(start: number): string {
    if (this.escaped) return String(parseSpan(this.bytes, { start, end: this.at }))
    return this.bytes.toString('utf8', start + 1, this.at - 1)
  }

  /** A key as text: all that we know are short and in ASCII, so of others this is only for show. */
  #name(start: number, end: number): string {
    if (this.escaped && end - start <= nameBytesMax * escapeBytes) return this.#text(start - 1)
    return this.bytes.toString('latin1', start, Math.min(end, start + nameBytesMax))
  }
}

function engineName({ properties }: Schema, key: string): string {
  return properties?.[key]?.policy?.aliasOf ?? key
}

function isNumber(schema: Schema, value: number): boolean {
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema
  const isWanted = isOfType(schema, 'number') || (isOfType(schema, 'integer') && Number.isInteger(value))
  return isWanted && value >= minimum && value <= maximum
}

function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value)
  const own = Array.isArray(value) ? 0 : inner.length
  return inner.reduce((sum, one) => sum + countKeys(one), own)
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1))
}

/** Whether brackets outside of strings are nested deeper than `levels`, in a text that need not be whole. */
function isTextDeeper(text: string, levels: number): boolean {
  let depth = 0
  let isInString = false
  for (const [token] of text.matchAll(/["[\]{}]|\\./gs)) {
    if (token === '"') isInString = !isInString
    else if (!isInString && (token === '[' || token === '{')) depth += 1
    else if (!isInString && (token === ']' || token === '}')) depth -= 1
    if (depth > levels) return true
  }
  return false
}

/** The value at a span, parsed; for the small values that policy reads. */
export function parseSpan(bytes: Buffer, span: Span): unknown {
  return JSON.parse(bytes.toString('utf8', span.start, span.end))
}
