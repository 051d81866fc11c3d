import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from '@prometheus-io/client'
import fc from 'fast-check'
import { createCounter, registerGauge } from './counter.ts'
import { Histogram } from './histogram.ts'

const textOf = (registry: Registry, name: string) => registry.getSingleMetricAsString(name)

test('no label value breaks out of its line, and each comes back as it was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), async (value) => {
      const registry = new Registry()
      createCounter(registry, 'a_total', 'x', ['l']).add({ l: value })
      const lines = (await textOf(registry, 'a_total')).split('\n')
      equal(lines.length, 3)
      const written = /^a_total\{l="((?:[^"\\]|\\.)*)"\} 1$/su.exec(lines[2] ?? '')?.[1] ?? 'no line'
      equal(
        written.replace(/\\(.)/gs, (_all, next) => (next === 'n' ? '\n' : next)),
        value,
      )
    }),
  )
})

test('series beyond the bound are counted together as "other", of counters, histograms and gauges', async () => {
  const registry = new Registry()
  const counter = createCounter(registry, 'a_total', 'x', ['l', 'm'])
  const histogram = new Histogram(registry, { name: 'b_seconds', help: 'x', labelNames: ['l'], bounds: [1] })
  const all = Array.from({ length: 2_000 }, (_, at) => String(at))
  registerGauge(registry, 'c', 'x', ['l'], () => all.map((l) => [{ l }, 1] as const))
  for (const l of all) {
    counter.add({ l, m: 'same' })
    histogram.observe({ l }, 2)
  }
  const lines = (await textOf(registry, 'a_total')).split('\n').slice(2)
  equal(lines.length, 501)
  equal(lines.at(-1), 'a_total{l="other",m="other"} 1500')
  const buckets = (await textOf(registry, 'b_seconds')).split('\n')
  equal(buckets.length, 2 + 501 * 4)
  equal(buckets.at(-1), 'b_seconds_count{l="other"} 1500')
  equal((await textOf(registry, 'c')).split('\n').length, 2 + 500)
})

test('labels are one series in whatever order they come', async () => {
  const registry = new Registry()
  const counter = createCounter(registry, 'a_total', 'x', ['l', 'm'])
  counter.add({ l: 'x', m: 'y' })
  counter.add({ m: 'y', l: 'x' }, 2)
  deepEqual((await textOf(registry, 'a_total')).split('\n').slice(2), ['a_total{l="x",m="y"} 3'])
})

test('a gauge forgets what is no longer there', async () => {
  const registry = new Registry()
  let there: readonly string[] = ['direct']
  registerGauge(registry, 'a', 'x', ['path'], () => there.map((path) => [{ path }, 1] as const))
  await textOf(registry, 'a')
  there = ['derp']
  deepEqual((await textOf(registry, 'a')).split('\n').slice(2), ['a{path="derp"} 1'])
})

test('a name that is taken or is none is a mistake of ours', () => {
  const registry = new Registry()
  createCounter(registry, 'a_total', 'x', [])
  throws(() => registerGauge(registry, 'a_total', 'x', [], () => []), /already been registered/)
  throws(() => createCounter(registry, 'a-total', 'x', []), /Invalid metric name/)
})
