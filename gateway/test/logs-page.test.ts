import { deepEqual, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot } from '../dev/parts.ts'
import { requestFields } from '../src/log/request-fields.data.ts'

const page = readFileSync(join(repositoryRoot, 'docs/logs.md'), 'utf8')
const google = ['trace', 'spanId', 'trace_sampled', 'insertId'].map((name) => `logging.googleapis.com/${name}`)
const fields = ['severity', 'time', 'message', 'httpRequest', ...google, ...requestFields]

test('docs/logs.md names every field of a record of a request and no other', () => {
  const rows = [...page.matchAll(/^\| (`[^|]*`) \|/gm)].map(([, names = '']) => names)
  const named = rows.flatMap((row) => [...row.matchAll(/`([^`]+)`/g)].map(([, name]) => name))
  deepEqual(named.toSorted(), fields.toSorted())
})

test('the examples of docs/logs.md are records: one of each form, with fields that there are', () => {
  const examples = [...page.matchAll(/^\{.*\}$/gm)].map(([line]): Record<string, unknown> => JSON.parse(line))
  deepEqual(
    examples.map((record) => 'logging.googleapis.com/insertId' in record),
    [false, true],
  )
  for (const record of examples)
    deepEqual(
      Object.keys(record).filter((name) => !fields.includes(name)),
      [],
    )
  const shown = new Set(examples.flatMap((record) => Object.keys(record)))
  ok(shown.size > 30, `only ${shown.size} fields are shown`)
})
