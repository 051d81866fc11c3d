import type { ErrorCode, HearthError } from '../errors.ts'

/** What a caller that needs a new connection does now. */
export type Entry =
  /** Dial; whoever else comes does so too. */
  | { readonly go: 'dial' }
  /** Dial on behalf of all: nobody else does until this one has its verdict. */
  | { readonly go: 'trial' }
  /** Wait for the verdict of the trial, or for the moment of the next one; then ask again. */
  | { readonly go: 'wait'; readonly forMs: number | undefined }
  /** The road is down, and nobody need wait to learn it. */
  | { readonly go: 'refuse'; readonly reason: HearthError }

export interface GateOptions {
  /** An outage that is older is no hiccup: from then on callers get the last reason at once. */
  readonly patienceMs: number
  /** 0 to 1. Spreads the trials, so that gateways which fell together do not knock together. */
  readonly random: () => number
}

/** Between the starts of two trials, so at most one a second. */
const trialEveryMs = 1_000
const trialJitterMs = 500
/** A reason that is older is not believed any more: the next verdict is awaited. */
const reasonFreshMs = 30_000

const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'mesh_sidecar_down',
  'mesh_not_ready',
  'mesh_frozen',
  'mesh_tunnels_full',
  'mesh_draining',
  'mesh_dial_timeout',
])

/** Whether a failed dial may pass by itself while its caller waits; all other reasons need somebody to act. */
export function mayPass(code: ErrorCode): boolean {
  return passing.has(code)
}

interface Shut {
  readonly since: number
  /** undefined at the start and after a cut tunnel: the road is doubted, not known to be down. */
  readonly reason: HearthError | undefined
  readonly verdictAt: number
  readonly nextAt: number
  readonly trial: boolean
}

/**
 * What is known about the road to one engine, and who may try it. Open while dials succeed; after a failure one trial
 * at a time, at most one a second, and its first success opens it for all. Holds no timer and no clock: `now` is always
 * an argument, in milliseconds.
 */
export class Gate {
  readonly #options: GateOptions
  #shut: Shut | undefined = { since: 0, reason: undefined, verdictAt: 0, nextAt: 0, trial: false }
  #openedAt = Number.NEGATIVE_INFINITY

  constructor(options: GateOptions) {
    this.#options = options
  }

  /** Why the road is down; undefined while it is open or nobody knows. */
  get reason(): HearthError | undefined {
    return this.#shut?.reason
  }

  /** What the next caller does. Who is told `dial` or `trial` must say how it ended: succeeded, failed or abandoned. */
  enter(now: number): Entry {
    const shut = this.#shut
    if (shut === undefined) return { go: 'dial' }
    if (!shut.trial && now >= shut.nextAt) {
      this.#shut = { ...shut, trial: true }
      return { go: 'trial' }
    }
    const { reason } = shut
    const fresh = now - shut.verdictAt <= reasonFreshMs
    const hopeless = reason !== undefined && (!mayPass(reason.code) || now - shut.since >= this.#options.patienceMs)
    if (hopeless && fresh) return { go: 'refuse', reason }
    return { go: 'wait', forMs: shut.trial ? undefined : shut.nextAt - now }
  }

  succeeded(now: number): void {
    this.#shut = undefined
    this.#openedAt = now
  }

  /** A dial that began at `startedAt` failed. One that began before the road last opened proves nothing about it. */
  failed(reason: HearthError, entry: 'dial' | 'trial', startedAt: number, now: number): void {
    if (startedAt < this.#openedAt) return
    const shut = this.#shut
    if (shut !== undefined && entry === 'dial') return
    this.#shut = {
      since: shut?.reason === undefined ? now : shut.since,
      reason,
      verdictAt: now,
      ...this.#next(startedAt, now),
    }
  }

  /** The one who tried left before the verdict; another may try at the next turn. */
  abandoned(entry: 'dial' | 'trial', startedAt: number, now: number): void {
    if (this.#shut === undefined || entry === 'dial') return
    this.#shut = { ...this.#shut, ...this.#next(startedAt, now) }
  }

  /** An open tunnel was cut by the road: the next dial goes alone, before all that were cut with it dial too. */
  doubt(now: number): void {
    this.#shut ??= { since: now, reason: undefined, verdictAt: now, nextAt: now, trial: false }
  }

  #next(startedAt: number, now: number): { nextAt: number; trial: false } {
    const jitterMs = this.#options.random() * trialJitterMs
    return { nextAt: Math.max(startedAt + trialEveryMs, now) + jitterMs, trial: false }
  }
}
