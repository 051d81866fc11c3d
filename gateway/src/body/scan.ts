import { isUtf8 } from 'node:buffer'
import { invalid } from './lexer.ts'
import type { Schema } from './schema.ts'
import { Turns } from './turns.ts'
import { type BodyScan, Walk } from './walk.ts'

export { type BodyScan, type KeptField, parseSpan, type Span } from './walk.ts'

export interface ScanOptions {
  /** For how long a body is read before other work gets its turn. */
  readonly turnMs?: number
  /** Monotonic; asked once a slice. */
  readonly now?: () => number
  readonly sliceBytes?: number
  /** Shared by all that read at once. */
  readonly turns?: Turns | undefined
  readonly signal?: AbortSignal | undefined
}

const sliceBytesDefault = 16 * 1024
const turnMsDefault = 2

/**
 * Walks a JSON body once, as bytes: nothing is copied and only small values are decoded, so a picture costs no more than
 * its length. Accepts what RFC 8259 accepts and two parsers cannot read in two ways, an object at the root, and what
 * `schema` lets through. Throws `invalid_json` and the refusals of the schema.
 */
export async function scanBody(bytes: Buffer, schema: Schema, options: ScanOptions = {}): Promise<BodyScan> {
  const {
    turnMs = turnMsDefault,
    now = () => performance.now(),
    sliceBytes = sliceBytesDefault,
    turns = new Turns(),
    signal,
  } = options
  const walk = new Walk(bytes)
  const steps = walk.run(schema)
  let turnEndsAt = now() + turnMs
  for (let from = 0; ; ) {
    const to = endOfSlice(bytes, from + sliceBytes)
    if (!isUtf8(bytes.subarray(from, to))) throw invalid('is not UTF-8')
    walk.pauseAt(to < bytes.length ? to : bytes.length + 1)
    const { done, value } = steps.next()
    if (done === true) {
      // The last token may have run over the end of its slice.
      if (!isUtf8(bytes.subarray(to))) throw invalid('is not UTF-8')
      return value
    }
    from = to
    if (now() < turnEndsAt) continue
    await turns.next()
    signal?.throwIfAborted()
    turnEndsAt = now() + turnMs
  }
}

/** The place from `end` on where no character is cut in two. */
function endOfSlice(bytes: Buffer, end: number): number {
  for (let at = end; at < end + 4; at += 1) {
    if (at >= bytes.length) return bytes.length
    if (((bytes[at] ?? 0) & 0xc0) !== 0x80) return at
  }
  return end
}
