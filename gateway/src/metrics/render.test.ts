import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { test } from 'node:test'
import { createMeters } from '../metrics.ts'
import { Catalog } from './catalog.ts'
import { createCounter } from './counter.ts'
import { Histogram } from './histogram.ts'
import { chooseFormat, MetricsText } from './render.ts'

function openCatalog(): Catalog {
  const catalog = new Catalog()
  createCounter(catalog, 'a_total', 'Counted.', ['l']).add({ l: 'x' })
  new Histogram(catalog, { name: 'b_seconds', help: 'Sorted.', labelNames: [], bounds: [1] }).observe({}, 2)
  return catalog
}

test('both formats name a counter so that its line ends in _total, however often each is asked for', async () => {
  const text = new MetricsText(openCatalog())
  for (let turn = 0; turn < 2; turn += 1) {
    equal(
      await text.read('prometheus'),
      `# HELP a_total Counted.
# TYPE a_total counter
a_total{l="x"} 1
# HELP b_seconds Sorted.
# TYPE b_seconds histogram
b_seconds_bucket{le="1"} 0
b_seconds_bucket{le="+Inf"} 1
b_seconds_sum 2
b_seconds_count 1
`,
    )
    equal(
      await text.read('openmetrics'),
      `# HELP a Counted.
# TYPE a counter
a_total{l="x"} 1
# HELP b_seconds Sorted.
# TYPE b_seconds histogram
b_seconds_bucket{le="1"} 0
b_seconds_bucket{le="+Inf"} 1
b_seconds_sum 2
b_seconds_count 1
# EOF
`,
    )
  }
})

test('a scraper gets the format that it weighs more, and the old one where it does not say', () => {
  const ofPrometheus =
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2'
  const chosen = [ofPrometheus, undefined, '*/*', 'text/plain', 'application/openmetrics-text;q=0', 'q=1, ;;,'].map(
    chooseFormat,
  )
  deepEqual(chosen, ['openmetrics', 'prometheus', 'prometheus', 'prometheus', 'prometheus', 'prometheus'])
  equal(chooseFormat('text/plain;q=0.1, Application/OpenMetrics-Text; q=0.2'), 'openmetrics')
})

test('scrapes at the same time share one text, and the next one gets a new one', async () => {
  const catalog = openCatalog()
  const text = new MetricsText(catalog)
  const [one, other] = [text.read('prometheus'), text.read('prometheus')]
  equal(one, other)
  await one
  const later = text.read('prometheus')
  ok(later !== one)
  match(await later, /^a_total\{l="x"\} 1$/m)
})

test('a scrape of 500 series a metric gives way to other work between two metrics', async (t) => {
  const catalog = new Catalog()
  const meters = createMeters(catalog)
  for (let at = 0; at < 600; at += 1) {
    const of = { engine: 'gpu', model: `m${at}` }
    meters.tokenGaps(of)(20)
    const usage = { promptTokens: 1, completionTokens: 5, estimated: false }
    meters.answer({ ...of, operation: 'chat', code: 'ok', ms: 9, firstTokenMs: 1, bytesOut: 1, pictures: 1, usage })
    for (const code of ['ok', 'engine_died'])
      meters.request({ route: `r${at}`, status: 200, code, ms: 1, aborted: 'client_gone' })
  }
  const text = new MetricsText(catalog)
  await text.read('prometheus')
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  let turns = 0
  let running = true
  const spin = () => {
    turns += 1
    if (running) setImmediate(spin)
  }
  setImmediate(spin)
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  const length = (await text.read('prometheus')).length
  const ms = performance.now() - startedAt
  const { user, system } = process.cpuUsage(cpu)
  running = false
  delays.disable()
  t.diagnostic(
    `${(length / 1e6).toFixed(1)} MB, ${ms.toFixed(0)} ms, ${((user + system) / 1000).toFixed(0)} ms CPU, ${turns} other turns, longest pause ${(delays.max / 1e6).toFixed(0)} ms`,
  )
  ok(turns >= catalog.all.length, `${turns} turns of other work`)
})
