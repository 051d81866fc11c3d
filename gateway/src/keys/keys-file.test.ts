import { deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { createKey } from './key.ts'
import { changeKeysFile, type KeyRecord, KeysFileError, readKeysFile } from './keys-file.ts'

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hearth-keys-'))
  path = join(folder, 'keys.json')
})

afterEach(() => rmSync(folder, { recursive: true }))

function createRecord(more: Partial<KeyRecord> = {}): KeyRecord {
  const { id, hash } = createKey()
  return { id, hash, name: 'laptop', ...more }
}

function refusal(document: unknown): string {
  writeFileSync(path, typeof document === 'string' ? document : JSON.stringify(document))
  try {
    readKeysFile(path)
  } catch (error) {
    return error instanceof KeysFileError ? error.message : `not a KeysFileError: ${error}`
  }
  return 'was read'
}

test('changeKeysFile() makes an absent file and its folder, and readKeysFile() reads it back', () => {
  const deep = join(folder, 'a', 'b', 'keys.json')
  const record = createRecord({ models: ['m'], expires: '2030-01-01T00:00:00.000Z' })
  changeKeysFile(deep, (keys) => [...keys, record])
  deepEqual(readKeysFile(deep), [record])
})

test('a keys file can be read by its owner alone', () => {
  changeKeysFile(path, () => [createRecord()])
  equal(statSync(path).mode & 0o777, 0o600)
})

test('changeKeysFile() leaves neither a lock nor a draft behind', () => {
  changeKeysFile(path, () => [createRecord()])
  deepEqual(readdirSync(folder), ['keys.json'])
})

test('a change that throws leaves the file as it was, and no lock', () => {
  changeKeysFile(path, () => [createRecord()])
  const before = readFileSync(path, 'utf8')
  throws(
    () =>
      changeKeysFile(path, () => {
        throw new Error('no')
      }),
    /^Error: no$/,
  )
  equal(readFileSync(path, 'utf8'), before)
  deepEqual(readdirSync(folder), ['keys.json'])
})

test('changeKeysFile() does not touch a file that it cannot read', () => {
  writeFileSync(path, '{ "version": 1, "keys": [')
  throws(() => changeKeysFile(path, (keys) => keys), KeysFileError)
  equal(readFileSync(path, 'utf8'), '{ "version": 1, "keys": [')
})

test('changeKeysFile() replaces the file by a rename, so that an open reader keeps the old one', () => {
  changeKeysFile(path, () => [createRecord()])
  const before = statSync(path).ino
  changeKeysFile(path, (keys) => [...keys, createRecord()])
  ok(statSync(path).ino !== before)
})

/** Leaves a file as a writer would that was killed long ago. */
function leaveBehind(file: string): void {
  writeFileSync(file, '')
  const longAgo = new Date(Date.now() - 60_000)
  utimesSync(file, longAgo, longAgo)
}

test('changeKeysFile() gives up on a lock that another program holds, and names it', (t) => {
  t.mock.method(Atomics, 'wait', () => 'timed-out')
  writeFileSync(`${path}.lock`, '')
  throws(
    () => changeKeysFile(path, (keys) => keys),
    /KeysFileError: Another program holds ".*keys\.json\.lock"; remove/,
  )
  deepEqual(readdirSync(folder), ['keys.json.lock'])
})

test('changeKeysFile() removes the lock of a writer that was killed', () => {
  leaveBehind(`${path}.lock`)
  changeKeysFile(path, () => [createRecord()])
  deepEqual(readdirSync(folder), ['keys.json'])
})

test('while another program removes the lock of a killed writer, changeKeysFile() keeps its hands off it', (t) => {
  t.mock.method(Atomics, 'wait', () => 'timed-out')
  leaveBehind(`${path}.lock`)
  writeFileSync(`${path}.lock.stale`, '')
  throws(() => changeKeysFile(path, (keys) => keys), KeysFileError)
  deepEqual(readdirSync(folder), ['keys.json.lock', 'keys.json.lock.stale'])
})

test('readKeysFile() names the file that is not there', () => {
  throws(() => readKeysFile(path), /KeysFileError: Cannot read the keys file ".*keys\.json": ENOENT/)
})

test('readKeysFile() names each wrong field and what it wants', () => {
  const { id, hash } = createRecord()
  const message = refusal({
    version: 1,
    keys: [
      { id: 'short', hash, name: 'a' },
      { id, hash: 'sha256:zz', name: 'b', expires: 'tomorrow' },
    ],
  })
  match(message, /keys\.0\.id: wants the 10 letters and digits/)
  match(message, /keys\.1\.hash: wants sha256: and 64 hex digits/)
  match(message, /keys\.1\.expires: /)
})

