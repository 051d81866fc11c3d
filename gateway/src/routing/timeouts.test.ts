import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { timeoutsOf } from './timeouts.ts'

const names = ['streamFirstByteMs', 'plainFirstByteMs', 'idleMs', 'totalMs'] as const

test('each time limit is the key’s own, else the model’s, else that of the section', () => {
  const ms = fc.integer({ min: 1 })
  const all = fc.record({ streamFirstByteMs: ms, plainFirstByteMs: ms, idleMs: ms, totalMs: ms })
  const some = fc.record(
    { streamFirstByteMs: ms, plainFirstByteMs: ms, idleMs: ms, totalMs: ms },
    { requiredKeys: [], noNullPrototype: true },
  )
  fc.assert(
    fc.property(all, some, some, (section, model, key) => {
      const found = timeoutsOf(section, model, key)
      for (const name of names) equal(found[name], key[name] ?? model[name] ?? section[name], name)
      deepEqual(Object.keys(found).toSorted(), names.toSorted())
    }),
  )
})

test('without a model and without a key the section holds, with all that only it has', () => {
  const section = { streamFirstByteMs: 1, plainFirstByteMs: 2, idleMs: 3, totalMs: 4, queueMs: 5 }
  deepEqual(timeoutsOf(section, undefined, undefined), section)
})
