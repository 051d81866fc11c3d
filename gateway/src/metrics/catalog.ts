import type { MetricType, MetricValueWithName } from '@prometheus-io/client'

/** One line of a metric: `metricName` where it is not the metric's own name, as `…_bucket`. */
export type Line = MetricValueWithName<string>

/** One metric: what it is, and its lines of now. */
export interface Metric {
  /** That of a counter ends in `_total`. */
  readonly name: string
  readonly help: string
  readonly type: MetricType
  readonly read: () => Iterable<Line>
}

/** The metrics of a process, by name; nothing is written before somebody asks (render.ts). */
export class Catalog {
  readonly #metrics = new Map<string, Metric>()

  get all(): readonly Metric[] {
    return [...this.#metrics.values()]
  }

  add(metric: Metric): void {
    const { name, type } = metric
    if (!/^[a-z][a-z0-9_]*$/.test(name) || name.endsWith('_total') !== (type === 'counter'))
      throw new Error(`"${name}" is no name of a ${type}`)
    if (this.#metrics.has(name)) throw new Error(`the metric "${name}" is there already`)
    this.#metrics.set(name, metric)
  }
}
