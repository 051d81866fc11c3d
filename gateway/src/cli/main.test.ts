import { deepEqual, equal, match } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type CliRun, runCli } from '../../test/run-cli.ts'

const yaml = `
engines: [{ name: gpu, url: 'http://gpu', kind: vllm }]
models: [{ id: one, engine: gpu }, { id: two, engine: gpu }]
`
const secret = 'sk-of-the-engine'
let folder: string

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'hearth-cli-'))
  writeFileSync(join(folder, 'hearth.yaml'), yaml)
})

after(() => rmSync(folder, { recursive: true }))

function hearth(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliRun> {
  return runCli(args, { HEARTH_KEYS_FILE: 'keys.json', ...env }, folder)
}

test('help and --help print the verbs and the exit codes to stdout and end with 0', async () => {
  for (const word of ['help', '--help', '-h']) {
    const { code, out, err } = await hearth([word])
    deepEqual([code, err], [0, ''])
    match(out, /hearth keys create NAME[\s\S]*hearth config check[\s\S]*Exit codes: 0 ok/)
  }
})

test('no verb at all prints the same help and ends with 2', async () => {
  const { code, out } = await hearth([])
  equal(code, 2)
  match(out, /hearth config check/)
})

test('an unknown verb ends with 2, names it on stderr and shows all verbs', async () => {
  const { code, out, err } = await hearth(['frobnicate'])
  deepEqual([code, out], [2, ''])
  match(err, /^There is no verb "frobnicate"; wants keys or config\n/)
  match(err, /hearth config check/)
})

test('config check reads hearth.yaml here and counts engines and models', async () => {
  const { code, out, err } = await hearth(['config', 'check'])
  deepEqual([code, err], [0, ''])
  match(out, /^The configuration is good: 1 engine\(s\), 2 model\(s\)\.\n/)
  match(out, /^Bodies in flight: \d+ MiB, of one key \d+ MiB\. Connections: \d+\.\n$/m)
})

test('config check --json prints the whole configuration with its defaults, and only that a secret is set', async () => {
  const { code, out, err } = await hearth(['config', 'check', '--json'], { HEARTH_ENGINE_API_KEY: secret })
  const { engines, timeouts, engineApiKey } = JSON.parse(out)
  deepEqual([code, engines[0].capacity, timeouts.drainMs, engineApiKey], [0, 16, 8000, '(set)'])
  equal((out + err).includes(secret), false)
})

test('config check of a bad configuration ends with 3 and names every problem, but no secret', async () => {
  const env = { HEARTH_ENGINE_API_KEY: `${secret} ${secret}`, PORT: 'http', HEARTH_CONFIG_YAML: 'engines: 7' }
  const { code, out, err } = await hearth(['config', 'check'], env)
  deepEqual([code, out], [3, ''])
  for (const problem of [/PORT: "http"/, /HEARTH_ENGINE_API_KEY: holds/, /engines: 7/, /models: not set/])
    match(err, problem)
  equal(err.includes(secret), false)
})

test('config with any other word is a usage error', async () => {
  for (const words of [[], ['show'], ['check', 'all'], ['check', '--json', '--yaml'], ['--json', 'check']]) {
    const { code, err } = await hearth(['config', ...words])
    deepEqual([code, /Wants: hearth config check/.test(err)], [2, true], words.join(' '))
  }
})

test('config check warns on stderr of what Cloud Run would cut, and the configuration is good all the same', async () => {
  const { code, out, err } = await hearth(['config', 'check', '--json'], {
    HEARTH_CONFIG_YAML: `${yaml}timeouts: { totalMs: 7200000 }`,
  })
  deepEqual([code, JSON.parse(out).timeouts.totalMs], [0, 7_200_000])
  match(err, /^Beware: timeouts\.totalMs: 7200000: with timeouts\.queueMs \(60000\) longer than .*\n$/)
})
