import { Counter as Counted, Gauge, type Registry } from '@prometheus-io/client'
import { type Labels, Series, seriesMax } from './series.ts'

/** Counts up. */
export interface Counter<Name extends string> {
  add(labels: Labels<Name>, by?: number): void
}

/** A counter with bounded labels. Its name ends in `_total`. */
export function createCounter<Name extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly Name[],
): Counter<Name> {
  const counted = new Counted<string>({ name, help, labelNames, registers: [registry] })
  const series = new Series(labelNames, (labels) => counted.labels(labels))
  return { add: (labels, by = 1) => series.at(labels).inc(by) }
}

/** A gauge that is read where its values live, when somebody asks. */
export function registerGauge<Name extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly Name[],
  read: () => Iterable<readonly [labels: Labels<Name>, value: number]>,
): void {
  new Gauge<string>({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      // Without this a series that is gone would stay at its last value.
      this.reset()
      for (const [labels, value] of [...read()].slice(0, seriesMax)) this.set(labels, value)
    },
  })
}
