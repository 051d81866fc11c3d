import { deepEqual, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Admission } from '../src/admission.ts'
import { registerGauges } from '../src/app.ts'
import { BodyBudget } from '../src/body/budget.ts'
import { Connections } from '../src/edge/connections.ts'
import { InFlight } from '../src/edge/lifecycle.ts'
import { Catalog } from '../src/metrics/catalog.ts'
import { registerProcess } from '../src/metrics/process.ts'
import { createMeters } from '../src/metrics.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8')

/** Every metric of a gateway without engines. */
function registerAll(): Catalog {
  const catalog = new Catalog()
  const meters = createMeters(catalog)
  const engines = { all: [], models: [], find: () => undefined, close: async () => {} }
  const admission = new Admission([], { queueMax: 1, queueMs: 1 })
  const budget = new BodyBudget({ bytesMax: 1, bytesPerHolderMax: 1 })
  const now = () => 0
  const connections = new Connections({ connectionsMax: 1, meters, log: () => {}, now })
  registerGauges(catalog, {
    admission,
    engines,
    probes: new Map(),
    budget,
    inFlight: new InFlight(),
    now,
    connections,
  })
  registerProcess(catalog)
  return catalog
}

test('docs/metrics.md names every metric of the gateway with its type, and no other', () => {
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, name, type]) => [name, type])
  const registered = registerAll().all.map(({ name, type }) => [name, type])
  deepEqual(rows.toSorted(), registered.toSorted())
})

test('every metric says what it is, and its name what it counts in', () => {
  for (const { name, help, type } of registerAll().all) {
    ok(help.length > 5, name)
    deepEqual([name, name.endsWith('_total')], [name, type === 'counter'])
  }
})

test('the queries of docs/metrics.md ask for metrics that there are', () => {
  const names = new Set(
    registerAll().all.flatMap(({ name, type }) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  )
  const queries = [...page.matchAll(/```promql\n([\s\S]*?)```/g)].map(([, text = '']) => text)
  ok(queries.length > 0)
  for (const [name] of queries.join('').matchAll(/\b(?:hearth|gen_ai|process|nodejs)_\w+/g)) ok(names.has(name), name)
})
