import { deepStrictEqual, match, ok, rejects, strictEqual } from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { DeadlineError, waitUntil, withDeadline } from './deadline.ts'
import { startEngine } from './fake-engine.ts'
import { assertNothingLeft, type Emptied, type Gateway, startGateway } from './harness.ts'

let folder: string

/** Speaks the gateway's contract with the harness and nothing else. */
const STUB = `
import { createServer } from 'node:http'
const log = (record) => console.log(JSON.stringify(record))
if (process.env.STUB_FAIL) { console.error('config: engines is empty'); process.exit(3) }
console.log('no json here')
const server = createServer((_, response) => response.end(JSON.stringify(process.env)))
server.listen(Number(process.env.PORT), '127.0.0.1', () => log({ message: 'listening', port: server.address().port }))
process.on('SIGTERM', () => {
  log({ message: 'stopped', leases: Number(process.env.STUB_LEASES ?? 0), sockets: 0 })
  process.exit(Number(process.env.STUB_CODE ?? 0))
})
`
const STUB_CLI = `
import { writeFileSync } from 'node:fs'
const [, , ...args] = process.argv
writeFileSync(process.env.HEARTH_KEYS_FILE, 'keys')
console.log(JSON.stringify({ id: 'x', key: 'hk_' + args.join('_'), name: args[2] }))
`

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hearth-harness-'))
  await writeFile(join(folder, 'stub.mjs'), STUB)
  await writeFile(join(folder, 'cli.mjs'), STUB_CLI)
})

after(() => rm(folder, { recursive: true }))

function start(env: Record<string, string> = {}, keys?: string[]): Promise<Gateway> {
  const config = { engines: [] }
  const entries = { entry: join(folder, 'stub.mjs'), cli: join(folder, 'cli.mjs') }
  return startGateway({ config, env, ...entries, ...(keys === undefined ? {} : { keys }) })
}

test('startGateway() gives the child its config, keys and a clean environment, and reads its port', async () => {
  process.env['HEARTH_LEAK'] = 'yes'
  const gateway = await start({ EXTRA: '1' }, ['one', 'two'])
  delete process.env['HEARTH_LEAK']
  const env = (await (await fetch(gateway.url)).json()) as Record<string, string>
  deepStrictEqual([env['PORT'], env['EXTRA'], env['HEARTH_LEAK'], env['HEARTH_LOG']], ['0', '1', undefined, 'json'])
  deepStrictEqual(JSON.parse(await readFile(env['HEARTH_CONFIG'] ?? '', 'utf8')), { engines: [] })
  strictEqual(env['HEARTH_KEYS_FILE'], gateway.keysFile)
  deepStrictEqual([gateway.key, gateway.keys['two']], ['hk_keys_create_one_--json', 'hk_keys_create_two_--json'])
  deepStrictEqual(gateway.logs()[0], { text: 'no json here' })
  await assertNothingLeft(gateway)
  strictEqual(existsSync(gateway.folder), false)
})

test('stop() answers exit code and time, with the last log record read', async () => {
  await using gateway = await start()
  const exit = await gateway.stop()
  deepStrictEqual([exit.code, exit.signal], [0, null])
  ok(exit.ms > 0 && exit.ms < 5000, `${exit.ms} ms`)
  deepStrictEqual(gateway.logs().at(-1), { message: 'stopped', leases: 0, sockets: 0 })
  strictEqual((await gateway.kill()).code, 0)
})

test('assertNothingLeft() fails on a leaked lease, a bad exit code, and a socket at the engine', async () => {
  await rejects(assertNothingLeft(await start({ STUB_LEASES: '1' })), /leases in the last record/)
  await rejects(assertNothingLeft(await start({ STUB_CODE: '7' })), /ended with code 7/)
  await using engine = await startEngine()
  const leaking: Emptied = { ...engine, waitFor: (predicate, label) => engine.waitFor(predicate, label, 50) }
  const held = await fetch(`${engine.url}/health`)
  await held.arrayBuffer()
  await rejects(assertNothingLeft(await start(), leaking), /the engine has no socket open/)
})

test('a gateway that does not start is told with its exit code and its words, and leaves no folder', async () => {
  await rejects(start({ STUB_FAIL: '1' }), /did not start: .*code 3[\s\S]*config: engines is empty/)
})

test('waitForLog() finds past records and names what never came', async () => {
  await using gateway = await start()
  const record = await gateway.waitForLog(({ message }) => message === 'listening', 'it listens')
  strictEqual(record['port'], gateway.port)
  await rejects(
    gateway.waitForLog(() => false, 'a record that never comes', 20),
    /not within 20 ms: a record that never/,
  )
})

test('withDeadline() passes a result and a failure through, and names what was late', async () => {
  strictEqual(await withDeadline(Promise.resolve(1), 50, 'now'), 1)
  await rejects(withDeadline(Promise.reject(new Error('own')), 50, 'now'), /^Error: own$/)
  await rejects(withDeadline(new Promise(() => {}), 10, 'never'), DeadlineError)
})

test('waitUntil() answers what the probe found, and gives up on a probe that hangs', async () => {
  let asked = 0
  const probe = (): string | undefined => {
    asked += 1
    return asked === 3 ? 'found' : undefined
  }
  strictEqual(await waitUntil(probe, 500, 'the third time'), 'found')
  const error = await waitUntil(() => new Promise(() => {}), 20, 'a hanging probe').catch((caught: unknown) => caught)
  match(String(error), /not within 20 ms: a hanging probe/)
})
