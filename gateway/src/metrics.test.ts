import { deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createMeters, Registry } from './metrics.ts'

test('a counter, a gauge and a histogram are written as Prometheus reads them', () => {
  const registry = new Registry()
  const counter = registry.counter('a_total', 'What is counted.', ['code'])
  registry.gauge('b', 'Now.', () => [[{ engine: 'gpu' }, 3]])
  const histogram = registry.histogram('c_seconds', 'How long.', [], [0.1, 1])
  counter.add({ code: 'ok' })
  counter.add({ code: 'ok' }, 2)
  for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe({}, value)
  equal(
    registry.render(),
    `# HELP a_total What is counted.
# TYPE a_total counter
a_total{code="ok"} 3
# HELP b Now.
# TYPE b gauge
b{engine="gpu"} 3
# HELP c_seconds How long.
# TYPE c_seconds histogram
c_seconds_bucket{le="0.1"} 2
c_seconds_bucket{le="1"} 3
c_seconds_bucket{le="+Inf"} 4
c_seconds_sum 7.65
c_seconds_count 4
`,
  )
})

test('no label value breaks out of its line, and each comes back as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      const registry = new Registry()
      registry.counter('a_total', 'x', ['l']).add({ l: value })
      const lines = registry.render().split('\n')
      equal(lines.length, 4)
      const written = /^a_total\{l="((?:[^"\\]|\\.)*)"\} 1$/su.exec(lines[2] ?? '')?.[1] ?? 'no line'
      equal(
        written.replace(/\\(.)/gs, (_all, next) => (next === 'n' ? '\n' : next)),
        value,
      )
    }),
  )
})

test('series beyond the bound are counted together as "other"', () => {
  const registry = new Registry()
  const counter = registry.counter('a_total', 'x', ['l', 'm'])
  for (let at = 0; at < 2_000; at += 1) counter.add({ l: String(at), m: 'same' })
  const lines = registry.render().trim().split('\n').slice(2)
  equal(lines.length, 501)
  equal(lines.at(-1), 'a_total{l="other",m="other"} 1500')
})

test('a name that is taken or is none is a mistake of ours', () => {
  const registry = new Registry()
  registry.counter('a_total', 'x', [])
  throws(() => registry.gauge('a_total', 'x', () => []), /there already/)
  throws(() => registry.counter('a-total', 'x', []), /no name/)
})

test('the meters of the gateway stand in the text under their names', () => {
  const registry = new Registry()
  const meters = createMeters(registry)
  meters.request({ route: '/health', status: 204, code: 'ok', ms: 20 })
  meters.dial('gpu', 'mesh_refused')
  meters.retry('gpu', 'stale')
  meters.firstByte('gpu', 700)
  meters.connectionShed('idle')
  const text = registry.render()
  const names = [...text.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name)
  deepEqual(names.toSorted(), [
    'hearth_connect_attempts_total',
    'hearth_connections_shed_total',
    'hearth_first_byte_seconds',
    'hearth_request_seconds',
    'hearth_requests_total',
    'hearth_retries_total',
  ])
  match(text, /^hearth_requests_total\{route="\/health",status="2xx",code="ok"\} 1$/m)
  ok(text.includes('hearth_first_byte_seconds_bucket{engine="gpu",le="1"} 1'))
})
