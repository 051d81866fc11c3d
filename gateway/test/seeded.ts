/** Chance that can be had again: everything random in a test comes from one printed seed. */
export interface Chance {
  /** From 0 up to, not including, 1. */
  next(): number
  /** A whole number from 0 up to, not including, `below`. */
  below(below: number): number
  /** Whether something of this probability happens. */
  happens(probability: number): boolean
  pick<T>(items: readonly T[]): T
}

/** The seed of this run: `HEARTH_TEST_SEED`, else another one each time. */
export function seedOf(env: NodeJS.ProcessEnv): number {
  return Number(env['HEARTH_TEST_SEED'] ?? Date.now() % 2 ** 31)
}

/** Mulberry32: small, and the same everywhere for one seed. */
export function chanceFrom(seed: number): Chance {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return {
    next,
    below,
    happens: (probability) => next() < probability,
    pick: (items) => {
      const item = items[below(items.length)]
      if (item === undefined) throw new Error('nothing to pick from')
      return item
    },
  }
}

/** Takes all items through `use`, `width` at a time; the first failure ends it. */
export async function inParallel<T>(items: Iterable<T>, width: number, use: (item: T) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]()
  const work = async (): Promise<void> => {
    for (let next = iterator.next(); !next.done; next = iterator.next()) await use(next.value)
  }
  await Promise.all(Array.from({ length: width }, work))
}

/** The first `count` items of a row that may have no end. */
export function* first<T>(items: Iterable<T>, count: number): Generator<T> {
  let left = count
  for (const item of items) {
    if (left === 0) return
    left -= 1
    yield item
  }
}

/** How often each value was seen, for the figures of a test. */
export class Tallies<K extends string | number> {
  readonly #counts = new Map<K, number>()

  add(value: K): void {
    this.#counts.set(value, (this.#counts.get(value) ?? 0) + 1)
  }

  get(value: K): number {
    return this.#counts.get(value) ?? 0
  }

  toString(): string {
    const sorted = [...this.#counts].sort(([, one], [, other]) => other - one)
    return sorted.map(([value, count]) => `${count} × ${value}`).join(', ')
  }
}
