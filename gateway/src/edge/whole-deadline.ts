/** How much of its whole time a request has used; `since` undefined: its clock stands still. Milliseconds. */
export interface Spent {
  readonly beforeMs: number
  readonly since: number | undefined
}

export function spentMs({ beforeMs, since }: Spent, now: number): number {
  return since === undefined ? beforeMs : beforeMs + Math.max(0, now - since)
}

export function standStill(spent: Spent, now: number): Spent {
  return { beforeMs: spentMs(spent, now), since: undefined }
}

export function goOn(spent: Spent, now: number): Spent {
  return { beforeMs: spentMs(spent, now), since: now }
}

/** Milliseconds until a clock that goes on has used `totalMs`; undefined while it stands still: it never will. */
export function leftMs(spent: Spent, totalMs: number, now: number): number | undefined {
  return spent.since === undefined ? undefined : Math.max(0, totalMs - spentMs(spent, now))
}

export interface WholeDeadlineOptions {
  readonly totalMs: number
  readonly startedAt: number
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Called once, when the whole time is used. */
  readonly onEnd: () => void
}

/** The one timer of a whole request. The wait in the line to an engine has its own limit: meanwhile this clock stands still. */
export class WholeDeadline {
  readonly #options: WholeDeadlineOptions
  #totalMs: number
  #spent: Spent
  #timer: NodeJS.Timeout | undefined
  #over = false

  constructor(options: WholeDeadlineOptions) {
    this.#options = options
    this.#totalMs = options.totalMs
    this.#spent = { beforeMs: 0, since: options.startedAt }
    this.#arm(options.startedAt)
  }

  /** Another whole time, counted from the beginning of the request: its key or its model is known now. */
  setTotal(totalMs: number): void {
    if (totalMs === this.#totalMs) return
    this.#totalMs = totalMs
    this.#arm(this.#options.now())
  }

  pause(): void {
    const now = this.#options.now()
    this.#spent = standStill(this.#spent, now)
    this.#arm(now)
  }

  resume(): void {
    const now = this.#options.now()
    this.#spent = goOn(this.#spent, now)
    this.#arm(now)
  }

  /** The request is over: nothing is called any more. */
  close(): void {
    this.#over = true
    clearTimeout(this.#timer)
  }

  #arm(now: number): void {
    clearTimeout(this.#timer)
    const ms = leftMs(this.#spent, this.#totalMs, now)
    if (ms === undefined || this.#over) return
    this.#timer = setTimeout(() => {
      this.close()
      this.#options.onEnd()
    }, ms)
  }
}
