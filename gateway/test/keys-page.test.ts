import { deepEqual, match } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { KeyRecord } from '../src/keys/keys-file.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/keys.md'), 'utf8')

type KeysOf<T> = Readonly<Record<keyof T, true>>
/** Every field of a key. The compiler refuses a list that lacks one, so a new setting cannot be left out of the page. */
const fields = {
  made: { id: true, hash: true, created: true, limits: true },
  plain: { name: true, models: true, expires: true, strictFields: true, earlyHeaders: true },
  heartbeat: { form: true, everyMs: true },
  timeouts: { streamFirstByteMs: true, plainFirstByteMs: true, idleMs: true, totalMs: true },
} satisfies {
  made: Partial<KeysOf<KeyRecord>>
  plain: KeysOf<Omit<KeyRecord, 'id' | 'hash' | 'created' | 'limits' | 'heartbeat' | 'timeouts'>>
  heartbeat: KeysOf<NonNullable<KeyRecord['heartbeat']>>
  timeouts: KeysOf<NonNullable<KeyRecord['timeouts']>>
}

test('docs/keys.md has a row for every setting of a key and for no other', () => {
  const named = [...page.matchAll(/^\| `([\w.]+)`/gm)].map(([, name]) => name)
  const wanted = [
    ...Object.keys(fields.plain),
    ...(['heartbeat', 'timeouts'] as const).flatMap((section) =>
      Object.keys(fields[section]).map((name) => `${section}.${name}`),
    ),
  ]
  deepEqual(named.toSorted(), wanted.toSorted())
  for (const name of Object.keys(fields.made)) match(page, new RegExp(`\`${name}\``))
})

test('docs/keys.md can be read in a minute: 50 lines at most', () => {
  deepEqual(page.split('\n').length <= 51, true)
})
