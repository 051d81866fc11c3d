import { deepEqual } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Admission } from '../src/admission.ts'
import { registerGauges } from '../src/app.ts'
import { BodyBudget } from '../src/body/budget.ts'
import { Connections } from '../src/edge/connections.ts'
import { createMeters, Registry } from '../src/metrics.ts'

test('docs/metrics.md names every metric of the gateway and no other', () => {
  const registry = new Registry()
  const meters = createMeters(registry)
  const engines = { all: [], models: [], find: () => undefined, close: async () => {} }
  const admission = new Admission([], { queueMax: 1, queueMs: 1 })
  const budget = new BodyBudget({ bytesMax: 1, bytesPerHolderMax: 1 })
  const connections = new Connections({ connectionsMax: 1, meters, log: () => {}, now: () => 0 })
  registerGauges(registry, { admission, engines, budget, connections })
  const page = readFileSync(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8')
  const named = [...page.matchAll(/^\| `(hearth_\w+)`/gm)].map(([, name]) => name)
  const counted = [...registry.render().matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name)
  deepEqual(named.toSorted(), counted.toSorted())
})
