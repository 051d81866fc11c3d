import { HearthError } from '../errors.ts'

/** Bytes of one body that are held; grows while the body is read and is given back exactly once. */
export interface Reservation {
  /** Raises what is held to `bytes` in all. Throws `body_budget` when the budget has no room for it. */
  growTo(bytes: number): void
  /** `free` is called when the bytes are given back, so that their memory is free by then too. */
  onRelease(free: () => void): void
  /** Gives everything back; safe to call again. */
  release(): void
}

export interface BudgetLimits {
  /** Of all bodies together. */
  readonly bytesMax: number
  /** Of the bodies of one holder. */
  readonly bytesPerHolderMax: number
}

/** The bytes that all request bodies together may hold in memory, and of those what one holder may. */
export class BodyBudget {
  readonly #limits: BudgetLimits
  /** Of those who hold any. */
  readonly #byHolder = new Map<string, number>()
  #bytesHeld = 0

  constructor(limits: BudgetLimits) {
    this.#limits = limits
  }

  get bytesHeld(): number {
    return this.#bytesHeld
  }

  /** Opens a reservation of nothing for a holder (a key's id); the caller owns it and releases it. */
  open(holder = ''): Reservation {
    let held = 0
    let open = true
    const frees: (() => void)[] = []
    return {
      growTo: (bytes) => {
        if (!open || bytes <= held) return
        this.#take(holder, bytes - held)
        held = bytes
      },
      onRelease: (free) => {
        if (open) frees.push(free)
        else free()
      },
      release: () => {
        if (!open) return
        open = false
        for (const free of frees) free()
        this.#giveBack(holder, held)
      },
    }
  }

  #take(holder: string, more: number): void {
    const ofHolder = (this.#byHolder.get(holder) ?? 0) + more
    if (this.#bytesHeld + more > this.#limits.bytesMax) throw new HearthError('body_budget')
    if (ofHolder > this.#limits.bytesPerHolderMax)
      throw new HearthError('body_budget', { message: 'Too many large requests of this key are in flight.' })
    this.#bytesHeld += more
    this.#byHolder.set(holder, ofHolder)
  }

  #giveBack(holder: string, held: number): void {
    this.#bytesHeld -= held
    const left = (this.#byHolder.get(holder) ?? 0) - held
    if (left > 0) this.#byHolder.set(holder, left)
    else this.#byHolder.delete(holder)
  }
}
