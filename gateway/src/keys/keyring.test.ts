import { deepEqual, equal, match, throws } from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import fc from 'fast-check'
import { withDeadline } from '../../test/deadline.ts'
import { heartbeatDefault } from '../upstream/heartbeat.ts'
import { createKey, type NewKey } from './key.ts'
import { type Keyring, openKeyring } from './keyring.ts'
import { changeKeysFile, type KeyRecord, KeysFileError } from './keys-file.ts'

type Change = { readonly keys: number; readonly problem?: string }

const periodMs = 10
const nowMs = Date.parse('2026-06-01T00:00:00Z')
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

let folder: string
let path: string
let open: Keyring[]
let changes: Change[]
let onChange: (change: Change) => void

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hearth-keyring-'))
  path = join(folder, 'keys.json')
  open = []
  changes = []
  onChange = () => {}
})

afterEach(() => {
  for (const keyring of open) keyring.close()
  rmSync(folder, { recursive: true })
})

function addKey(more: Partial<KeyRecord> = {}): NewKey {
  const key = createKey()
  changeKeysFile(path, (keys) => [...keys, { id: key.id, hash: key.hash, name: `name of ${key.id}`, ...more }])
  return key
}

function openRing(everyMs = periodMs): Keyring {
  const keyring = openKeyring({
    path,
    everyMs,
    onChange: (change) => {
      changes.push(change)
      onChange(change)
    },
  })
  open.push(keyring)
  return keyring
}

/** The next thing that the keyring reports. */
function nextChange(label: string): Promise<Change> {
  const { promise, resolve } = Promise.withResolvers<Change>()
  onChange = resolve
  return withDeadline(promise, 2000, label)
}

test('a key of the file is its caller, with its id and its name', () => {
  const key = addKey()
  const caller = openRing().identify(key.text, nowMs)
  deepEqual([caller?.keyId, caller?.keyName], [key.id, `name of ${key.id}`])
})

test('a key that is not in the file, no key at all and a mistyped one are nobody', () => {
  const { text } = addKey()
  const keyring = openRing()
  for (const wrong of [createKey().text, '', 'hk_', `${text} `, text.slice(1)])
    equal(keyring.identify(wrong, nowMs), undefined, wrong)
})

test('a key of the file with one flipped character is nobody', () => {
  const key = addKey()
  const keyring = openRing()
  fc.assert(
    fc.property(fc.nat(key.text.length - 1), fc.constantFrom(...alphabet), (at, letter) => {
      fc.pre(key.text[at] !== letter)
      equal(keyring.identify(key.text.slice(0, at) + letter + key.text.slice(at + 1), nowMs), undefined)
    }),
    { numRuns: 1000 },
  )
})

test('a well-formed key with the id of another is nobody: the whole text counts', () => {
  const mine = createKey()
  const { hash } = createKey()
  changeKeysFile(path, () => [{ id: mine.id, hash, name: 'another' }])
  equal(openRing().identify(mine.text, nowMs), undefined)
})

test('a key is good until the moment it expires', () => {
  const key = addKey({ expires: new Date(nowMs).toISOString() })
  const keyring = openRing()
  equal(keyring.identify(key.text, nowMs - 1)?.keyId, key.id)
  equal(keyring.identify(key.text, nowMs), undefined)
})

test('a key may use the models it names, and every model where it names none', () => {
  const [some, all, none] = [addKey({ models: ['a'] }), addKey(), addKey({ models: [] })]
  const keyring = openRing()
  const allowed = (key: NewKey) =>
    ['a', 'b'].map((model) => keyring.identify(key.text, nowMs)?.mayUse([model, `${model}-alias`]))
  deepEqual(allowed(some), [true, false])
  deepEqual(allowed(all), [true, true])
  deepEqual(allowed(none), [false, false])
  const byAlias = addKey({ models: ['b-alias'] })
  deepEqual(
    ['a', 'b'].map((model) =>
      openRing()
        .identify(byAlias.text, nowMs)
        ?.mayUse([model, `${model}-alias`]),
    ),
    [false, true],
  )
})

test('openKeyring() throws when the file is absent or bad at the start', () => {
  throws(() => openRing(), KeysFileError)
  writeFileSync(path, '{')
  throws(() => openRing(), KeysFileError)
})

test('a change of the file is in force after one period', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const old = addKey()
  const keyring = openRing(2000)
  const fresh = addKey()
  changeKeysFile(path, (keys) => keys.filter(({ id }) => id !== old.id))
  t.mock.timers.tick(1999)
  equal(keyring.identify(old.text, nowMs)?.keyId, old.id)
  t.mock.timers.tick(1)
  deepEqual([keyring.identify(old.text, nowMs), keyring.identify(fresh.text, nowMs)?.keyId], [undefined, fresh.id])
  deepEqual(changes, [{ keys: 1 }])
})

