import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { withDeadline } from './deadline.ts'
import { type FakeSidecar, findClosedPort, type Reply } from './fake-sidecar.ts'
import { metricsOf, once, recordOf, withRoad } from './road.ts'
import { assertError, chat } from './wire.ts'

const noRoad = 'mesh_not_ready'

describe('a refused CONNECT', () => {
  it('reaches the caller with its status and plain text, and the log with the words and the fix', () =>
    withRoad({ sections: once }, async ({ engine, sidecar, gateway }) => {
      const cases: [string, number][] = [
        ['mesh_auth_expired', 503],
        ['mesh_acl_timeout', 504],
      ]
      for (const [code, status] of cases) {
        sidecar.setDefault({ refuse: code, status })
        await sidecar.waitFor(() => !gateReplaces(sidecar, 1_600), 'the next trial may be made')
        const error = await assertError(await chat(gateway), status, code)
        assert.doesNotMatch(String(error['message']), /sidecar refused|CONNECT/)
        const record = await recordOf(gateway, code)
        assert.match(String(record['detail']), new RegExp(`refused CONNECT with ${status}.*${code}`))
        assert.match(String(record['fix']), /^[A-Z].+\.$/)
      }
      assert.equal(engine.counts().requests, 0)
    }))

  it('is tried again for the caller when it may pass, and the caller sees nothing of it', () =>
    withRoad({}, async ({ engine, sidecar, gateway }) => {
      sidecar.script({ refuse: noRoad })
      assert.equal((await chat(gateway)).status, 200)
      assert.equal((await recordOf(gateway, 'ok'))['connectTries'], 2)
      assert.deepEqual([sidecar.asked.length, engine.counts().requests], [2, 1])
      assert.match(await metricsOf(gateway), /^hearth_retries_total\{engine="gpu",why="dial"\} 1$/m)
    }))

  it('is not tried again when somebody must act first, or where tries are switched off', () =>
    withRoad({ sections: once }, async ({ sidecar, gateway }) => {
      sidecar.setDefault({ refuse: noRoad })
      await assertError(await chat(gateway), 503, noRoad)
      assert.equal(sidecar.asked.length, 1)
    }))

  it('is mesh_sidecar_down when nobody listens', async () =>
    withRoad({ sections: once, meshPort: await findClosedPort() }, async ({ gateway }) => {
      await assertError(await chat(gateway), 503, 'mesh_sidecar_down')
    }))
})

/** Whether the last CONNECT is so young that the gateway may still answer from memory. */
function gateReplaces(sidecar: FakeSidecar, ms: number): boolean {
  const last = sidecar.asked.at(-1)
  return last !== undefined && performance.now() - last.at < ms
}

describe('an answer to CONNECT that is none', () => {
  const cases: [string, Reply, string, number][] = [
    ['is garbage', { raw: 'SSH-2.0-OpenSSH_9.2\r\n' }, 'mesh_unknown', 502],
    ['speaks early', { open: {}, extra: 'HTTP/1.1 200 Smuggled\r\n\r\n' }, 'mesh_early_bytes', 502],
  ]
  for (const [what, reply, code, status] of cases) {
    it(`${what}: ends in ${code} after one dial, and nothing of the request goes out`, () =>
      withRoad({ sections: once }, async ({ engine, sidecar, gateway }) => {
        sidecar.setDefault(reply)
        await assertError(await chat(gateway), status, code)
        assert.deepEqual([sidecar.asked.length, engine.counts().requests], [1, 0])
        assert.equal(sidecar.asked[0]?.bytesAfter, 0)
      }))
  }

  it('is awaited for timeouts.connectMs, and read in any pieces', () =>
    withRoad({ sections: { timeouts: { connectMs: 400 } } }, async ({ sidecar, gateway }) => {
      sidecar.script({ open: { 'Mesh-Path': 'derp' }, pieceBytes: 1 }, 'hang')
      assert.match((await chat(gateway)).headers.get('server-timing') ?? '', /^mesh;desc="derp", auth/)
      sidecar.asked[0]?.cut('rst')
      await assertError(await chat(gateway), 504, 'mesh_dial_timeout')
    }))
})

describe('a caller that leaves while the tunnel is dialled', () => {
  it('ends the dial: the sidecar sees it leave, and not a byte of the request goes out', () =>
    withRoad({}, async ({ engine, sidecar, gateway }) => {
      sidecar.setDefault('hang')
      const leave = new AbortController()
      const left = chat(gateway, {}, { signal: leave.signal }).catch(() => 'left')
      await sidecar.waitFor(() => sidecar.asked.length === 1, 'the CONNECT is there')
      leave.abort()
      await left
      await sidecar.waitFor(() => sidecar.asked[0]?.closed === true, 'the CONNECT ends with its caller')
      await recordOf(gateway, 'client_gone')
      assert.deepEqual([sidecar.asked[0]?.bytesAfter, engine.counts().requests], [0, 0])
    }))
})

describe('an outage with 200 waiting callers', () => {
  it('makes one connect attempt a second, tells all the reason, and the first success lets all through', () =>
    withRoad({ capacity: 200, sections: { limits: { connectTries: 20 } } }, async ({ engine, sidecar, gateway }) => {
      sidecar.setDefault({ refuse: noRoad })
      const startedAt = performance.now()
      const callers = Array.from({ length: 200 }, () => chat(gateway).then((response) => response.status))
      await sidecar.waitFor(() => sidecar.asked.length === 4, 'the fourth attempt')
      const seconds = (performance.now() - startedAt) / 1000
      assert.ok(sidecar.asked.length <= 1 + seconds, `${sidecar.asked.length} attempts in ${seconds} s`)
      sidecar.setDefault({ open: { 'Mesh-Path': 'direct' } })
      assert.deepEqual(new Set(await withDeadline(Promise.all(callers), 10_000, 'all are answered')), new Set([200]))
      assert.equal(engine.counts().requests, 200)
    }))

  it('answers at once with the last reason where waiting cannot help', () =>
    withRoad({}, async ({ sidecar, gateway }) => {
      sidecar.setDefault({ refuse: 'mesh_auth_expired' })
      await assertError(await chat(gateway), 503, 'mesh_auth_expired')
      const answers = await Promise.all(Array.from({ length: 50 }, () => chat(gateway)))
      for (const response of answers) await assertError(response, 503, 'mesh_auth_expired')
      assert.equal(sidecar.asked.length, 1)
    }))
})
