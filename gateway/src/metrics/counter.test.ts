import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Catalog } from './catalog.ts'
import { createCounter, registerGauge } from './counter.ts'
import { Histogram } from './histogram.ts'
import { MetricsText } from './render.ts'

const linesOf = async (catalog: Catalog, name: string) =>
  (await new MetricsText(catalog).read('prometheus'))
    .trim()
    .split('\n')
    .filter((line) => line.startsWith(name))

test('no label value breaks out of its line, and each comes back as it was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), async (value) => {
      const catalog = new Catalog()
      createCounter(catalog, 'a_total', 'x', ['l']).add({ l: value })
      const lines = (await new MetricsText(catalog).read('prometheus')).split('\n')
      equal(lines.length, 4)
      const written = /^a_total\{l="((?:[^"\\]|\\.)*)"\} 1$/su.exec(lines[2] ?? '')?.[1] ?? 'no line'
      equal(
        written.replace(/\\(.)/gs, (_all, next) => (next === 'n' ? '\n' : next)),
        value,
      )
    }),
  )
})

test('series beyond the bound are counted together as "other", of counters, histograms and gauges', async () => {
  const catalog = new Catalog()
  const counter = createCounter(catalog, 'a_total', 'x', ['l', 'm'])
  const histogram = new Histogram(catalog, { name: 'b_seconds', help: 'x', labelNames: ['l'], bounds: [1] })
  const all = Array.from({ length: 2_000 }, (_, at) => String(at))
  registerGauge(catalog, 'c', 'x', () => all.map((l) => [{ l }, 1] as const))
  for (const l of all) {
    counter.add({ l, m: 'same' })
    histogram.observe({ l }, 2)
  }
  const lines = await linesOf(catalog, 'a_total')
  equal(lines.length, 501)
  equal(lines.at(-1), 'a_total{l="other",m="other"} 1500')
  const buckets = await linesOf(catalog, 'b_seconds')
  equal(buckets.length, 501 * 4)
  equal(buckets.at(-1), 'b_seconds_count{l="other"} 1500')
  equal((await linesOf(catalog, 'c')).length, 500)
})

test('labels are one series in whatever order they come', async () => {
  const catalog = new Catalog()
  const counter = createCounter(catalog, 'a_total', 'x', ['l', 'm'])
  counter.add({ l: 'x', m: 'y' })
  counter.add({ m: 'y', l: 'x' }, 2)
  deepEqual(await linesOf(catalog, 'a_total'), ['a_total{l="x",m="y"} 3'])
})

test('a gauge forgets what is no longer there', async () => {
  const catalog = new Catalog()
  let there: readonly string[] = ['direct']
  registerGauge(catalog, 'a', 'x', () => there.map((path) => [{ path }, 1] as const))
  await linesOf(catalog, 'a')
  there = ['derp']
  deepEqual(await linesOf(catalog, 'a'), ['a{path="derp"} 1'])
})

test('a name that is taken or is none is a mistake of ours', () => {
  const catalog = new Catalog()
  createCounter(catalog, 'a_total', 'x', [])
  throws(() => createCounter(catalog, 'a_total', 'x', []), /there already/)
  for (const name of ['a-total', 'a_bytes', '_total']) throws(() => createCounter(catalog, name, 'x', []), /is no name/)
  throws(() => registerGauge(catalog, 'b_total', 'x', () => []), /is no name of a gauge/)
})
