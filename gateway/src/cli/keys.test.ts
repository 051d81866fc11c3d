import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { type CliRun, runCli } from '../../test/run-cli.ts'
import { hashKey, keyIdOf } from '../keys/key.ts'
import { readKeysFile } from '../keys/keys-file.ts'

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hearth-cli-'))
  path = join(folder, 'state', 'keys.json')
})

afterEach(() => rmSync(folder, { recursive: true }))

function keys(...args: string[]): Promise<CliRun> {
  return runCli(['keys', ...args], { HEARTH_KEYS_FILE: path }, folder)
}

test('keys create writes the text of the key alone to stdout, and its hash alone to the file', async () => {
  const { code, out, err } = await keys('create', 'laptop')
  equal(code, 0)
  match(out, /^hk_\w+\n$/)
  const text = out.trim()
  const [record, ...more] = readKeysFile(path)
  deepEqual([record?.id, record?.hash, record?.name, more], [keyIdOf(text), hashKey(text), 'laptop', []])
  equal(readFileSync(path, 'utf8').includes(text.slice(14)), false)
  match(err, /^Key "laptop" \(\w{10}\) is in .*keys\.json\. This is the only time it is shown:\n$/)
})

test('keys create --json prints one JSON value with the key, its models and its end, and no hash', async () => {
  const before = Date.now()
  const { out, err } = await keys('create', 'phone', '--models', 'a, b', '--expires', '12h', '--json')
  const { key, ...shown } = JSON.parse(out)
  equal(err, '')
  const [record] = readKeysFile(path)
  const { hash, ...wanted } = record ?? {}
  deepEqual([hash, shown], [hashKey(key), wanted])
  deepEqual(shown.models, ['a', 'b'])
  const ends = Date.parse(shown.expires) - 12 * 3_600_000
  ok(ends >= before && ends <= Date.now(), shown.expires)
})

test('ten keys create at once make ten keys, also behind the lock of a writer that was killed', async () => {
  await keys('create', 'first')
  const longAgo = new Date(Date.now() - 60_000)
  writeFileSync(`${path}.lock`, '')
  utimesSync(`${path}.lock`, longAgo, longAgo)
  const names = Array.from({ length: 10 }, (_, index) => `key ${index}`)
  const runs = await Promise.all(names.map((name) => keys('create', name)))
  deepEqual(
    runs.map(({ code, err }) => (code === 0 ? code : err)),
    names.map(() => 0),
  )
  const records = readKeysFile(path)
  deepEqual(records.map(({ name }) => name).toSorted(), ['first', ...names])
  const hashes = new Set(records.map(({ hash }) => hash))
  deepEqual(
    runs.filter(({ out }) => !hashes.has(hashKey(out.trim()))),
    [],
  )
  deepEqual(readdirSync(join(folder, 'state')), ['keys.json'])
})

test('keys list shows id, name, models and end of each key, and never a hash', async () => {
  await keys('create', 'laptop')
  await keys('create', 'phone', '--models', 'a,b', '--expires', '30d')
  const [laptop, phone] = readKeysFile(path)
  const plain = await keys('list')
  equal(
    plain.out,
    `${laptop?.id}  laptop  models: all  expires: never\n${phone?.id}  phone  models: a, b  expires: ${phone?.expires}\n`,
  )
  const json = await keys('list', '--json')
  deepEqual(
    JSON.parse(json.out).map((key: object) => Object.keys(key)),
    [
      ['id', 'name', 'created'],
      ['id', 'name', 'models', 'expires', 'created'],
    ],
  )
  equal((plain.out + json.out).includes('sha256'), false)
})

test('keys list of a file that is not there says how to make a key, and makes no file', async () => {
  const { code, out, err } = await keys('list')
  deepEqual([code, out], [0, ''])
  match(err, /holds no keys; make one with: hearth keys create NAME/)
  deepEqual((await keys('list', '--json')).out, '[]\n')
  equal(existsSync(path), false)
})

test('keys revoke takes exactly the named key away', async () => {
  const [one, two] = [await keys('create', 'one', '--json'), await keys('create', 'two', '--json')]
  const { id } = JSON.parse(one.out)
  const { code, out } = await keys('revoke', id, '--json')
  deepEqual([code, JSON.parse(out)], [0, { id, revoked: true }])
  deepEqual(
    readKeysFile(path).map((record) => record.id),
    [JSON.parse(two.out).id],
  )
})

test('keys revoke of an unknown id fails with 1, names the id and changes nothing', async () => {
  await keys('create', 'one')
  const before = readFileSync(path, 'utf8')
  const { code, out, err } = await keys('revoke', 'AAAAAAAAAA')
  deepEqual([code, out], [1, ''])
  match(err, /no key with the id "AAAAAAAAAA"/)
  equal(readFileSync(path, 'utf8'), before)
})

