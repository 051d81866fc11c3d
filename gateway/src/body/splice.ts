import type { Span } from './scan.ts'

/** Pieces that are shorter than this are cheaper to copy than to send one by one. */
const shortBytes = 1024

/**
 * What is left of a value when its cuts are taken out: views on the old bytes, in order; only short pieces beside each
 * other are copied together. `cuts` stand in order inside of `value` and do not overlap.
 */
export function cutOut(bytes: Buffer, value: Span, cuts: readonly Span[]): readonly Buffer[] {
  const pieces: Buffer[] = []
  let short: Buffer[] = []
  const flush = () => {
    if (short.length > 0) pieces.push(short.length === 1 ? (short[0] ?? Buffer.alloc(0)) : Buffer.concat(short))
    short = []
  }
  let from = value.start
  for (const { start, end } of [...cuts, { start: value.end, end: value.end }]) {
    const piece = bytes.subarray(from, start)
    from = end
    if (piece.length === 0) continue
    if (piece.length < shortBytes) short.push(piece)
    else {
      flush()
      pieces.push(piece)
    }
  }
  flush()
  return pieces
}
