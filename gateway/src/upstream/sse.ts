/** What one piece of an event stream came to. */
export interface SsePiece {
  /** Whole events, as they arrived, that may go to the caller now. */
  readonly events: Buffer
  /** `done`: the terminal `[DONE]` is among them. `error`: the engine reported a failure; its event is left out. */
  readonly end?: 'done' | 'error'
  /** The engine's own error event, for the log. */
  readonly errorEvent?: Buffer
}

const lf = 0x0a
const cr = 0x0d
const nothing = Buffer.alloc(0)
const dataField = Buffer.from('data:')
const errorField = Buffer.from('event: error')
const doneData = Buffer.from('[DONE]')
const errorKey = Buffer.from('"error"')

/** An event larger than this is no answer of a language model. */
const eventBytesMax = 4 * 1024 * 1024

/**
 * Cuts an event stream at the ends of its events without decoding it, so that whatever we add stands between whole
 * events, and tells the two events that matter: the terminal one, and an engine's report of its own failure (vLLM
 * writes `[DONE]` after it, which must not pass as success). Holds back at most one unfinished event.
 */
export class SseCutter {
  readonly #held = new HeldBytes()
  /** Bytes of `#held` that are known to hold no end of an event. */
  #searched = 0

  /** Throws a RangeError for an event past 4 MiB. */
  feed(chunk: Buffer): SsePiece {
    const bytes = this.#held.add(chunk)
    let start = 0
    for (let end = eventEnd(bytes, this.#searched); end > 0; end = eventEnd(bytes, start)) {
      const kind = eventKind(bytes, start, end)
      if (kind === 'done') return { events: bytes.subarray(0, end), end: 'done' }
      if (kind === 'error')
        return { events: bytes.subarray(0, start), end: 'error', errorEvent: bytes.subarray(start, end) }
      start = end
    }
    if (bytes.length - start > eventBytesMax) throw new RangeError(`An event is longer than ${eventBytesMax} bytes`)
    this.#held.drop(start)
    // The last three bytes may be the begin of a blank line.
    this.#searched = Math.max(0, this.#held.length - 3)
    return { events: bytes.subarray(0, start) }
  }

  /** Bytes of an event that never ended. */
  get bytesHeld(): number {
    return this.#held.length
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

/** The place after the first blank line at or after `from`, or -1. */
function eventEnd(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(lf, from); at >= 0; at = bytes.indexOf(lf, at + 1)) {
    if (bytes[at + 1] === lf) return at + 2
    if (bytes[at + 1] === cr && bytes[at + 2] === lf) return at + 3
  }
  return -1
}

function eventKind(bytes: Buffer, start: number, end: number): 'done' | 'error' | 'other' {
  for (let line = start; line < end; ) {
    const lineEnd = bytes.indexOf(lf, line)
    if (startsWith(bytes, line, errorField)) return 'error'
    if (startsWith(bytes, line, dataField)) {
      const value = skipSpaces(bytes, line + dataField.length)
      if (startsWith(bytes, value, doneData)) return 'done'
      if (bytes[value] === 0x7b && startsWith(bytes, skipSpaces(bytes, value + 1), errorKey)) return 'error'
    }
    line = lineEnd + 1
  }
  return 'other'
}

function skipSpaces(bytes: Buffer, from: number): number {
  let at = from
  while (bytes[at] === 0x20 || bytes[at] === 0x09) at += 1
  return at
}

function startsWith(bytes: Buffer, at: number, wanted: Buffer): boolean {
  if (bytes[at] !== wanted[0]) return false
  return at + wanted.length <= bytes.length && bytes.compare(wanted, 0, wanted.length, at, at + wanted.length) === 0
}
