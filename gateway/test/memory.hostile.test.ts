import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { makeMemoryCgroup } from './cgroup.ts'
import { startEngine } from './fake-engine.ts'
import { assertNothingLeft, startGateway } from './harness.ts'
import { type Came, type Framing, type Upload, upload } from './uploads.ts'
import { imageEnv, mebibyte, round, rssOf, summarise } from './watch.ts'
import { model } from './wire.ts'

const containerMib = 512
const rssMibMax = 400
const uploadsAtOnce = 80
const trials = Number(process.env['HEARTH_TEST_TRIALS'] ?? 3)
const framings: readonly Framing[] = [
  ...(['announced', 'chunked', 'announced', 'chunked'] as const),
  ...(['cut', 'short', 'announced-too-large', 'chunked-too-large'] as const),
]

describe('R14: memory', () => {
  it(`${uploadsAtOnce} uploads of 20 MiB at once in ${containerMib} MiB: some arrive byte by byte, the rest is told to wait, nothing is killed`, async (t) => {
    const cgroup = makeMemoryCgroup(containerMib * mebibyte)
    if (typeof cgroup === 'string') return t.skip(cgroup)
    const engine = await startEngine()
    try {
      engine.setDefault({ echo: {} })
      const engines = [{ name: 'gpu', url: engine.url, kind: 'vllm' }]
      const config = { engines, models: [{ id: model, engine: 'gpu' }] }
      const keys = ['one', 'two']
      const { wrapper } = cgroup
      await using gateway = await startGateway({
        config,
        keys,
        env: { HEARTH_HOST: '127.0.0.1', ...imageEnv() },
        wrapper,
      })
      const limits = await gateway.waitForLog(({ message }) => message === 'limits', 'the limits')
      const roomMib = Number(limits['bodyBytesInFlight']) / mebibyte
      assert.equal(Math.floor(roomMib), Math.floor(containerMib / 3), 'the room follows from the container')
      console.log(`room for bodies ${round(roomMib)} MiB, RSS at rest ${round(rssOf(gateway.pid))} MiB`)
      for (let trial = 1; trial <= trials; trial += 1) {
        const came = await upload(gateway.port, mixed(Object.values(gateway.keys)), 60_000)
        const peakMib = rssOf(gateway.pid, 'VmHWM')
        console.log(`trial ${trial}: ${describeAll(came)}; RSS at most ${round(peakMib)} MiB`)
        assert.equal(gateway.child.exitCode, null)
        assert.equal(cgroup.oomKills(), 0)
        assert.ok(peakMib <= rssMibMax, `${peakMib} MiB`)
        assertAnswers(came)
      }
      console.log(`the container was charged at most ${round(cgroup.peakBytes() / mebibyte)} MiB`)
      await assertNothingLeft(gateway, engine)
    } finally {
      await engine.close()
      await cgroup.remove()
    }
  })
})

function mixed(keys: readonly string[]): readonly Upload[] {
  return Array.from({ length: uploadsAtOnce }, (_, at) => {
    const framing = framings[at % framings.length] ?? 'announced'
    const key = keys[Math.floor(at / framings.length) % keys.length] ?? ''
    return { key, framing, bytes: (framing.endsWith('too-large') ? 40 : 20) * mebibyte }
  })
}

function assertAnswers(came: readonly Came[]): void {
  const honest = came.filter(({ framing }) => framing === 'announced' || framing === 'chunked')
  const [admitted, refused] = [200, 503].map((status) => honest.filter((one) => one.status === status))
  assert.ok((admitted?.length ?? 0) > 0 && (refused?.length ?? 0) > 0)
  for (const one of admitted ?? []) assert.equal(one.exact, true, JSON.stringify(one))
  for (const one of came.filter(({ status }) => status === 503)) assert.equal(one.retryAfter, '2')
  // Who still sends a second after it was refused is cut, and may lose the answer that it has not read by then.
  const unanswered = honest.length - (admitted?.length ?? 0) - (refused?.length ?? 0)
  assert.ok(unanswered <= honest.length / 4, `${unanswered} without an answer`)
  for (const one of came.filter(({ framing }) => framing === 'announced-too-large')) assert.equal(one.status, 413)
  for (const one of came) if (one.framing !== 'announced' && one.framing !== 'chunked') assert.notEqual(one.status, 200)
}

function describeAll(came: readonly Came[]): string {
  const counts = Map.groupBy(came, ({ framing, status }) => `${framing} ${status === 0 ? 'cut' : status}`)
  // The others are refused in the middle of their bodies.
  const refused = came.filter(({ framing, status }) => framing === 'announced' && status === 503)
  const surplus = summarise(refused.map(({ answeredMs }) => answeredMs))
  const all = [...counts].map(([name, of]) => `${name} ×${of.length}`).join(', ')
  return `${all}; announced 503 after ${surplus.p50} ms (median), ${surplus.max} ms (most)`
}
