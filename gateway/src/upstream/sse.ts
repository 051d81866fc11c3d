import { HearthError } from '../errors.ts'

/**
 * What an event is: `data` for the caller's parser; `quiet` where no parser is told anything (a comment, or fields
 * without data); the terminal `done`; `error`, the engine's report of its own failure.
 */
export type EventKind = 'data' | 'quiet' | 'done' | 'error'

const lf = 0x0a
const cr = 0x0d
const space = 0x20
const colon = 0x3a
const brace = 0x7b
const nothing = Buffer.alloc(0)
const dataField = Buffer.from('data')
const eventField = Buffer.from('event')
const errorName = Buffer.from('error')
const doneData = Buffer.from('[DONE]')
const errorKey = Buffer.from('"error"')
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])

/** An event larger than this is no answer of a language model. */
const eventBytesMax = 4 * 1024 * 1024
/** Enough of an event of several data lines to see what it is. */
const joinedBytesMax = 256

/**
 * Cuts an event stream at the ends of its events without decoding it, so that whatever we add stands between whole
 * events, and tells what each of them is. Lines end as in the standard: with LF, CRLF or CR. Holds back at most one
 * unfinished event. After `add`, `next` moves `start` and `end` from event to event of `bytes`.
 */
export class SseCutter {
  readonly #held = new HeldBytes()
  #bytes: Buffer = nothing
  #start = 0
  #end = 0
  /** Where the line begins whose end is searched from `#searched` on. */
  #line = 0
  #searched = 0
  /** Lines of the event so far, its blank one not among them. */
  #lines = 0
  /** The next CR at or after `#searched`, where one is known: hardly any stream has one. */
  #cr = -1
  /** The last event ended with a CR at the very end of the bytes: an LF may still belong to it. */
  #halfEnd = false
  #begun = false

  /** What was held back with `chunk` behind it, for one round of `next`. */
  add(chunk: Buffer): Buffer {
    this.#bytes = this.#held.add(chunk)
    if (!this.#begun) this.#begin()
    this.#start = 0
    this.#cr = this.#bytes.indexOf(cr, this.#searched)
    return this.#bytes
  }

  /** Begin of the event, or of what is held back. */
  get start(): number {
    return this.#start
  }

  /** The place after the event. */
  get end(): number {
    return this.#end
  }

  /** Bytes of an event that has not ended. */
  get bytesHeld(): number {
    return this.#held.length - this.#end
  }

  /** Goes to the next whole event; undefined when the rest is not whole. Throws `engine_bad_answer` for one past 4 MiB. */
  next(): EventKind | undefined {
    this.#start = this.#end
    if (this.#halfEnd && this.#takeHalfEnd()) return 'quiet'
    for (let at = this.#lineEnd(); at >= 0; at = this.#lineEnd()) {
      const isBlank = at === this.#line
      if (this.#bytes[at] === cr && at + 1 === this.#bytes.length && !this.#endsByCr(at, isBlank)) break
      const after = this.#afterLineEnd(at)
      this.#line = after
      this.#searched = after
      if (isBlank) return this.#finish(after)
      this.#lines += 1
    }
    if (this.bytesHeld > eventBytesMax) throw tooLong()
    this.#holdRest()
    return undefined
  }

  /** Keeps nothing but the unfinished event: a silent stream may be silent for long. */
  #holdRest(): void {
    this.#held.drop(this.#end)
    this.#line -= this.#end
    this.#searched -= this.#end
    this.#end = 0
    this.#bytes = nothing
  }

  #finish(end: number): EventKind {
    const kind = kindOf(this.#bytes, this.#start, end, this.#lines)
    this.#end = end
    this.#lines = 0
    return kind
  }

  /** Leaves out a mark of byte order: it means nothing where something of ours comes before it. */
  #begin(): void {
    const bytes = this.#bytes
    const isMark = startsWith(bytes, 0, byteOrderMark)
    this.#begun = isMark || byteOrderMark.indexOf(bytes) !== 0
    if (!isMark) return
    this.#held.drop(byteOrderMark.length)
    this.#bytes = bytes.subarray(byteOrderMark.length)
    this.#searched = 0
  }

  /** The place of the next end of a line, or -1. */
  #lineEnd(): number {
    const at = this.#bytes.indexOf(lf, this.#searched)
    if (this.#cr < 0) {
      if (at < 0) this.#searched = this.#bytes.length
      return at
    }
    if (this.#cr < this.#searched) this.#cr = this.#bytes.indexOf(cr, this.#searched)
    const end = this.#cr >= 0 && (at < 0 || this.#cr < at) ? this.#cr : at
    if (end < 0) this.#searched = this.#bytes.length
    return end
  }

  /** The place after a line that ends at `at`. */
  #afterLineEnd(at: number): number {
    const bytes = this.#bytes
    return bytes[at] === cr && bytes[at + 1] === lf ? at + 2 : at + 1
  }

