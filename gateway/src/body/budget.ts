import { HearthError } from '../errors.ts'

/** Bytes of one body that are held; grows while the body is read and is given back exactly once. */
export interface Reservation {
  /** Raises what is held to `bytes` in all. Throws `body_budget` when the budget has no room for it. */
  growTo(bytes: number): void
  /** Gives everything back; safe to call again. */
  release(): void
}

/** The bytes that all request bodies together may hold in memory. */
export class BodyBudget {
  readonly #bytesMax: number
  #bytesHeld = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytesHeld(): number {
    return this.#bytesHeld
  }

  /** Opens a reservation of nothing; the caller owns it and releases it. */
  open(): Reservation {
    let held = 0
    let open = true
    return {
      growTo: (bytes) => {
        const more = bytes - held
        if (!open || more <= 0) return
        if (this.#bytesHeld + more > this.#bytesMax) throw new HearthError('body_budget')
        this.#bytesHeld += more
        held = bytes
      },
      release: () => {
        if (!open) return
        open = false
        this.#bytesHeld -= held
      },
    }
  }
}
