interface Splice {
  readonly start: number
  readonly end: number
  readonly bytes: Buffer
}

/** Changes to the bytes of one answer, made all at once. */
export class Splices {
  readonly #splices: Splice[] = []

  /** Puts `bytes` in the place of those from `start` up to `end`. Places do not overlap. */
  add(start: number, end: number, bytes: Buffer): void {
    this.#splices.push({ start, end, bytes })
  }

  /** The changed bytes, or the very same where nothing changes. Forgets the changes. */
  applyTo(bytes: Buffer): Buffer {
    const splices = this.#splices
    if (splices.length === 0) return bytes
    if (splices.length > 1) splices.sort((one, other) => one.start - other.start)
    const length = splices.reduce((sum, { start, end, bytes: put }) => sum + put.length - (end - start), bytes.length)
    const changed = Buffer.allocUnsafe(length)
    let from = 0
    let to = 0
    for (const { start, end, bytes: put } of splices) {
      to += bytes.copy(changed, to, from, start)
      to += put.copy(changed, to)
      from = end
    }
    bytes.copy(changed, to, from)
    splices.length = 0
    return changed
  }
}
