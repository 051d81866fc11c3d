import { isUtf8 } from 'node:buffer'
import { invalid } from './lexer.ts'
import type { Schema } from './schema.ts'
import { inTurns, type TurnOptions } from './turns.ts'
import { type BodyScan, Walk } from './walk.ts'

export { type BodyScan, type KeptField, parseSpan, type Span } from './walk.ts'

export interface ScanOptions extends TurnOptions {
  readonly sliceBytes?: number
}

const sliceBytesDefault = 16 * 1024

/**
 * Walks a JSON body once, as bytes: nothing is copied and only small values are decoded, so a picture costs no more than
 * its length. Accepts what RFC 8259 accepts and two parsers cannot read in two ways, an object at the root, and what
 * `schema` lets through. Throws `invalid_json` and the refusals of the schema.
 */
export async function scanBody(bytes: Buffer, schema: Schema, options: ScanOptions = {}): Promise<BodyScan> {
  return inTurns(scanSlices(bytes, schema, options.sliceBytes ?? sliceBytesDefault), options)
}

function* scanSlices(bytes: Buffer, schema: Schema, sliceBytes: number): Generator<undefined, BodyScan> {
  const walk = new Walk(bytes)
  const steps = walk.run(schema)
  for (let from = 0; ; yield) {
    const to = endOfSlice(bytes, from + sliceBytes)
    if (!isUtf8(bytes.subarray(from, to))) throw invalid('is not UTF-8')
    walk.pauseAt(to < bytes.length ? to : bytes.length + 1)
    const { done, value } = steps.next()
    // Strings end where the slice does, so a walk takes nothing but ASCII from behind it.
    if (done === true) return value
    from = to
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
