import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { HopName } from '../dev/chain.ts'
import { errorTable } from '../src/errors.ts'
import { peakMiB, startScriptedChain, type TestChain } from './chain-fixture.ts'
import { waitUntil, withDeadline } from './deadline.ts'
import type { EngineProcess } from './fake-control.ts'
import type { Behaviour } from './fake-engine.ts'
import { assertError, largeBody, readEvents } from './wire.ts'

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')

describe('the real chain under faults', () => {
  let test: TestChain & { readonly engine: EngineProcess }
  before(async () => {
    test = await startScriptedChain({ gatewayConfig: { timeouts: { idleMs: 5_000, probeMs: 2_000 } } })
  })
  after(() => test[Symbol.asyncDispose]())

  it('carries 25 MB there and 25 MB back unchanged, with bounded memory in gateway and sidecar', async () => {
    const body = largeBody(25_000_000)
    for (let round = 0; round < 3; round += 1) {
      await test.engine.script({ echo: { answerBytes: 25_000_000 } })
      const response = await test.chat({}, { body })
      const answer = Buffer.from(await response.arrayBuffer())
      assert.equal(response.status, 200)
      const seen = (await test.engine.requests()).at(-1)
      assert.equal(seen?.body?.sha256, sha256(body))
      assert.equal(seen?.sent?.sha256, sha256(answer))
    }
    const gateway = peakMiB(pidOf('gateway'))
    const sidecar = peakMiB(pidOf('meshlink'))
    console.log(
      `peak memory after 3 × 25 MB both ways: gateway ${gateway.toFixed(0)} MiB, sidecar ${sidecar.toFixed(0)} MiB`,
    )
    assert.ok(gateway < 300, `the gateway swelled to ${gateway} MiB`)
    assert.ok(sidecar < 200, `the sidecar swelled to ${sidecar} MiB`)
  })

  it('answers 500 small requests one after the other over kept connections, none lost', async () => {
    for (let count = 0; count < 500; count += 1) {
      const response = await test.chat({ max_tokens: 1 })
      const text = await response.text()
      assert.equal(response.status, 200, `request ${count}: ${text}`)
    }
  })

  for (const stream of [true, false]) {
    it(`lets the engine see within 250 ms that a caller left a ${stream ? 'stream' : 'plain answer'}`, async () => {
      await test.engine.reset()
      await test.engine.script(stream ? { forever: true } : { stall: 'head' })
      const leave = new AbortController()
      const asked = test.chat({ stream }, { signal: leave.signal }).then((response) => response.text())
      const gone = assert.rejects(asked, { name: 'AbortError' })
      await test.engine.waitFor(({ running }) => running === 1, 'the engine is at work')
      const leftMs = performance.timeOrigin + performance.now()
      leave.abort()
      await gone
      await test.engine.waitFor(({ aborts }) => aborts === 1, 'the engine sees it')
      const seenMs = ((await test.engine.requests()).at(-1)?.endedAtMs ?? Number.POSITIVE_INFINITY) - leftMs
      assert.ok(seenMs <= 250, `the engine saw it after ${seenMs} ms`)
    })
  }

  for (const [how, behaviour, code] of [
    ['reports its death and then [DONE], as vLLM does', { dies: { afterEvents: 3 } }, 'engine_error'],
    ['is reset', { tokens: 12, cut: { how: 'rst', at: 900 } }, 'engine_died'],
    [
      'is cut where only the end of the connection marks the end',
      { tokens: 12, closeDelimited: '1.0', cut: { how: 'fin', at: 900 } },
      'engine_died',
    ],
    ['falls silent', { tokens: 12, stall: { afterEvents: 3 } }, 'engine_stalled'],
  ] satisfies [string, Behaviour, string][]) {
    it(`ends a stream through the real Traefik with one error event and no [DONE] when the engine ${how}`, async () => {
      await test.engine.script(behaviour)
      const response = await test.chat({ stream: true })
      const { errors, done } = readEvents(await withDeadline(response.text(), 15_000, 'the stream ends'))
      assert.equal(done, false, 'a cut answer passed as whole')
      assert.deepEqual(
        errors.map((error) => error['code']),
        [code],
      )
      await test.engine.release()
    })
  }

  it('waits for the sidecar that was killed, or names what is missing, and is well within 5 s of its return', async () => {
    const back = new Promise<number>((resolve) => watchPid('meshlink', () => resolve(performance.now())))
    test.kill('meshlink')
    const response = await withDeadline(test.chat(), 10_000, 'an answer, whatever the sidecar does')
    if (response.status !== 200) {
      const body = JSON.parse(await response.text())
      assert.match(body.error.code, /^mesh_(sidecar_down|not_ready)$/)
    }
    const backAt = await withDeadline(back, 20_000, 'the sidecar is back')
    await test.ready(20_000, 'the chain is ready again')
    assert.ok(
      performance.now() - backAt < 5_000,
      `ready ${performance.now() - backAt} ms after the sidecar was started again`,
    )
    assert.equal((await test.chat()).status, 200)
  })

  for (const name of ['traefik', 'home', 'control', 'echo'] satisfies HopName[]) {
    it(`gives typed errors at most while ${name} is killed, and recovers by itself`, async () => {
      test.kill(name)
      const seen = new Set<string>()
      const deadline = performance.now() + 60_000
      for (let good = 0; good < 3; ) {
        assert.ok(performance.now() < deadline, `no recovery; seen ${[...seen].join(', ')}`)
        const response = await test.chat({}, { signal: AbortSignal.timeout(30_000) })
        const body = JSON.parse(await response.text())
        const running = test.chain.processes.get(name)?.pid() !== undefined
        if (response.status !== 200) {
          assert.ok(Object.hasOwn(errorTable, body.error.code), JSON.stringify(body))
          assert.notEqual(body.error.code, 'internal_error')
          seen.add(body.error.code)
        }
        good = response.status === 200 && running ? good + 1 : 0
        await new Promise((resolve) => setImmediate(resolve))
      }
      console.log(`${name} killed: ${seen.size === 0 ? 'no request failed' : [...seen].join(', ')}`)
    })
  }

  it('says in /ready which code stands in the way, and names nothing of the inside', async () => {
    const failing = { status: 500, body: 'object', message: 'secret host 10.1.2.3' } as const
    await test.engine.setDefault({ on: '/v1/models', error: failing })
    const askUntilFalse = async () => {
      const answer = await fetch(`${test.chain.gatewayUrl}/ready`)
      return answer.status === 503 ? answer.text() : undefined
    }
    // The last good answer of the engine counts for a while, but not beyond a failure.
    await test.engine.script({ error: failing })
    await assertError(await test.chat(), 502, 'engine_error')
    const text = await waitUntil(askUntilFalse, 5_000, '/ready sees that the engine fails')
    await test.engine.reset()
    assert.match(text, /"code":"engine_error"/)
    assert.doesNotMatch(text, /10\.1\.2\.3|127\.0\.0\.1|vllm\.home|100\.64/)
  })

  it('drains on SIGTERM with streams open through the whole chain, and exits within 9.5 s', async () => {
    await test.engine.script({ forever: true }, { tokens: 12, intervalMs: 50 })
    const endless = await test.chat({ stream: true })
    const finishes = await test.chat({ stream: true })
    const startedAt = performance.now()
    const pid = pidOf('gateway')
    process.kill(pid, 'SIGTERM')
    assert.equal(readEvents(await finishes.text()).done, true)
    const cut = readEvents(await endless.text())
    assert.deepEqual([cut.done, cut.errors.map((error) => error['code'])], [false, ['draining']])
    await withDeadline(
      new Promise<void>((resolve) => watchPid('gateway', () => resolve())),
      20_000,
      'the gateway is another process',
    )
    assert.ok(performance.now() - startedAt < 9_500 + 2_000)
    await test.ready(20_000, 'the next gateway answers')
  })

  const pidOf = (name: HopName): number => test.chain.processes.get(name)?.pid() ?? 0
  /** Calls back when a process of the chain runs under another pid. */
  const watchPid = (name: HopName, onNew: () => void) => {
    const before = pidOf(name)
    const timer = setInterval(() => {
      const now = pidOf(name)
      if (now === 0 || now === before) return
      clearInterval(timer)
      onNew()
    }, 5)
    timer.unref()
  }
})
