import { ChoiceParts } from './choice-parts.ts'

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d
const lf = 0x0a
const cr = 0x0d
const nothing = Buffer.alloc(0)

/** Behind so many bytes of a string the native search is faster than a loop. */
const shortBytes = 96

/** A preamble that is shorter is cheaper to read than to compare; a longer one would be much to keep. */
const preambleBytesMin = 48
const preambleBytesMax = 4096

const key = (name: string) => Buffer.from(name)
const keys = {
  choices: key('choices'),
  content: key('content'),
  delta: key('delta'),
  finishReason: key('finish_reason'),
  functionCall: key('function_call'),
  index: key('index'),
  message: key('message'),
  model: key('model'),
  reasoning: key('reasoning'),
  reasoningContent: key('reasoning_content'),
  text: key('text'),
  toolCalls: key('tool_calls'),
  usage: key('usage'),
}
const dataLine = key('data:')

/**
 * Finds the parts of a chunk or of a whole answer that the gateway reads or changes: one walk over the bytes along the
 * shape of OpenAI's answers, which leaves places and makes no values. One walk over a chunk of 250 bytes costs about as
 * much as one native `indexOf`; a walk also knows what stands in a text and what is a key.
 *
 * It is no judge: commas and literals may be anything, but an answer that it reads is closed.
 */
export class AnswerReader {
  /** Where the value of `model` stands, quotes included; -1 where it is no text. */
  modelStart = -1
  modelEnd = -1
  /** Where the object `usage` stands; -1 where there is none. */
  usageStart = -1
  usageEnd = -1
  hasChoices = false
  choiceCount = 0
  /** The first `choiceCount` belong to the answer that was read last. */
  readonly choices: ChoiceParts[] = []
  #bytes: Buffer = nothing
  #at = 0
  #keyLength = 0
  #closed = false
  /** How the last event began, up to its choices: the next one mostly begins with the same bytes. */
  #preamble: Buffer = nothing
  #preambleModelStart = -1
  #preambleModelEnd = -1
  #choicesAt = -1

  /** Reads one event of a stream; false where its data is no object, or not a whole one. */
  readEvent(event: Buffer): boolean {
    const { length } = this.#preamble
    if (length > 0 && event.length > length && event.compare(this.#preamble, 0, length, 0, length) === 0)
      return this.#readOn(event)
    for (let line = 0; line < event.length; line = lineAfter(event, line))
      if (startsWith(event, line, dataLine)) return this.#readFirst(event, line + dataLine.length)
    return false
  }

  #readFirst(event: Buffer, from: number): boolean {
    this.#choicesAt = -1
    if (!this.read(event, from)) return false
    const at = this.#choicesAt
    this.#preamble = at < preambleBytesMin || at > preambleBytesMax ? nothing : Buffer.from(event.subarray(0, at))
    const isNamed = this.modelStart < at
    this.#preambleModelStart = isNamed ? this.modelStart : -1
    this.#preambleModelEnd = this.modelEnd
    return true
  }

  /** Reads what stands behind the preamble. */
  #readOn(event: Buffer): boolean {
    this.#begin(event, this.#preamble.length)
    this.modelStart = this.#preambleModelStart
    this.modelEnd = this.#preambleModelEnd
    return this.#end(this.#choices() && this.#members())
  }

  /** Reads the object that begins at `from`, or behind the white space there; false where it is none, or not whole. */
  read(bytes: Buffer, from = 0): boolean {
    this.#begin(bytes, from)
    this.#skipSpace()
    if (bytes[this.#at] !== openBrace) return this.#end(false)
    this.#at += 1
    return this.#end(this.#members())
  }

  #begin(bytes: Buffer, from: number): void {
    this.modelStart = -1
    this.usageStart = -1
    this.hasChoices = false
    this.choiceCount = 0
    this.#bytes = bytes
    this.#at = from
  }

  #end(isWhole: boolean): boolean {
    this.#bytes = nothing
    return isWhole
  }

