import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startAttack } from './attacker.ts'
import { nowMs, waitUntil } from './deadline.ts'
import { startEngine } from './fake-engine.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { startHose } from './hose.ts'
import { openRaw } from './raw-client.ts'
import { mebibyte, round, rssOf, smallHeapEnv, summarise } from './watch.ts'
import { chatBody, chatPath, model, rawHeaders } from './wire.ts'

/** Each fills some 4 MiB of the kernel before it stalls, so a thousand take minutes where the processors are few. */
const readers = Number(process.env['HEARTH_TEST_READERS'] ?? 150)
const honest = 50
/** So long they may take to fill the kernel. */
const fillMs = 60_000 + 100 * readers
const callerStallMs = 4_000
const intervalMs = 50
const honestWords = 80
/** Of the medians, which a busy machine moves little. */
const slowerMax = 1.2
const rssMibMax = 128
/** What the buffers of the kernel take on both sides of the gateway, with room for kernels that take more. */
const kernelMib = 32

function request(gateway: Gateway, of = model): string {
  const body = chatBody({ model: of, stream: true })
  const headers = Object.entries({ ...rawHeaders(gateway), host: 'a', 'content-length': String(body.length) })
  return `POST ${chatPath} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`
}

/** The times between two events of all honest streams; throws where one is not whole. */
async function gapsOf(gateway: Gateway): Promise<readonly number[]> {
  const streams = Array.from({ length: honest }, async () => {
    await using client = await openRaw(gateway.port)
    await client.write(request(gateway))
    const head = await client.readHead(20_000)
    const gaps: number[] = []
    let last: number | undefined
    let done = false
    for await (const { data, atMs } of client.readEvents(head, 20_000)) {
      if (last !== undefined) gaps.push(atMs - last)
      last = atMs
      done = data === '[DONE]'
      if (done) break
    }
    assert.equal(done, true)
    // Between the last word and the end there is no pause.
    return gaps.slice(0, honestWords - 1)
  })
  return (await Promise.all(streams)).flat()
}

describe('R12: slow readers', () => {
  it(`${readers} streams that are read at 1 B/s pause their engine, are cut, and slow down nobody`, async () => {
    await using engine = await startEngine()
    await using hose = await startHose()
    await using gateway = await startGateway({
      config: {
        engines: [
          { name: 'gpu', url: engine.url, kind: 'vllm', capacity: 2 * honest },
          { name: 'hose', url: hose.url, kind: 'vllm', capacity: readers },
        ],
        models: [
          { id: model, engine: 'gpu' },
          { id: 'hose', engine: 'hose' },
        ],
        timeouts: { callerStallMs },
      },
      env: { HEARTH_HOST: '127.0.0.1', ...smallHeapEnv() },
    })
    engine.setDefault({ tokens: honestWords, intervalMs })
    await gapsOf(gateway)
    const before = summarise(await gapsOf(gateway))
    const restMib = rssOf(gateway.pid)
    const startedMs = nowMs()
    const opening = request(gateway, 'hose')
    await using attack = await startAttack({ port: gateway.port, sockets: readers, opening, readBytesPerSecond: 1 })
    const poured = async () => (await hose.answers()).reduce((sum, { bytes }) => sum + bytes, 0)
    await waitUntil(async () => (await hose.answers()).length === readers, fillMs, 'every stream has begun')
    const during = summarise(await gapsOf(gateway))
    // The attacker itself learns of it late: it has not read what came before.
    await waitUntil(async () => (await hose.answers()).every(({ open }) => !open), fillMs, 'all are cut, at home too')
    const tally = await attack.tally()
    const tookMs = Math.round(nowMs() - startedMs)
    const growthMib = rssOf(gateway.pid, 'VmHWM') - restMib
    await waitUntil(
      async () => (await hose.answers()).every(({ open }) => !open),
      10_000,
      'the engine works for nobody',
    )
    const bytes = await poured()
    console.log(`gaps in ms before ${JSON.stringify(before)}, during ${JSON.stringify(during)}`)
    console.log(
      `${JSON.stringify(tally)} in ${tookMs} ms; RSS grew by at most ${round(growthMib)} MiB; the engine was let pour ${round(bytes / readers / mebibyte)} MiB a stream`,
    )
    const cut = gateway.logs().filter(({ detail }) => detail === 'The caller stopped reading the answer')
    assert.equal(cut.length, readers)
    assert.ok(bytes / readers <= kernelMib * mebibyte, 'the engine was paused')
    assert.ok(growthMib <= rssMibMax, `${growthMib} MiB`)
    assert.ok(during.p50 <= slowerMax * before.p50, 'the median gap of honest streams')
    await assertNothingLeft(gateway, engine)
  })
})
