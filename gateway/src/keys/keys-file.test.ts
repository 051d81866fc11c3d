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
  match(refusal({ version: 1, keys: [{ ...record, admin: true }] }), /is not valid: keys\.0: .*admin/)
  match(refusal([]), /is not valid: \(root\)/)
  match(refusal('null'), /is not valid: \(root\)/)
  match(refusal(''), /Cannot read the keys file/)
  match(refusal({ version: 1, keys: [record, record] }), /holds a key id twice/)
})