  /** The members of the answer itself. */
  #members(): boolean {
    for (let start = this.#nextKey(); start >= 0; start = this.#nextKey()) {
      const at = this.#at
      const length = this.#keyLength
      if (length === 7 && this.#bytes[at] === openBracket && this.#isKey(start, keys.choices)) {
        // An account before them would be lost with the preamble.
        this.#choicesAt = this.usageStart < 0 ? at : -1
        if (!this.#choices()) return false
        continue
      }
      if (!this.#skipValue()) return false
      if (length !== 5) continue
      if (this.#bytes[at] === quote && this.#isKey(start, keys.model)) {
        this.modelStart = at
        this.modelEnd = this.#at
      } else if (this.#bytes[at] === openBrace && this.#isKey(start, keys.usage)) {
        this.usageStart = at
        this.usageEnd = this.#at
      }
    }
    return this.#closed
  }

  #choices(): boolean {
    this.hasChoices = true
    this.#at += 1
    for (;;) {
      this.#skipSpace()
      const byte = this.#bytes[this.#at]
      if (byte === closeBracket) {
        this.#at += 1
        return true
      }
      if (byte === comma) this.#at += 1
      else if (byte === openBrace ? !this.#choice() : !this.#skipValue()) return false
    }
  }

  #choice(): boolean {
    const choice = this.choices[this.choiceCount] ?? new ChoiceParts()
    this.choices[this.choiceCount] = choice
    this.choiceCount += 1
    this.#at += 1
    choice.clear(this.#at)
    for (let start = this.#nextKey(); start >= 0; start = this.#nextKey()) {
      const at = this.#at
      const length = this.#keyLength
      const isMessage =
        (length === 5 && this.#isKey(start, keys.delta)) || (length === 7 && this.#isKey(start, keys.message))
      if (isMessage && this.#bytes[at] === openBrace) {
        if (!this.#message(choice)) return false
        continue
      }
      if (!this.#skipValue()) return false
      if (length === 5 && this.#isKey(start, keys.index)) choice.index = this.#numberAt(at)
      else if (length === 13 && this.#isKey(start, keys.finishReason)) choice.finish.set(this.#bytes, at, this.#at)
      else if (length === 4 && this.#isKey(start, keys.text)) choice.text.set(this.#bytes, at, this.#at)
    }
    return this.#closed
  }

  #message(choice: ChoiceParts): boolean {
    this.#at += 1
    choice.messageStart = this.#at
    for (let start = this.#nextKey(); start >= 0; start = this.#nextKey()) {
      const at = this.#at
      const length = this.#keyLength
      if (!this.#skipValue()) return false
      if (length === 7 && this.#isKey(start, keys.content)) choice.content.set(this.#bytes, at, this.#at, start - 1)
      else if (length === 9 && this.#isKey(start, keys.reasoning)) choice.reasoning.set(this.#bytes, at, this.#at)
      else if (length === 17 && this.#isKey(start, keys.reasoningContent))
        choice.reasoningContent.set(this.#bytes, at, this.#at)
      else if (length === 10 && this.#isKey(start, keys.toolCalls))
        choice.calls ||= this.#bytes[at] === openBracket && this.#at > at + 2
      else if (length === 13 && this.#isKey(start, keys.functionCall)) choice.calls ||= this.#bytes[at] === openBrace
    }
    choice.messageEnd = this.#at - 1
    return this.#closed
  }

  /** Steps to the value of the next member, and returns where its key stands; -1 at the end, or where no key comes. */
  #nextKey(): number {
    const bytes = this.#bytes
    this.#closed = false
    for (;;) {
      this.#skipSpace()
      const byte = bytes[this.#at]
      if (byte === quote) break
      this.#at += 1
      if (byte === comma) continue
      this.#closed = byte === closeBrace
      return -1
    }
    const start = this.#at + 1
    if (!this.#skipString()) return -1
    this.#keyLength = this.#at - 1 - start
    this.#skipSpace()
    if (bytes[this.#at] !== colon) return -1
    this.#at += 1
    this.#skipSpace()
    return start
  }

  #isKey(start: number, name: Buffer): boolean {
    return startsWith(this.#bytes, start, name)
  }

  /** A whole number that is not negative; 0 for anything else. */
  #numberAt(start: number): number {
    let value = 0
    for (let at = start; at < this.#at; at += 1) {
      const digit = (this.#bytes[at] ?? 0) - 0x30
      if (digit < 0 || digit > 9) return 0
      value = value * 10 + digit
    }
    return value
  }

  #skipValue(): boolean {
    const byte = this.#bytes[this.#at]
    if (byte === quote) return this.#skipString()
    if (byte === openBrace || byte === openBracket) return this.#skipNested()
    return this.#skipLiteral()
  }

  #skipLiteral(): boolean {
    const bytes = this.#bytes
    let at = this.#at
    for (; ; at += 1) {
      const byte = bytes[at]
      if (byte === undefined) return false
      if (byte === comma || byte === closeBrace || byte === closeBracket || byte <= 0x20) break
    }
    // What is neither a literal nor a number would be stepped over for ever.
    if (at === this.#at) return false
    this.#at = at
    return true
  }

  #skipNested(): boolean {
    const bytes = this.#bytes
    let depth = 0
    for (;;) {
      const byte = bytes[this.#at]
      if (byte === undefined) return false
      if (byte === quote) {
        if (!this.#skipString()) return false
        continue
      }
      this.#at += 1
      if (byte === openBrace || byte === openBracket) depth += 1
      else if (byte === closeBrace || byte === closeBracket) {
        depth -= 1
        if (depth === 0) return true
      }
    }
  }

  /** Steps over the string whose quote comes next. */
  #skipString(): boolean {
    const bytes = this.#bytes
    const end = Math.min(bytes.length, this.#at + shortBytes)
    for (let at = this.#at + 1; at < end; at += 1) {
      const byte = bytes[at]
      if (byte === quote) {
        this.#at = at + 1
        return true
      }
      if (byte === backslash) at += 1
    }
    return this.#skipLongString()
  }

  #skipLongString(): boolean {
    const bytes = this.#bytes
    for (let at = bytes.indexOf(quote, this.#at + 1); at > 0; at = bytes.indexOf(quote, at + 1)) {
      let slashes = at - 1
      while (bytes[slashes] === backslash) slashes -= 1
      if ((at - slashes) % 2 === 0) continue
      this.#at = at + 1
      return true
    }
    return false
  }

  /** White space of JSON; the begin of a further line of data is white space too, since lines are joined by line ends. */
  #skipSpace(): void {
    const bytes = this.#bytes
    let at = this.#at
    for (; ; at += 1) {
      const byte = bytes[at]
      if ((byte === lf || byte === cr) && startsWith(bytes, at + 1, dataLine)) at += dataLine.length
      else if (byte !== 0x20 && byte !== lf && byte !== cr && byte !== 0x09) break
    }
    this.#at = at
  }
}

function startsWith(bytes: Buffer, at: number, wanted: Buffer): boolean {
  for (let index = 0; index < wanted.length; index += 1) if (bytes[at + index] !== wanted[index]) return false
  return true
}

/** Where the line behind the one at `from` begins: lines end in CR, LF or both. */
function lineAfter(bytes: Buffer, from: number): number {
  let at = from
  while (at < bytes.length && bytes[at] !== lf && bytes[at] !== cr) at += 1
  return at + 1
}
