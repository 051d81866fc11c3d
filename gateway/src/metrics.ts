type Labels<Name extends string> = Readonly<Record<Name, string>>

/** Counts up. */
export interface Counter<Name extends string> {
  add(labels: Labels<Name>, by?: number): void
}

/** Sorts values into buckets. */
export interface Histogram<Name extends string> {
  observe(labels: Labels<Name>, value: number): void
}

/** One metric: what it is, and its lines of now. */
interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  lines(): Iterable<string>
}

/** Series of one metric. What comes beyond them is counted with every label as `other`, so that no caller can fill the memory. */
const seriesMax = 500

/** The metrics of a process, written as Prometheus reads them (text format 0.0.4). */
export class Registry {
  readonly #metrics = new Map<string, Metric>()

  counter<Name extends string>(name: string, help: string, labelNames: readonly Name[]): Counter<Name> {
    const series = new Series(labelNames, () => ({ value: 0 }))
    this.#add({
      name,
      help,
      type: 'counter',
      lines: () => series.map((labels, { value }) => `${name}${render(labels)} ${value}`),
    })
    return {
      add: (labels, by = 1) => {
        series.at(labels).value += by
      },
    }
  }

  /** A gauge is read when somebody asks. */
  gauge<Name extends string>(
    name: string,
    help: string,
    read: () => Iterable<readonly [labels: Labels<Name>, value: number]>,
  ): void {
    const lines = () => [...read()].slice(0, seriesMax).map(([labels, value]) => `${name}${render(labels)} ${value}`)
    this.#add({ name, help, type: 'gauge', lines })
  }

  /** `bounds` are the upper ends of the buckets, rising; the one for all is added. */
  histogram<Name extends string>(
    name: string,
    help: string,
    labelNames: readonly Name[],
    bounds: readonly number[],
  ): Histogram<Name> {
    const series = new Series(labelNames, () => ({ buckets: bounds.map(() => 0), count: 0, sum: 0 }))
    const lines = () =>
      series.map((labels, { buckets, count, sum }) => [
        ...buckets.map((value, at) => `${name}_bucket${render({ ...labels, le: String(bounds[at]) })} ${value}`),
        `${name}_bucket${render({ ...labels, le: '+Inf' })} ${count}`,
        `${name}_sum${render(labels)} ${sum}`,
        `${name}_count${render(labels)} ${count}`,
      ])
    this.#add({ name, help, type: 'histogram', lines: () => lines().flat() })
    return {
      observe: (labels, value) => {
        const one = series.at(labels)
        one.count += 1
        one.sum += value
        bounds.forEach((bound, at) => {
          if (value <= bound) one.buckets[at] = (one.buckets[at] ?? 0) + 1
        })
      },
    }
  }

  /** Everything, as text. */
  render(): string {
    const parts = [...this.#metrics.values()].map(({ name, help, type, lines }) =>
      [`# HELP ${name} ${help.replace(/[\\\n]/g, ' ')}`, `# TYPE ${name} ${type}`, ...lines(), ''].join('\n'),
    )
    return parts.join('')
  }

  #add(metric: Metric): void {
    if (!/^[a-z][a-z0-9_]*$/.test(metric.name)) throw new Error(`"${metric.name}" is no name of a metric`)
    if (this.#metrics.has(metric.name)) throw new Error(`the metric "${metric.name}" is there already`)
    this.#metrics.set(metric.name, metric)
  }
}

/** The values of one metric, one for each set of labels. */
class Series<Name extends string, Value> {
  readonly #labelNames: readonly Name[]
  readonly #create: () => Value
  readonly #all = new Map<string, { readonly labels: Readonly<Record<string, string>>; readonly value: Value }>()

  constructor(labelNames: readonly Name[], create: () => Value) {
    this.#labelNames = labelNames
    this.#create = create
  }

  at(labels: Labels<Name>): Value {
    const values = this.#labelNames.map((name) => labels[name])
    return (
      this.#get(values) ??
      this.#get(
        this.#labelNames.map(() => 'other'),
        true,
      ) ??
      this.#create()
    )
  }

  map<Line>(write: (labels: Readonly<Record<string, string>>, value: Value) => Line): Line[] {
    return [...this.#all.values()].map(({ labels, value }) => write(labels, value))
  }

  #get(values: readonly string[], always = false): Value | undefined {
    const key = JSON.stringify(values)
    const known = this.#all.get(key)
    if (known !== undefined) return known.value
    if (this.#all.size >= seriesMax && !always) return undefined
    const labels = Object.fromEntries(this.#labelNames.map((name, at) => [name, values[at] ?? '']))
    const made = { labels, value: this.#create() }
    this.#all.set(key, made)
    return made.value
  }
}

function render(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeValue(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeValue(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}

/** A request that is over. */
export interface RequestEnd {
  readonly route: string
  readonly status: number
  /** `ok` or the code of its failure. */
  readonly code: string
  readonly ms: number
}

/** What the gateway counts. Gauges are read from where they live: see `registerGauges` in app.ts. */
export interface Meters {
  request(end: RequestEnd): void
  firstByte(engine: string, ms: number): void
  /** A dial ended: `ok` or the code of its failure. */
  dial(engine: string, result: string): void
  /** A request that was never sent is tried again: `dial` after a failed dial, `stale` after a dead kept connection. */
  retry(engine: string, why: 'dial' | 'stale'): void
  /** A connection of a caller was closed: `full` at once, since there was no place, `idle` to make place for others. */
  connectionShed(why: 'full' | 'idle'): void
}

const secondsBounds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900]

export function createMeters(registry: Registry): Meters {
  const requests = registry.counter('hearth_requests_total', 'Requests by how they ended.', ['route', 'status', 'code'])
  const seconds = registry.histogram('hearth_request_seconds', 'Whole requests.', ['route'], secondsBounds)
  const firstBytes = registry.histogram(
    'hearth_first_byte_seconds',
    'From dispatch to the first byte of the answer.',
    ['engine'],
    secondsBounds,
  )
  const dials = registry.counter('hearth_connect_attempts_total', 'Dials by how they ended.', ['engine', 'result'])
  const retries = registry.counter('hearth_retries_total', 'Tries again of what was never sent.', ['engine', 'why'])
  const shed = registry.counter('hearth_connections_shed_total', 'Connections of callers closed for want of places.', [
    'why',
  ])
  return {
    request: ({ route, status, code, ms }) => {
      requests.add({ route, status: `${Math.floor(status / 100)}xx`, code })
      seconds.observe({ route }, ms / 1000)
    },
    firstByte: (engine, ms) => firstBytes.observe({ engine }, ms / 1000),
    dial: (engine, result) => dials.add({ engine, result }),
    retry: (engine, why) => retries.add({ engine, why }),
    connectionShed: (why) => shed.add({ why }),
  }
}
