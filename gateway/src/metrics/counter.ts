import type { Catalog } from './catalog.ts'
import { type Labels, Series, seriesMax } from './series.ts'

/** Counts up. */
export interface Counter<Name extends string> {
  add(labels: Labels<Name>, by?: number): void
}

/** A counter with bounded labels. Its name ends in `_total`. */
export function createCounter<Name extends string>(
  catalog: Catalog,
  name: string,
  help: string,
  labelNames: readonly Name[],
): Counter<Name> {
  const series = new Series(labelNames, () => ({ count: 0 }))
  catalog.add({
    name,
    help,
    type: 'counter',
    read: () => series.entries().map(({ labels, value }) => ({ labels, value: value.count })),
  })
  return {
    add: (labels, by = 1) => {
      series.at(labels).count += by
    },
  }
}

/** A gauge that is read where its values live, when somebody asks. */
export function registerGauge<Name extends string>(
  catalog: Catalog,
  name: string,
  help: string,
  read: () => Iterable<readonly [labels: Labels<Name>, value: number]>,
): void {
  const lines = () => [...read()].slice(0, seriesMax)
  catalog.add({ name, help, type: 'gauge', read: () => lines().map(([labels, value]) => ({ labels, value })) })
}
