import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { assertNothingLeft, type Gateway, type LogRecord } from './harness.ts'
import { round, rssOf } from './watch.ts'
import { chat, type Pair, type PairOptions, startPair } from './wire.ts'

const insertId = 'logging.googleapis.com/insertId'
const isBundle = process.env['HEARTH_TEST_ENTRY']?.includes('/dist/') === true
const preload = (name: string) => ({ NODE_OPTIONS: `--import=${new URL(name, import.meta.url)}` })

/** A gateway whose log is Google Cloud's, once that is loaded. */
async function startSettled(options: PairOptions): Promise<Pair> {
  const pair = await startPair({ ...options, env: { HEARTH_LOG: 'gcp', ...options.env } })
  await settled(pair.gateway)
  return pair
}

async function settled(gateway: Gateway): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const ask = async () => {
    await (await fetch(`${gateway.url}/health`)).text()
    if (gateway.logs().some((record) => insertId in record)) resolve()
    else setImmediate(ask)
  }
  void ask()
  await promise
}

async function end({ engine, gateway }: Pair): Promise<void> {
  await assertNothingLeft(gateway, engine)
  await engine.close()
}

describe('HEARTH_LOG=gcp', () => {
  it('opens no connection and looks up no name, also where it seems to be on Google Cloud', async () => {
    const credentials = { GOOGLE_APPLICATION_CREDENTIALS: '/nowhere.json', GCE_METADATA_HOST: 'metadata.example' }
    const env = { ...preload('watch-network.mjs'), HEARTH_LOG: undefined, K_SERVICE: 'home-gateway', ...credentials }
    const pair = await startSettled({ env })
    assert.equal((await chat(pair.gateway)).status, 200)
    await end(pair)
    const seen = pair.gateway.stderr().match(/^network: .*$/gm) ?? []
    // Node asks itself for the address that it is to listen on.
    const others = seen.filter((line) => !line.includes(`"port":${pair.engine.port}`) && !line.endsWith('"127.0.0.1"}'))
    console.log(`${seen.length} connections and look-ups, ${others.length} of them not to the engine`)
    assert.ok(seen.length > 0, 'the watch saw not even the engine')
    assert.deepEqual(others, [])
  })

  it('writes what comes before it is loaded in the same shape, loses nothing and keeps the order', async () => {
    const pair = await startSettled({ env: { GOOGLE_CLOUD_PROJECT: 'my-project' } })
    await (await chat(pair.gateway)).text()
    await end(pair)
    const records = pair.gateway.logs()
    const first = records.findIndex((record) => insertId in record)
    const before = records.slice(0, first).map(({ message }) => message)
    assert.ok(before.includes('limits') && before.includes('listening'), String(before))
    assert.ok(records.slice(first).every((record) => insertId in record))
    const times = records.map(({ time }) => String(time))
    assert.deepEqual(times.toSorted(), times)
    const answer = records.find(({ model }) => model !== undefined)
    assert.match(String(answer?.['logging.googleapis.com/trace']), /^projects\/my-project\/traces\/[\da-f]{32}$/)
  })

  it('goes on as json and says how to install it where it is not there', {
    skip: isBundle ? 'the bundle carries the package' : false,
  }, async () => {
    const pair = await startPair({ env: { HEARTH_LOG: 'gcp', ...preload('without-google-cloud.mjs') } })
    const warning = await pair.gateway.waitForLog(({ severity }) => severity === 'WARNING', 'the warning')
    assert.match(String(warning['fix']), /npm install @google-cloud\/logging/)
    assert.equal((await chat(pair.gateway)).status, 200)
    await end(pair)
    const records: readonly LogRecord[] = pair.gateway.logs()
    assert.equal(records.filter(({ severity }) => severity === 'WARNING').length, 1)
    assert.ok(records.every((record) => !(insertId in record)))
    assert.ok(records.some(({ outcome }) => outcome === 'ok'))
  })

  it('is loaded when the gateway listens, and costs a part of what its whole package would', async () => {
    for (const form of ['json', 'gcp']) {
      const startedAt = performance.now()
      const pair = await startPair({ env: { HEARTH_LOG: form } })
      const listenMs = performance.now() - startedAt
      if (form === 'gcp') await settled(pair.gateway)
      else await (await fetch(`${pair.gateway.url}/health`)).text()
      console.log(`${form}: listens after ${round(listenMs)} ms, then ${round(rssOf(pair.gateway.pid))} MiB`)
      await end(pair)
    }
    const part = await costOf('@google-cloud/logging/build/src/entry.js')
    const whole = await costOf('@google-cloud/logging')
    console.log(`loading the part: ${JSON.stringify(part)}; the whole package: ${JSON.stringify(whole)}`)
    assert.ok(part.cpuMs < whole.cpuMs / 2 && part.MiB < whole.MiB / 2)
  })
})

/** What loading a module costs a process that does nothing else. */
async function costOf(specifier: string): Promise<{ readonly cpuMs: number; readonly MiB: number }> {
  const script = `const [cpu, rss] = [process.cpuUsage(), process.memoryUsage.rss()]
    await import(${JSON.stringify(specifier)})
    const { user, system } = process.cpuUsage(cpu)
    console.log(JSON.stringify({ cpuMs: (user + system) / 1000, MiB: (process.memoryUsage.rss() - rss) / 1048576 }))`
  const args = ['--input-type=module', '-e', script]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname })
  const { cpuMs, MiB }: { cpuMs: number; MiB: number } = JSON.parse(stdout)
  return { cpuMs: round(cpuMs), MiB: round(MiB) }
}
