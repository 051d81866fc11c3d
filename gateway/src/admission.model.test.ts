import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as settled } from 'node:timers/promises'
import fc from 'fast-check'
import { Admission, type Lease } from './admission.ts'
import { HearthError } from './errors.ts'

/** One request as the test sees it: what became of it, and its handles. */
interface Guest {
  readonly id: number
  readonly caller: AbortController
  state: 'waiting' | 'inside' | 'left' | 'full' | 'gone'
  lease: Lease | undefined
}

/** The real line and a model of it that is too simple to be wrong: two lists. */
class Trial {
  readonly #admission: Admission
  readonly #guests: Guest[] = []
  readonly #entered: number[] = []
  readonly #capacity: number
  readonly #queueMax: number
  #inside: number[] = []
  #line: number[] = []
  readonly #served: number[] = []

  constructor(capacity: number, queueMax: number) {
    this.#admission = new Admission([{ name: 'gpu', capacity }], { queueMax, queueMs: 3_600_000 })
    this.#capacity = capacity
    this.#queueMax = queueMax
  }

  admit(): void {
    const guest: Guest = { id: this.#guests.length, caller: new AbortController(), state: 'waiting', lease: undefined }
    this.#guests.push(guest)
    if (this.#inside.length < this.#capacity) this.#inside.push(guest.id)
    else if (this.#line.length < this.#queueMax) this.#line.push(guest.id)
    this.#admission
      .admit('gpu', guest.caller.signal, () => 0)
      .then(
        (lease) => {
          Object.assign(guest, { lease, state: 'inside' })
          this.#entered.push(guest.id)
        },
        (error: unknown) => {
          guest.state = error instanceof HearthError && error.code === 'queue_full' ? 'full' : 'gone'
        },
      )
  }

  /** Aborts any guest, whatever its state: only one that waits may notice. */
  leave(pick: number): void {
    const guest = this.#guests[pick % this.#guests.length]
    this.#line = this.#line.filter((id) => id !== guest?.id)
    guest?.caller.abort(new HearthError('client_gone'))
  }

  /** Releases any lease that was ever given, again too. */
  release(pick: number): void {
    const leased = this.#guests.filter(({ lease }) => lease !== undefined)
    const guest = leased[pick % leased.length]
    if (guest === undefined) return
    guest.lease?.release()
    guest.state = 'left'
    if (!this.#inside.includes(guest.id)) return
    this.#inside = this.#inside.filter((id) => id !== guest.id)
    const next = this.#line.shift()
    if (next === undefined) return
    this.#inside.push(next)
    this.#served.push(next)
  }

  async check(): Promise<void> {
    ok(this.#admission.inFlight <= this.#capacity, `${this.#admission.inFlight} in flight`)
    equal(this.#admission.inFlight, this.#inside.length)
    await settled()
    deepEqual(
      this.#entered.filter((id) => this.#served.includes(id)),
      this.#served,
    )
    deepEqual(this.#idsOf('waiting'), this.#line)
    deepEqual(
      this.#idsOf('inside'),
      this.#inside.toSorted((a, b) => a - b),
    )
  }

  async empty(): Promise<void> {
    for (const { caller, state } of this.#guests) if (state === 'waiting') caller.abort(new HearthError('client_gone'))
    await settled()
    for (const { lease } of this.#guests) lease?.release()
    equal(this.#admission.inFlight, 0)
    deepEqual(this.#idsOf('waiting'), [])
  }

  #idsOf(state: Guest['state']): number[] {
    return this.#guests.filter((guest) => guest.state === state).map(({ id }) => id)
  }
}

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('admit' as const), pick: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('release' as const), pick: fc.nat(1000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), pick: fc.nat(1000) }) },
)

test('no order of arrivals, departures and releases loses a slot, doubles one or breaks the order of the line', async (t) => {
  // No guest waits until its deadline, and a failure leaves no timer that keeps the process alive.
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.nat(4),
      // Steps of one group happen without a turn of the event loop between them.
      fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 25 }),
      async (capacity, queueMax, groups) => {
        const trial = new Trial(capacity, queueMax)
        for (const group of groups) {
          for (const { do: verb, pick } of group) trial[verb](pick)
          await trial.check()
        }
        await trial.empty()
      },
    ),
    { numRuns: 1000 },
  )
})
