import { deepEqual, equal, match } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { findPlanted, plant, secretsOf } from './canaries.ts'
import { keepLogs, keptLogsVariable, type LogFindings, takeKeptLogs } from './kept-logs.ts'

const secret = '0123456789abcdefghijABCDEFGHIJ0123456789abcNNNNNN'
const key = `hk_ABCDEFGHIJ_${secret}`
const before = process.env[keptLogsVariable]
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hearth-kept-'))
  process.env[keptLogsVariable] = folder
})

afterEach(() => {
  if (before === undefined) delete process.env[keptLogsVariable]
  else process.env[keptLogsVariable] = before
  rmSync(folder, { recursive: true })
})

/** What is found of a program that writes these texts. */
async function findingsOf(out: string, error = '', env: Record<string, string> = {}): Promise<LogFindings> {
  const script = `process.stdout.write(${JSON.stringify(out)}); process.stderr.write(${JSON.stringify(error)})`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'pipe'] })
  keepLogs(child, env, [key])
  await once(child, 'close')
  const findings = takeKeptLogs(folder)
  deepEqual(readdirSync(folder), [])
  return findings
}

test('a log of records without anything planted is fine', async () => {
  const lines = '{"message":"a"}\n{"message":"b"}\n'
  deepEqual(await findingsOf(lines), { programs: 1, lines: 2, problems: [] })
  equal((await findingsOf(`${lines}{"mess`)).problems.length, 0, 'the cut line of a program that was killed')
})

test('a line that is no record is found, but for the forms that have none', async () => {
  for (const line of ['oh', '{"a":1', '[]', '7', 'null', ''])
    match((await findingsOf(`{}\n${line}\n`)).problems.join(), /no JSON object/, line)
  equal((await findingsOf('12:00 INFO oh\n', '', { HEARTH_LOG: 'pretty' })).problems.length, 0)
})

test('a canary is found in either output, in each form that a log could hold it in', async () => {
  const planted = plant('somewhere')
  const base64 = (before: string) => Buffer.from(`${before}${planted} and more`).toString('base64')
  const texts = [
    planted,
    planted.toLowerCase(),
    base64(''),
    base64('a'),
    base64('ab'),
    Buffer.from(planted).toString('hex'),
  ]
  for (const text of [...texts, [...planted].reverse().join(''), encodeURIComponent(planted)]) {
    match((await findingsOf(`${JSON.stringify({ text })}\n`)).problems.join(), /planted/, text)
    match((await findingsOf('', text)).problems.join(), /planted/, text)
  }
  match((await findingsOf(`${planted}\n`, '', { HEARTH_LOG: 'pretty' })).problems.join(), /planted/)
})

test('the keys of a gateway and its key of the engine are found, and the id of a key is none', async () => {
  for (const text of [key, secret.slice(0, 30), 'engine-secret'])
    match(
      (await findingsOf(JSON.stringify({ text }), '', { HEARTH_ENGINE_API_KEY: 'engine-secret' })).problems.join(),
      /planted/,
    )
  equal(findPlanted('keyId ABCDEFGHIJ', secretsOf(key)), undefined)
})
