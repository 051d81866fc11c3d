import type { Span } from '../body/scan.ts'

/** Bytes that are looked at in one go. */
const pieceBytes = 64 * 1024
const backslash = 0x5c
const letterU = 0x75
/** `\u` and four digits. */
const unitBytes = 6
const lastGroup = /^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$/

/**
 * The text of a JSON string piece by piece, so that a long one is never there a second time. Many encoders write `\/` for
 * "/" and `\u002B` for "+": escapes are undone, and none is cut in two. Throws a SyntaxError where the span holds no JSON
 * string.
 */
export function* piecesOf(body: Buffer, { start, end }: Span): Generator<Buffer, void> {
  const last = end - 1
  for (let from = start + 1; from < last; ) {
    const piece = body.subarray(from, Math.min(from + pieceBytes, last))
    const bytes = from + piece.length === last ? piece.length : endOfEscapes(piece)
    from += bytes
    yield unescaped(piece.subarray(0, bytes))
  }
}

/** The place in a piece where an escape begins that goes on behind it, or its end. */
function endOfEscapes(piece: Buffer): number {
  const at = piece.subarray(-unitBytes).lastIndexOf(backslash) + piece.length - unitBytes
  if (piece[at] !== backslash) return piece.length
  let first = at
  while (piece[first - 1] === backslash) first -= 1
  // Of a row of backslashes every second one is escaped by the one before it.
  const isEscaped = (at - first) % 2 === 1
  const bytes = piece[at + 1] === letterU ? unitBytes : 2
  return isEscaped || at + bytes <= piece.length ? piece.length : at
}

function unescaped(piece: Buffer): Buffer {
  return piece.includes(backslash) ? Buffer.from(String(JSON.parse(`"${piece.toString('latin1')}"`))) : piece
}

/** Base64 that comes in pieces of at most 128 KiB: counted and held to its alphabet, and only its beginning kept. */
export class Base64Text {
  readonly #headChars: number
  /** What is longer is only counted. */
  readonly #charsMax: number
  readonly #head: Buffer[] = []
  readonly #scratch = Buffer.allocUnsafe(2 * pieceBytes)
  /** What is not looked at yet: at most the last four characters, since only there may padding stand. */
  #tail = ''
  #isClean = true
  #chars = 0

  /** Keeps as much of the beginning as `decodeHead` will be asked for. */
  constructor(headBytesMax: number, bytesMax: number) {
    this.#headChars = charsOf(headBytesMax)
    this.#charsMax = charsOf(bytesMax)
  }

  get chars(): number {
    return this.#chars
  }

  /** The decoded length, by length and padding alone. */
  get bytes(): number {
    const pads = this.#tail.endsWith('==') ? 2 : this.#tail.endsWith('=') ? 1 : 0
    return (this.#chars / 4) * 3 - pads
  }

  take(piece: Buffer): void {
    if (this.#chars < this.#headChars) this.#head.push(piece)
    this.#chars += piece.length
    // What was kept is looked at by itself, with what completes its last group.
    const missing = -this.#tail.length & 3
    const group = this.#tail + piece.toString('latin1', 0, missing)
    const end = piece.length - ((piece.length - missing) % 4 || 4)
    this.#tail = end < missing ? group : piece.toString('latin1', end)
    if (end >= missing && this.#chars <= this.#charsMax)
      this.#isClean &&= this.#isPlain(Buffer.from(group, 'latin1')) && this.#isPlain(piece.subarray(missing, end))
  }

  /** Whether all that came is base64 as engines take it: padded, and without white space. */
  isBase64(): boolean {
    return this.#isClean && lastGroup.test(this.#tail)
  }

  decodeHead(bytesMax: number): Buffer {
    let text = ''
    for (const piece of this.#head) {
      if (text.length >= charsOf(bytesMax)) break
      text += piece.toString('latin1', 0, charsOf(bytesMax) - text.length)
    }
    return Buffer.from(text, 'base64')
  }

  /** The native decoder leaves out what is no base64, so the count tells; but it also takes the alphabet for URLs. */
  #isPlain(text: Buffer): boolean {
    const decoded = this.#scratch.write(text.toString('latin1'), 'base64')
    return decoded === (text.length / 4) * 3 && !text.includes('-') && !text.includes('_')
  }
}

function charsOf(bytes: number): number {
  return Math.ceil(bytes / 3) * 4
}
