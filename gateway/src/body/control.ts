const blockBytes = 16

/**
 * Finds control characters in long strings, which JSON forbids there. No native search finds "any of these", so the
 * bytes are read sixteen at a time; the bytes that are none have one of their three high bits set.
 */
export class ControlFinder {
  readonly #bytes: Buffer
  readonly #view: DataView

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** The place of the first control character from `from` on, or `to` where there is none before it. */
  find(from: number, to: number): number {
    const tail = to - ((to - from) % blockBytes)
    return this.#findByte(isClean(this.#view, from, tail) ? tail : from, to)
  }

  #findByte(from: number, to: number): number {
    for (let at = from; at < to; at += 1) {
      if ((this.#bytes[at] ?? 0) < 0x20) return at
    }
    return to
  }
}

/** Whether no byte is below 0x20. Has no way out in the middle: a branch in each round costs more than it saves. */
function isClean(view: DataView, from: number, to: number): boolean {
  let high = -1
  for (let at = from; at < to; at += blockBytes) {
    const a = view.getInt32(at)
    const b = view.getInt32(at + 4)
    const c = view.getInt32(at + 8)
    const d = view.getInt32(at + 12)
    // Brings the bits 5 and 6 of each byte to its bit 7; what runs over into the next byte lands below that.
    high &=
      (a | (a << 1) | (a << 2)) & (b | (b << 1) | (b << 2)) & (c | (c << 1) | (c << 2)) & (d | (d << 1) | (d << 2))
  }
  return (~high & 0x80808080) === 0
}
