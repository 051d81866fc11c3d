import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Histogram as PackageHistogram, Registry } from '@prometheus-io/client'
import fc from 'fast-check'
import { Catalog } from './catalog.ts'
import { Buckets, Histogram } from './histogram.ts'
import { MetricsText } from './render.ts'

const bounds = [0.001, 0.01, 0.1, 1, 10]
const values = fc.array(fc.oneof(fc.constantFrom(...bounds, 0), fc.double({ min: 0, max: 20, noNaN: true })))

test('a histogram writes the very lines that the one of the package writes for the same values', async () => {
  // The order of labels says nothing.
  const sorted = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => line.replace(/\{(.*)\}/, (_all, labels: string) => labels.split(',').toSorted().join()))
  await fc.assert(
    fc.asyncProperty(values, async (all) => {
      const options = { name: 'a_seconds', help: 'x', labelNames: ['model'] }
      const catalog = new Catalog()
      const ours = new Histogram(catalog, { ...options, bounds })
      const registry = new Registry()
      const theirs = new PackageHistogram({ ...options, buckets: bounds, registers: [registry] })
      for (const value of all) {
        ours.observe({ model: 'm' }, value)
        theirs.observe({ model: 'm' }, value)
      }
      deepEqual(sorted(await new MetricsText(catalog).read('prometheus')), sorted(await registry.metrics()))
    }),
  )
})

test('a value that is a bound belongs to its bucket, and one beyond the last is counted all the same', () => {
  const buckets = new Buckets([1, 2])
  for (const value of [0, 1, 1.5, 2, 2.1, 1e9]) buckets.observe(value)
  deepEqual(buckets.read(), { upTo: [2, 4, 6], count: 6, sum: 1e9 + 6.6 })
})

test('an alias shows the same values with the bounds and labels that it wants', async () => {
  const catalog = new Catalog()
  const histogram = new Histogram(catalog, { name: 'a_seconds', help: 'x', labelNames: ['model'], bounds })
  histogram.alias({ name: 'b_seconds', help: 'y', bounds: [0.01, 1], labelsOf: ({ model }) => ({ of: model }) })
  for (const value of [0.005, 0.05, 0.5, 5]) histogram.observe({ model: 'm' }, value)
  deepEqual((await new MetricsText(catalog).read('prometheus')).trim().split('\n').slice(10), [
    '# HELP b_seconds y',
    '# TYPE b_seconds histogram',
    'b_seconds_bucket{of="m",le="0.01"} 1',
    'b_seconds_bucket{of="m",le="1"} 3',
    'b_seconds_bucket{of="m",le="+Inf"} 4',
    'b_seconds_sum{of="m"} 5.555',
    'b_seconds_count{of="m"} 4',
  ])
  throws(() => histogram.alias({ name: 'c', help: 'z', bounds: [2], labelsOf: () => ({}) }), /wants the bound 2/)
})

test('a value costs a small part of what the package takes for it, in CPU time of the same run', (t) => {
  const registry = new Registry()
  const options = { name: 'a_seconds', help: 'x', labelNames: ['engine', 'model'] as const }
  const labels = { engine: 'gpu', model: 'talker' }
  const theirs = new PackageHistogram({ ...options, buckets: bounds, registers: [registry] }).labels(labels)
  const ours = new Histogram(new Catalog(), { ...options, bounds }).at(labels)
  const rounds = 300_000
  const nsOf = (observe: (value: number) => void) => {
    const before = process.cpuUsage()
    for (let at = 0; at < rounds; at += 1) observe((at % 97) / 1000)
    const { user, system } = process.cpuUsage(before)
    return ((user + system) * 1000) / rounds
  }
  const measured = [1, 2, 3].map(() => [nsOf((value) => ours.observe(value)), nsOf((value) => theirs.observe(value))])
  const best = (at: 0 | 1) => Math.min(...measured.map((pair) => pair[at] ?? Number.NaN))
  t.diagnostic(`${best(0).toFixed(0)} ns a value here, ${best(1).toFixed(0)} ns in the package`)
  ok(best(0) * 3 < best(1), 'a value is at least three times as cheap')
  equal(ours.read().count, 3 * rounds)
})
