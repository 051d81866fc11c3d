import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { waitUntil } from './deadline.ts'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { exchangeRaw } from './raw-client.ts'
import { type Framing, type Upload, upload } from './uploads.ts'
import { adminPort, imageEnv, mebibyte, metricOf, round, rssOf, summarise } from './watch.ts'
import { assertError, chat, chatPath, endPair, startPair, withPair } from './wire.ts'

const bodyBytesInFlight = 160 * mebibyte
const growthMax = 1.3
const rounds = 2

/** So many uploads that are all alike. */
function alike(count: number, one: Upload): readonly Upload[] {
  return Array.from({ length: count }, () => one)
}

describe('the memory of bodies', () => {
  let engine: FakeEngine
  let gateway: Gateway
  let admin: number
  let restMib: number
  before(async () => {
    ;({ engine, gateway } = await startPair({
      engineConfig: { capacity: 4096 },
      sections: { limits: { bodyBytesInFlight, bodyBytesPerKey: bodyBytesInFlight } },
      env: imageEnv(),
    }))
    admin = await adminPort(gateway)
    engine.setDefault({ echo: {}, stall: 'head' })
    for (let count = 0; count < 50; count += 1) await exchangeRaw(gateway.port, { path: '/health' })
    restMib = rssOf(gateway.pid)
  })
  after(async () => {
    await endPair({ engine, gateway })
  })

  const bytesHeld = () => metricOf(admin, 'hearth_body_bytes_held')
  const waiting = () => engine.requests.filter(({ outcome, phase }) => outcome === 'running' && phase === 'head').length

  for (const [framing, bytes, count] of [
    ['announced', 20 * mebibyte, 8],
    ['chunked', 20 * mebibyte, 7],
    ['announced', 5 * mebibyte, 30],
  ] as readonly (readonly [Framing, number, number])[])
    it(`grows by at most ${growthMax} × the bytes held: ${count} × ${bytes / mebibyte} MiB, ${framing}, ${rounds} times over`, async () => {
      const growths: number[] = []
      for (let left = rounds; left > 0; left -= 1) {
        const over = upload(gateway.port, alike(count, { key: gateway.key, framing, bytes }), 30_000)
        await engine.waitFor(() => waiting() === count, 'the engine has every body', 30_000)
        const heldMib = (await bytesHeld()) / mebibyte
        assert.ok(heldMib >= (count * bytes) / mebibyte)
        growths.push(round((rssOf(gateway.pid) - restMib) / heldMib))
        engine.release()
        const came = await over
        assert.deepEqual(
          came.filter(({ exact }) => exact !== true),
          [],
        )
        await waitUntil(async () => (await bytesHeld()) === 0, 5_000, 'nothing is held')
      }
      console.log(
        `${framing} ${bytes / mebibyte} MiB: growth ${growths.join(', ')} × the bytes held, RSS at rest ${round(restMib)} MiB, after ${round(rssOf(gateway.pid))} MiB`,
      )
      for (const growth of growths) assert.ok(growth <= growthMax, `${growth}`)
    })

  it('tells the surplus 503 body_budget and when to come again as fast as a stranger is told 401, before its body is read', async () => {
    const silent = upload(gateway.port, alike(8, { key: gateway.key, framing: 'silent', bytes: 20 * mebibyte }), 4_000)
    await waitUntil(async () => (await bytesHeld()) === bodyBytesInFlight, 5_000, 'the whole room is held by silence')
    const headers = { 'content-type': 'application/json', 'content-length': String(mebibyte) }
    const answered = { 401: [] as number[], 503: [] as number[] }
    for (let count = 0; count < 60; count += 1)
      for (const [status, key] of [
        [401, 'hk_unknown'],
        [503, gateway.key],
      ] as const) {
        const startedMs = performance.now()
        const { head, text } = await exchangeRaw(gateway.port, {
          method: 'POST',
          path: chatPath,
          headers: { ...headers, authorization: `Bearer ${key}` },
        })
        answered[status].push(performance.now() - startedMs)
        assert.equal(head.status, status, text)
        if (status === 503) assert.deepEqual([head.header('retry-after'), text.includes('"body_budget"')], ['2', true])
      }
    const [stranger, surplus] = [summarise(answered[401]), summarise(answered[503])]
    console.log(
      `401: median ${stranger.p50} ms, p99 ${stranger.p99} ms; 503: median ${surplus.p50} ms, p99 ${surplus.p99} ms`,
    )
    assert.ok(surplus.p50 <= 3 * stranger.p50)
    await silent
    await waitUntil(async () => (await bytesHeld()) === 0, 5_000, 'nothing is held when they have left')
  })
})

describe('the room for bodies', () => {
  const limits = { bodyBytesMax: mebibyte, bodyBytesInFlight: 4 * mebibyte }
  const silence = (key: string, bytes: number): Upload => ({ key, framing: 'silent', bytes })

  for (const [what, more, status] of [
    ['is refused where one key may have all of it', { bodyBytesPerKey: limits.bodyBytesInFlight }, 503],
    ['finds a place by default', {}, 200],
  ] as const)
    it(`a caller beside one key that wants it all ${what}`, () =>
      withPair({ keys: ['greedy', 'modest'], sections: { limits: { ...limits, ...more } } }, async ({ gateway }) => {
        const admin = await adminPort(gateway)
        const greedy = upload(gateway.port, alike(8, silence(gateway.keys['greedy'] ?? '', mebibyte)), 2_500)
        const held = status === 200 ? 3 * mebibyte : limits.bodyBytesInFlight
        await waitUntil(
          async () => (await metricOf(admin, 'hearth_body_bytes_held')) === held,
          3_000,
          'the key has its share',
        )
        const response = await chat(gateway, {}, { headers: { authorization: `Bearer ${gateway.keys['modest']}` } })
        if (status === 503) await assertError(response, 503, 'body_budget')
        else assert.equal(response.status, 200, await response.text())
        const came = await greedy
        assert.equal(came.filter((one) => one.status === 503).length, 8 - held / mebibyte)
      }))
})
