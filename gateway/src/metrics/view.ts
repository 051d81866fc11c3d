import {
  Gauge,
  type MetricObjectWithValues,
  type MetricType,
  type MetricValueWithName,
  type Registry,
} from '@prometheus-io/client'

/** One line of a metric: `metricName` where it is not the metric's own name, as `…_bucket`. */
export type Line = MetricValueWithName<string>

export interface ViewOptions {
  readonly name: string
  readonly help: string
  readonly type: MetricType
  /** Asked at each scrape. */
  readonly read: () => Iterable<Line>
}

/** A metric that holds nothing: its lines are read where the values live, when somebody asks. */
export class View extends Gauge<string> {
  readonly type: MetricType
  readonly #options: ViewOptions

  constructor(registers: readonly Registry[], options: ViewOptions) {
    super({ name: options.name, help: options.help, registers: [...registers] })
    this.type = options.type
    this.#options = options
  }

  override async get(): Promise<MetricObjectWithValues<Line>> {
    const { name, help, type, read } = this.#options
    return { name, help, type, aggregator: 'omit', collect: () => {}, values: [...read()] }
  }
}