test('words that make no sense are usage errors: exit 2, nothing on stdout, no file', async () => {
  const wrong: readonly [words: string[], reason: RegExp][] = [
    [['create'], /Wants one NAME, got \[\]/],
    [['create', 'a', 'b'], /Wants one NAME, got \["a","b"\]/],
    [['create', ' '], /Wants one NAME/],
    [['create', 'a\nb'], /without control characters/],
    [['create', 'a', '--expires', '5'], /--expires "5" is not a span; wants 90m, 12h or 30d/],
    [['create', 'a', '--expires', '0d'], /is not a span/],
    [['create', 'a', '--expires', '3651d'], /at most 3650d/],
    [['create', 'a', '--models', 'a,,b'], /--models "a,,b" holds an empty id/],
    [['create', 'a', '--colour'], /--colour/],
    [
      ['create', 'a', '--heartbeat', '999ms'],
      /--heartbeat "999ms" wants 5s \(1s to 110s\), empty-delta, empty-delta:5s or off/,
    ],
    [['create', 'a', '--heartbeat', 'empty-delta:111s'], /--heartbeat "empty-delta:111s" wants/],
    [['create', 'a', '--early-headers', 'no'], /--early-headers "no" wants off or on/],
    [
      ['create', 'a', '--timeout', 'queue=5s'],
      /--timeout "queue=5s" wants NAME=300s, each of streamFirstByte, plainFirstByte, idle, total once/,
    ],
    [['create', 'a', '--timeout', 'idle=0s'], /--timeout "idle=0s" wants/],
    [['create', 'a', '--timeout', 'idle=597h'], /--timeout "idle=597h" wants .* at most 596h/],
    [['create', 'a', '--timeout', 'idle=1s', '--timeout', 'idle=2s'], /--timeout "idle=2s" wants .* once/],
    [['list', '--timeout', 'idle=5s'], /"keys list" takes only --json/],
    [['list', '--expires', '1d'], /"keys list" takes only --json/],
    [['erase'], /"keys erase" is not a verb; wants create, list or revoke/],
  ]
  for (const [words, reason] of wrong) {
    const { code, out, err } = await keys(...words)
    deepEqual([code, out], [2, ''], words.join(' '))
    match(err, reason)
    match(err, /hearth keys create NAME/)
  }
  equal(existsSync(path), false)
})

test('a keys file that cannot be read ends with 3 and names the file, for every verb', async () => {
  await keys('create', 'one')
  writeFileSync(path, '{}')
  for (const words of [['list'], ['create', 'a'], ['revoke', 'a']]) {
    const { code, err } = await keys(...words)
    deepEqual([code, /The keys file ".*keys\.json" is not valid/.test(err)], [3, true], err)
  }
  equal(readFileSync(path, 'utf8'), '{}')
})

test('without HEARTH_KEYS_FILE the keys are in .hearth/keys.json', async () => {
  const { code } = await runCli(['keys', 'create', 'one'], {}, folder)
  deepEqual([code, readKeysFile(join(folder, '.hearth', 'keys.json')).length], [0, 1])
})

test('keys create --strict-fields makes a key whose unknown fields are refused, and keys list shows it', async () => {
  const { code, out } = await keys('create', 'robot', '--strict-fields', '--json')
  equal(code, 0)
  equal(JSON.parse(out).strictFields, true)
  await keys('create', 'person')
  deepEqual(
    readKeysFile(path).map(({ strictFields }) => strictFields),
    [true, undefined],
  )
  const [robot = '', person = ''] = (await keys('list')).out.split('\n')
  match(robot, /robot .* {2}strict fields$/)
  equal(person.includes('strict'), false)
  equal((await keys('list', '--strict-fields')).code, 2)
})

test('keys create keeps heartbeat, early headers and timeouts of the key, and keys list shows them as they were said', async () => {
  const said: readonly (readonly [words: string[], record: object, shown: string])[] = [
    [['--heartbeat', '5s'], { heartbeat: { form: 'comment', everyMs: 5000 } }, 'heartbeat: comment every 5s'],
    [['--heartbeat', 'off'], { heartbeat: { form: 'off' } }, 'heartbeat: off'],
    [['--heartbeat', 'empty-delta'], { heartbeat: { form: 'empty-delta' } }, 'heartbeat: empty-delta'],
    [
      ['--heartbeat', 'empty-delta:1500ms', '--early-headers', 'off'],
      { heartbeat: { form: 'empty-delta', everyMs: 1500 }, earlyHeaders: false },
      'heartbeat: empty-delta every 1500ms  early headers: off',
    ],
    [
      ['--timeout', 'idle=300s', '--timeout', 'plainFirstByte=1h'],
      { timeouts: { idleMs: 300_000, plainFirstByteMs: 3_600_000 } },
      'timeouts: plainFirstByte=1h, idle=5m',
    ],
  ]
  for (const [index, [words]] of said.entries()) equal((await keys('create', `key${index}`, ...words)).code, 0)
  const lines = (await keys('list')).out.trim().split('\n')
  for (const [index, { id, hash, name, created, ...settings }] of readKeysFile(path).entries()) {
    deepEqual(settings, said[index]?.[1])
    equal(lines[index], `${id}  ${name}  models: all  expires: never  ${said[index]?.[2]}`)
    match(`${hash} ${created}`, /^sha256:/)
  }
  equal(lines.length, said.length)
})