test('a file that does not change is not reported', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  addKey()
  openRing(2000)
  t.mock.timers.tick(20_000)
  deepEqual(changes, [])
})

test('a file that turns bad keeps the last good keys and says so once, and is followed again when it is good', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const key = addKey()
  const keyring = openRing(2000)
  writeFileSync(path, '{"version":1,"keys":')
  t.mock.timers.tick(6000)
  equal(keyring.identify(key.text, nowMs)?.keyId, key.id)
  equal(changes.length, 1)
  match(changes[0]?.problem ?? '', /Cannot read the keys file/)
  writeFileSync(path, '{"version":1,"keys":[]}')
  t.mock.timers.tick(2000)
  deepEqual([keyring.identify(key.text, nowMs), changes.length], [undefined, 2])
})

test('a file that is gone, or whose path cannot even be looked at, keeps the last good keys', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const key = addKey()
  const keyring = openRing(2000)
  renameSync(path, `${path}.aside`)
  t.mock.timers.tick(2000)
  symlinkSync('keys.json', path)
  t.mock.timers.tick(2000)
  equal(keyring.identify(key.text, nowMs)?.keyId, key.id)
  deepEqual(
    changes.map(({ problem }) => /ENOENT|ELOOP/.exec(problem ?? '')?.[0]),
    ['ENOENT', 'ELOOP'],
  )
  rmSync(path)
  renameSync(`${path}.aside`, path)
  t.mock.timers.tick(2000)
  deepEqual(changes[2], { keys: 1 })
})

test('a mounted secret that is swapped by its link is followed, though size and time stay the same', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const old = addKey()
  renameSync(path, join(folder, 'one'))
  symlinkSync('one', path)
  utimesSync(path, 1, 1)
  const keyring = openRing(2000)
  path = join(folder, 'two')
  const fresh = addKey()
  for (const name of ['one', 'two']) utimesSync(join(folder, name), 1, 1)
  symlinkSync('two', join(folder, 'next'))
  renameSync(join(folder, 'next'), join(folder, 'keys.json'))
  t.mock.timers.tick(2000)
  deepEqual([keyring.identify(old.text, nowMs), keyring.identify(fresh.text, nowMs)?.keyId], [undefined, fresh.id])
})

test('a change is found with the real clock, too', async () => {
  addKey()
  const keyring = openRing()
  const change = nextChange('the keyring sees the new key')
  const fresh = addKey()
  deepEqual(await change, { keys: 2 })
  equal(keyring.identify(fresh.text, nowMs)?.keyId, fresh.id)
})

test('a closed keyring follows no more', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  addKey()
  openRing(2000).close()
  addKey()
  t.mock.timers.tick(4000)
  deepEqual(changes, [])
})

test('a key has strict fields only where the file says so, and a salt of its own', () => {
  const [strict, loose] = [addKey({ strictFields: true }), addKey()]
  const keyring = openKeyring({ path, everyMs: periodMs, onChange })
  open.push(keyring)
  const [one, other] = [strict, loose].map(({ text }) => keyring.identify(text, nowMs))
  deepEqual([one?.strictFields, other?.strictFields], [true, false])
  match(one?.cacheSalt ?? '', /^[0-9a-f]{64}$/)
  equal(one?.cacheSalt === other?.cacheSalt, false)
})

test('what a key has of its own is with its caller, and what it leaves out is as for all', () => {
  const [own, some, none] = [
    addKey({ heartbeat: { form: 'empty-delta', everyMs: 250 }, earlyHeaders: false, timeouts: { idleMs: 7 } }),
    addKey({ heartbeat: { form: 'off' } }),
    addKey(),
  ]
  const keyring = openRing()
  const settingsOf = ({ text }: NewKey) => {
    const caller = keyring.identify(text, nowMs)
    return [caller?.heartbeat, caller?.timeouts]
  }
  deepEqual(settingsOf(own), [{ form: 'empty-delta', everyMs: 250, earlyHeaders: false }, { idleMs: 7 }])
  deepEqual(settingsOf(some), [{ form: 'off', everyMs: 15_000, earlyHeaders: true }, {}])
  deepEqual(settingsOf(none), [heartbeatDefault, {}])
})

test('the settings of a key are made once for each version of the file, not for each request', () => {
  const key = addKey({ heartbeat: { form: 'comment', everyMs: 1000 }, timeouts: { idleMs: 7 } })
  const keyring = openRing()
  const [one, other] = [keyring.identify(key.text, nowMs), keyring.identify(key.text, nowMs)]
  equal(one !== undefined && one.heartbeat === other?.heartbeat && one.timeouts === other.timeouts, true)
})
