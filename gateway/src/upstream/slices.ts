/** So small a body goes out as it is. */
const wholeBytesMax = 64 * 1024
const sliceBytes = 64 * 1024

/**
 * The pieces of a large body as small copies, made one by one as they are sent. What a socket has queued is read by
 * the kernel later, perhaps after the body's memory was freed; so it is given nothing of the body itself.
 */
export function sliceBody(pieces: readonly Buffer[]): Buffer | Iterable<Buffer> | null {
  const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0)
  if (bytes > wholeBytesMax) return { [Symbol.iterator]: () => copies(pieces) }
  return pieces.length > 1 ? Buffer.concat(pieces, bytes) : (pieces[0] ?? null)
}

function* copies(pieces: readonly Buffer[]): Generator<Buffer, void> {
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += sliceBytes) {
      const slice = piece.subarray(at, at + sliceBytes)
      const copy = Buffer.allocUnsafeSlow(slice.length)
      slice.copy(copy)
      yield copy
    }
  }
}
