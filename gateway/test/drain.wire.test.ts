import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { waitUntil, withDeadline } from './deadline.ts'
import { inParallel } from './seeded.ts'
import { assertError, chat, readEvents, withPair } from './wire.ts'

const budgetMs = 9_500

describe('SIGTERM', () => {
  it('lets a stream finish that can, cuts one that cannot with the reason, refuses new work, and exits in order', () =>
    withPair({ sections: { timeouts: { drainMs: 1500 } } }, async ({ engine, gateway }) => {
      engine.script({ tokens: 12, intervalMs: 50 }, { forever: true })
      const finishes = await chat(gateway, { stream: true })
      const endless = await chat(gateway, { stream: true })
      const stopped = gateway.stop()
      await gateway.waitForLog(({ message }) => message === 'draining', 'the gateway drains')
      await assertError(await chat(gateway), 503, 'draining')
      assert.equal((await fetch(`${gateway.url}/ready`)).status, 503)
      assert.equal((await fetch(`${gateway.url}/health`)).status, 200)
      assert.equal(readEvents(await finishes.text()).done, true)
      const cut = readEvents(await endless.text())
      assert.deepEqual([cut.done, cut.errors.map(({ code }) => code)], [false, ['draining']])
      const exit = await stopped
      assert.equal(exit.code, 0)
      assert.ok(exit.ms <= budgetMs, `it took ${exit.ms} ms`)
    }))

  it('answers a plain request that waits for the engine with 503 draining', () =>
    withPair({ sections: { timeouts: { drainMs: 300 } } }, async ({ engine, gateway }) => {
      engine.script({ stall: 'head' })
      const waiting = chat(gateway)
      await engine.waitFor(({ running }) => running === 1, 'the engine has the request')
      const stopped = gateway.stop()
      await assertError(await waiting, 503, 'draining')
      assert.equal((await stopped).code, 0)
    }))

  it('loses no record of the log to a reader that is behind', () =>
    withPair({}, async ({ gateway }) => {
      const { stdout } = gateway.child
      stdout?.pause()
      const requests = 1_200
      await inParallel(Array(requests).keys(), 50, async () => {
        await (await fetch(`${gateway.url}/v1/models`)).text()
      })
      const stopped = gateway.stop()
      const isGone = () =>
        fetch(`${gateway.url}/health`).then(
          () => false,
          () => true,
        )
      await waitUntil(isGone, 5_000, 'nobody listens any more')
      stdout?.resume()
      assert.equal((await stopped).code, 0)
      assert.equal(gateway.logs().filter(({ outcome }) => outcome === 'missing_api_key').length, requests)
    }))
})

describe('the start', () => {
  const entry = process.env['HEARTH_TEST_ENTRY'] ?? 'gateway/src/main.ts'
  const start = async (env: Record<string, string>) => {
    const child = spawn(process.execPath, [entry], {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    const [code] = await withDeadline(once(child, 'close'), 10_000, 'the gateway ends')
    return { code, output }
  }

  it('lists every problem of the configuration at once and exits with 3', async () => {
    const yaml = 'engines: [{name: A, url: ftp://x, kind: magic}]\nmodels: [{id: m, engine: b, colour: red}]\n'
    const { code, output } = await start({ HEARTH_CONFIG_YAML: yaml, PORT: '99999' })
    assert.equal(code, 3)
    for (const field of [
      'PORT',
      'HEARTH_KEYS_FILE',
      'engines.0.name',
      'engines.0.url',
      'engines.0.kind',
      'models.0.colour',
    ]) {
      assert.ok(output.includes(field), `${field} is not named in:\n${output}`)
    }
  })

  it('refuses a Node that must not face the internet in production, and logs an error where that is overruled', async (t) => {
    const { unsafeNode } = await import('../src/node-floor.ts')
    if (unsafeNode(process.version) === undefined) return t.skip(`Node ${process.version} is safe: nothing to refuse`)
    const refused = await start({ NODE_ENV: 'production' })
    assert.equal(refused.code, 3)
    assert.match(refused.output, /CVE-2026-111497/)
    const overruled = await start({ NODE_ENV: 'production', HEARTH_ALLOW_UNSAFE_NODE: '1' })
    assert.match(overruled.output, /"severity":"ERROR".*unsafe node.*"allowed":true/)
    assert.match(overruled.output, /HEARTH_KEYS_FILE/)
  })
})