test('readKeysFile() refuses an unknown version, an unknown field, a wrong root and one id twice', () => {
  const record = createRecord()
  match(refusal({ version: 2, keys: [] }), /is not valid: version/)
  match(refusal({ version: 1, keys: [{ ...record, admin: true }] }), /is not valid: keys\.0\.admin: is not a known key/)
  match(refusal([]), /is not valid: \(root\)/)
  match(refusal('null'), /is not valid: \(root\)/)
  match(refusal(''), /Cannot read the keys file/)
  match(refusal({ version: 1, keys: [record, record] }), /holds a key id twice/)
})

const someSettings = {
  heartbeat: { form: 'empty-delta', everyMs: 100 },
  earlyHeaders: false,
  timeouts: { streamFirstByteMs: 1, plainFirstByteMs: 2_147_483_647, idleMs: 300_000, totalMs: 5 },
} as const

test('the settings of a key read back as they were written, also those at their bounds', () => {
  const records = [
    createRecord(someSettings),
    createRecord({ heartbeat: { form: 'comment', everyMs: 110_000 }, earlyHeaders: true, timeouts: {} }),
    createRecord({ heartbeat: { form: 'off' } }),
  ]
  changeKeysFile(path, () => records)
  deepEqual(readKeysFile(path), records)
})

test('a file of before keys had settings is read, and its version stays 1', () => {
  const old = createRecord({ models: ['m'], limits: {}, strictFields: true })
  changeKeysFile(path, () => [old])
  deepEqual([readKeysFile(path), JSON.parse(readFileSync(path, 'utf8')).version], [[old], 1])
})

test('each bad setting of a key is refused by its field, its value and what is wanted', () => {
  const timeouts = ['streamFirstByteMs', 'plainFirstByteMs', 'idleMs', 'totalMs'].flatMap((name) =>
    [0, -1, 1.5, '300s', null, 2_147_483_648].map(
      (bad) => [{ timeouts: { [name]: bad } }, `timeouts.${name}`, bad] as const,
    ),
  )
  const everyMs = [0, 99, 110_001, 1.5, '5s', null].map(
    (bad) => [{ heartbeat: { form: 'comment', everyMs: bad } }, 'heartbeat.everyMs', bad] as const,
  )
  const cases: readonly (readonly [settings: object, field: string, value: unknown])[] = [
    ...timeouts,
    ...everyMs,
    ...['Comment', 'on', true, null].map((bad) => [{ heartbeat: { form: bad } }, 'heartbeat.form', bad] as const),
    ...['off', 0, null].map((bad) => [{ earlyHeaders: bad }, 'earlyHeaders', bad] as const),
    [{ heartbeat: 'off' }, 'heartbeat', 'off'],
    [{ heartbeat: null }, 'heartbeat', null],
    [{ timeouts: null }, 'timeouts', null],
  ]
  for (const [settings, field, value] of cases) {
    const message = refusal({ version: 1, keys: [{ ...createRecord(), ...settings }] })
    const told = message.slice(message.indexOf('is not valid: ') + 'is not valid: '.length)
    ok(told.startsWith(`keys.0.${field}: ${JSON.stringify(value)}: `), message)
    match(told, /wants|expected/, message)
  }
  console.log(`${cases.length} of ${cases.length} bad settings are named`)
})

test('a setting that nobody knows is refused by its name, at every depth', () => {
  const refusalOf = (settings: object) => refusal({ version: 1, keys: [{ ...createRecord(), ...settings }] })
  match(refusalOf({ heartbeats: {} }), /keys\.0\.heartbeats: is not a known key/)
  match(refusalOf({ heartbeat: { form: 'off', every: 5 } }), /keys\.0\.heartbeat\.every: is not a known key/)
  match(refusalOf({ timeouts: { queueMs: 5 } }), /keys\.0\.timeouts\.queueMs: is not a known key/)
})

test('where a key was pasted in the place of its id, hash or name, the refusal does not show it', () => {
  const { text } = createKey()
  const record = createRecord()
  for (const field of ['id', 'hash'])
    equal(refusal({ version: 1, keys: [{ ...record, [field]: text }] }).includes(text), false, field)
  equal(refusal({ version: 1, keys: [{ ...record, name: text.repeat(3) }] }).includes(text), false)
})
