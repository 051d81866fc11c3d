import type { Catalog, Line } from './catalog.ts'
import { type Labels, Series } from './series.ts'

/**
 * The values of one series, sorted. A value costs some nanoseconds: one comes for each token, and the histogram of the
 * package takes some hundred for each, allows no second name and no other bounds at the scrape.
 */
export class Buckets {
  readonly #bounds: Float64Array
  readonly #counts: Float64Array
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = Float64Array.from(bounds)
    this.#counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    const bounds = this.#bounds
    let at = 0
    // The value belongs to the first bucket whose bound it does not pass; the last one has none.
    while (value > (bounds[at] ?? Number.POSITIVE_INFINITY)) at += 1
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#sum += value
  }

  /** Values up to each bound, and all of them. */
  read(): { readonly upTo: readonly number[]; readonly count: number; readonly sum: number } {
    let count = 0
    const upTo = Array.from(this.#counts, (here) => {
      count += here
      return count
    })
    return { upTo, count, sum: this.#sum }
  }
}

export interface HistogramOptions<Name extends string> {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly Name[]
  /** The upper ends of the buckets, rising; the one for all is added. */
  readonly bounds: readonly number[]
}

/** The same values under another name: its labels, and some of the bounds. Costs nothing until somebody asks. */
export interface Alias<Name extends string> {
  readonly name: string
  readonly help: string
  readonly bounds: readonly number[]
  readonly labelsOf: (labels: Labels<Name>) => Readonly<Record<string, string>>
}

/** Sorts values into buckets, for each set of labels. */
export class Histogram<Name extends string> {
  readonly #options: HistogramOptions<Name>
  readonly #series: Series<Name, Buckets>
  readonly #catalog: Catalog

  constructor(catalog: Catalog, options: HistogramOptions<Name>) {
    this.#options = options
    this.#catalog = catalog
    this.#series = new Series(options.labelNames, () => new Buckets(options.bounds))
    this.#show({ ...options, labelsOf: (labels) => labels })
  }

  observe(labels: Labels<Name>, value: number): void {
    this.#series.at(labels).observe(value)
  }

  /** What counts the values with these labels, for whoever brings many. */
  at(labels: Labels<Name>): Buckets {
    return this.#series.at(labels)
  }

  /** Shows the values under another name too. Throws where that wants a bound that is not counted here. */
  alias(alias: Alias<Name>): void {
    const missing = alias.bounds.find((bound) => !this.#options.bounds.includes(bound))
    if (missing !== undefined)
      throw new Error(`"${alias.name}" wants the bound ${missing}, which ${this.#options.name} lacks`)
    this.#show(alias)
  }

  #show(alias: Alias<Name>): void {
    const { name, help } = alias
    this.#catalog.add({ name, help, type: 'histogram', read: () => this.#lines(alias) })
  }

  *#lines({ name, bounds: shown, labelsOf }: Alias<Name>): Iterable<Line> {
    const places = shown.map((bound) => [bound, this.#options.bounds.indexOf(bound)] as const)
    for (const { labels, value } of this.#series.entries()) {
      const own = labelsOf(labels)
      const { upTo, count, sum } = value.read()
      for (const [bound, place] of places)
        yield { metricName: `${name}_bucket`, labels: { ...own, le: bound }, value: upTo[place] ?? count }
      yield { metricName: `${name}_bucket`, labels: { ...own, le: '+Inf' }, value: count }
      yield { metricName: `${name}_sum`, labels: own, value: sum }
      yield { metricName: `${name}_count`, labels: own, value: count }
    }
  }
}
