/** Up to here bodies are left to the garbage collector instead of being freed by hand. */
const wholeBytesMax = 64 * 1024
const sliceBytes = 128 * 1024
/** A slice is larger than any socket's high-water mark, so the socket asks to wait after each: one would do, the other is for doubt. */
const slots = 2

/**
 * The pieces of a large body as small copies, made one by one as they are sent. What a socket has queued is read by
 * the kernel later, perhaps when the body's memory has been freed and belongs to another; so it is given nothing of the
 * body itself. The copies of one body share a few buffers of its own.
 */
export function sliceBody(pieces: readonly Buffer[]): Buffer | Iterable<Buffer> | null {
  if (pieces.some(({ buffer }) => buffer.byteLength > wholeBytesMax)) return { [Symbol.iterator]: () => copies(pieces) }
  return pieces.length > 1 ? Buffer.concat(pieces) : (pieces[0] ?? null)
}

/**
 * All slices but the last are whole: with each the socket asks to wait until it has nothing left, so a buffer is not
 * written anew while it is still on its way.
 */
function* copies(pieces: readonly Buffer[]): Generator<Buffer, void> {
  const ring: Buffer[] = []
  let [turn, filled] = [0, 0]
  for (const piece of pieces)
    for (let at = 0; at < piece.length; ) {
      const slot = ring[turn] ?? Buffer.allocUnsafeSlow(sliceBytes)
      ring[turn] = slot
      const copied = piece.copy(slot, filled, at)
      at += copied
      filled += copied
      if (filled < sliceBytes) continue
      yield slot
      turn = (turn + 1) % slots
      filled = 0
    }
  if (filled > 0) yield ring[turn]?.subarray(0, filled) ?? Buffer.alloc(0)
}
