import { deepEqual } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Admission } from '../src/admission.ts'
import { registerGauges } from '../src/app.ts'
import { createMeters, Registry } from '../src/metrics.ts'

test('docs/metrics.md names every metric of the gateway and no other', () => {
  const registry = new Registry()
  createMeters(registry)
  const engines = { all: [], models: [], find: () => undefined, close: async () => {} }
  registerGauges(registry, { admission: new Admission([], { queueMax: 1, queueMs: 1 }), engines })
  const page = readFileSync(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8')
  const named = [...page.matchAll(/^\| `(hearth_\w+)`/gm)].map(([, name]) => name)
  const counted = [...registry.render().matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name)
  deepEqual(named.toSorted(), counted.toSorted())
})
