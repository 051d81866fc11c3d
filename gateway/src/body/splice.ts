import type { Span } from './scan.ts'

/** A piece of a body that is to be replaced. */
export interface Replacement {
  readonly span: Span
  readonly bytes: Buffer
}

/**
 * The body with the spans replaced, as views on the old bytes: nothing is copied, parsed or written anew.
 * `replacements` stand in the order of the body and do not overlap.
 */
export function spliceBody(bytes: Buffer, replacements: readonly Replacement[]): readonly Buffer[] {
  const pieces: Buffer[] = []
  let from = 0
  for (const { span, bytes: fresh } of replacements) {
    pieces.push(bytes.subarray(from, span.start), fresh)
    from = span.end
  }
  pieces.push(bytes.subarray(from))
  return pieces.filter((piece) => piece.length > 0)
}