  /**
   * Whether the CR at the very end of the bytes ends an event by itself. In a stream of CRLF its LF is on the way, and
   * waited for; in one of CR alone nothing may come for long.
   */
  #endsByCr(at: number, isBlank: boolean): boolean {
    this.#searched = at
    this.#halfEnd = isBlank && this.#bytes[at - 1] === cr
    return this.#halfEnd
  }

  /** An LF behind the CR that ended an event belongs to that: it ends no line of its own. */
  #takeHalfEnd(): boolean {
    // The bytes of this round are those that the CR ended; the LF can only begin the next ones.
    if (this.#end > 0 || this.#bytes.length === 0) return false
    this.#halfEnd = false
    if (this.#bytes[0] !== lf) return false
    this.#line = 1
    this.#searched = 1
    this.#end = 1
    return true
  }
}

/**
 * The bytes of an unfinished event. Room doubles, or a large event in small pieces would be copied once a piece; bytes
 * are only added behind, since what was dropped may still be on its way to the caller.
 */
class HeldBytes {
  #room: Buffer = nothing
  #from = 0
  #to = 0

  get length(): number {
    return this.#to - this.#from
  }

  /** All that is held, with `chunk` behind it. */
  add(chunk: Buffer): Buffer {
    const { length } = this
    if (length === 0) {
      this.#room = chunk
      this.#from = 0
      this.#to = chunk.length
      return chunk
    }
    if (this.#to + chunk.length > this.#room.length) {
      const larger = Buffer.allocUnsafeSlow(2 * (length + chunk.length))
      this.#room.copy(larger, 0, this.#from, this.#to)
      this.#room = larger
      this.#from = 0
      this.#to = length
    }
    chunk.copy(this.#room, this.#to)
    this.#to += chunk.length
    return this.#room.subarray(this.#from, this.#to)
  }

  /** Lets go of the first `count` bytes. */
  drop(count: number): void {
    this.#from += count
    if (this.length === 0) this.#room = nothing
  }
}

/** What the event is that has `lines` lines and a blank one. */
function kindOf(bytes: Buffer, start: number, end: number, lines: number): EventKind {
  // Nearly every event is one line of data.
  if (lines === 1 && isField(bytes, start, dataField)) return kindOfData(bytes, start + dataField.length, end)
  return lines === 0 ? 'quiet' : kindOfLines(bytes.subarray(start, end))
}

/** `at` is the place after the name of the field. */
function kindOfData(bytes: Buffer, at: number, end: number): EventKind {
  let value = bytes[at] === colon ? at + 1 : at
  while (isSpace(bytes[value])) value += 1
  if (startsWith(bytes, value, doneData)) return 'done'
  if (bytes[value] !== brace) return 'data'
  let key = value + 1
  while (key < end && (isSpace(bytes[key]) || isLineEnd(bytes[key]))) key += 1
  return startsWith(bytes, key, errorKey) ? 'error' : 'data'
}

/** An event of several lines: its data are the values of its data lines, with an LF between. */
function kindOfLines(event: Buffer): EventKind {
  let data: string | undefined
  for (let line = 0; line < event.length; line = afterLine(event, line)) {
    if (isField(event, line, eventField) && isErrorName(event, line + eventField.length)) return 'error'
    if (!isField(event, line, dataField) || (data?.length ?? 0) > joinedBytesMax) continue
    const to = Math.min(endOfLine(event, line), line + joinedBytesMax)
    const value = event.toString('latin1', line + dataField.length, to).replace(/^: ?/, '')
    data = data === undefined ? value : `${data}\n${value}`
  }
  if (data === undefined) return 'quiet'
  const joined = Buffer.from(`:${data}\n`, 'latin1')
  return kindOfData(joined, 0, joined.length)
}

function isErrorName(bytes: Buffer, at: number): boolean {
  const value = bytes[at + 1] === space ? at + 2 : at + 1
  return startsWith(bytes, value, errorName) && isLineEnd(bytes[value + errorName.length])
}

/** Whether the line at `at` is one of the field: its name, then a colon or nothing. */
function isField(bytes: Buffer, at: number, name: Buffer): boolean {
  if (!startsWith(bytes, at, name)) return false
  const next = bytes[at + name.length]
  return next === colon || isLineEnd(next)
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === lf || byte === cr
}

function endOfLine(bytes: Buffer, from: number): number {
  let at = from
  while (at < bytes.length && !isLineEnd(bytes[at])) at += 1
  return at
}

function afterLine(bytes: Buffer, from: number): number {
  const at = endOfLine(bytes, from)
  return bytes[at] === cr && bytes[at + 1] === lf ? at + 2 : at + 1
}

function isSpace(byte: number | undefined): boolean {
  return byte === space || byte === 0x09
}

function tooLong(): HearthError {
  const detail = `An event is longer than ${eventBytesMax} bytes`
  return new HearthError('engine_bad_answer', { source: 'engine', detail })
}

/** Names here are short: asking for their bytes one by one is cheaper than leaving JavaScript. */
function startsWith(bytes: Buffer, at: number, wanted: Buffer): boolean {
  for (let index = 0; index < wanted.length; index += 1) if (bytes[at + index] !== wanted[index]) return false
  return true
}
