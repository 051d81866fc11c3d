import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { withDeadline } from './deadline.ts'
import { startEngine } from './fake-engine.ts'
import type { FakeSidecar } from './fake-sidecar.ts'
import { startGateway } from './harness.ts'
import { metricsOf, once, recordOf, withRoad } from './road.ts'
import { assertError, chat, model, readEvents } from './wire.ts'

describe('a tunnel that is cut', () => {
  const cut = (code: string) => (path: string) =>
    path.startsWith('/v1/tunnels/')
      ? { status: 200, body: { id: 't', state: 'cut', code, message: 'x', detail: 'no pong for 12 s' } }
      : { status: 404, body: {} }

  it('before the head: the caller gets the reason of the sidecar, and the request is not sent again', () =>
    withRoad({}, async ({ engine, sidecar, gateway }) => {
      sidecar.onStatus(cut('mesh_peer_lost'))
      engine.script({ stall: 'head' })
      const waiting = chat(gateway)
      await engine.waitFor(({ running }) => running === 1, 'the engine has the request')
      sidecar.asked[0]?.cut('rst')
      const response = await waiting
      await assertError(response, 502, 'mesh_peer_lost')
      assert.equal(response.headers.get('x-should-retry'), 'false')
      assert.match(String((await recordOf(gateway, 'mesh_peer_lost'))['detail']), /no pong for 12 s/)
      assert.deepEqual([sidecar.asked.length, engine.counts().requests], [1, 1])
    }))

  it('in the middle of a stream: its one error event carries the reason', () =>
    withRoad({}, async ({ engine, sidecar, gateway }) => {
      sidecar.onStatus(cut('mesh_blackhole'))
      engine.script({ tokens: 5, stall: { afterEvents: 2 } })
      const response = await chat(gateway, { stream: true })
      sidecar.asked[0]?.cut('rst')
      const { errors, done } = readEvents(await withDeadline(response.text(), 5_000, 'the stream ends'))
      assert.deepEqual([errors.map(({ code }) => code), done], [['mesh_blackhole'], false])
    }))

  it('without a word of the sidecar: ingress_down, soon, whatever the status port does', () =>
    withRoad({}, async ({ engine, sidecar, gateway }) => {
      const answers: Parameters<FakeSidecar['onStatus']>[0][] = [
        () => ({ status: 404, body: { state: 'unknown' } }),
        () => ({ status: 200, body: { id: 't', state: 'open' } }),
        () => undefined,
      ]
      for (const answer of answers) {
        sidecar.onStatus(answer)
        engine.script({ stall: 'head' })
        const waiting = chat(gateway)
        await engine.waitFor(({ running }) => running === 1, 'the engine has the request')
        sidecar.asked.at(-1)?.cut('fin')
        await assertError(await withDeadline(waiting, 2_000, 'the answer'), 503, 'ingress_down')
      }
      assert.equal(engine.counts().requests, 3)
    }))
})

describe('a sidecar that dies with a request on it', () => {
  it('is named, and the request is not sent again', () =>
    withRoad({ sections: once }, async ({ engine, sidecar, gateway }) => {
      engine.script({ stall: 'head' })
      const waiting = chat(gateway)
      await engine.waitFor(({ running }) => running === 1, 'the engine has the request')
      await sidecar[Symbol.asyncDispose]()
      await assertError(await waiting, 503, 'mesh_sidecar_down')
      assert.match(String((await recordOf(gateway, 'mesh_sidecar_down'))['detail']), /did meshlink end/)
      assert.equal(engine.counts().requests, 1)
    }))
})

describe('a kept tunnel', () => {
  it('is used again, and one that died while it was idle costs its next caller nothing', () =>
    withRoad({ sections: once }, async ({ engine, sidecar, gateway }) => {
      for (let turn = 0; turn < 3; turn += 1) assert.equal((await chat(gateway)).status, 200)
      assert.equal(sidecar.asked.length, 1)
      sidecar.asked[0]?.cut('rst')
      assert.equal((await chat(gateway)).status, 200)
      assert.deepEqual([sidecar.asked.length, engine.counts().requests], [2, 4])
    }))
})

describe('the way home', () => {
  it('is in Server-Timing, in the log and in the metrics', () =>
    withRoad({}, async ({ sidecar, gateway }) => {
      sidecar.onStatus(() => ({ status: 404, body: {} }))
      const response = await chat(gateway)
      const timing = response.headers.get('server-timing') ?? ''
      assert.match(
        timing,
        /^mesh;desc="direct";dur=0\.4, auth;dur=[\d.]+, .*queue;dur=[\d.]+, connect;dur=[\d.]+, first-byte;dur=[\d.]+$/,
      )
      const record = await recordOf(gateway, 'ok')
      assert.deepEqual([record['meshPath'], record['meshRttMs'], record['reused']], ['direct', 0.41, false])
      const metrics = await metricsOf(gateway)
      assert.match(metrics, /^hearth_mesh_path\{engine="gpu",path="direct"\} 1$/m)
      assert.match(metrics, /^hearth_mesh_rtt_seconds\{engine="gpu"\} 0.00041$/m)
      assert.match(metrics, /^hearth_connect_attempts_total\{engine="gpu",result="ok"\} 1$/m)
      assert.match(metrics, /^hearth_requests_total\{route="\/v1\/chat\/completions",status="2xx",code="ok"\} 1$/m)
      assert.match(metrics, /^hearth_queue_length\{engine="gpu"\} 0$/m)
    }))

  it('follows the status port, asked once while requests pass, and is warmed once after a pause', () =>
    withRoad({}, async ({ sidecar, gateway }) => {
      sidecar.setDefault({ open: {} })
      sidecar.onStatus(() => ({ status: 200, body: { upstreams: [{ name: 'gpu', path: 'derp', rttMs: 31 }] } }))
      await chat(gateway)
      await sidecar.waitFor(() => sidecar.statusAsked.length === 2, 'both questions')
      for (let turn = 0; turn < 5; turn += 1) assert.equal((await chat(gateway)).status, 200)
      assert.deepEqual([...sidecar.statusAsked].sort(), ['GET /v1/status', 'POST /v1/warm'])
      assert.match((await chat(gateway)).headers.get('server-timing') ?? '', /^mesh;desc="derp";dur=31,/)
    }))

  it('is not missed: a status port that hangs or is not there delays no request', () =>
    withRoad({}, async ({ sidecar, gateway }) => {
      sidecar.onStatus(() => undefined)
      assert.equal((await withDeadline(chat(gateway), 900, 'an answer before any question times out')).status, 200)
    }))
})

describe('the admin port', () => {
  it('stops the start when it is busy, and says how to choose another', async () => {
    await using engine = await startEngine()
    const config = {
      engines: [{ name: 'gpu', url: engine.url, kind: 'vllm' }],
      models: [{ id: model, engine: 'gpu' }],
    }
    const start = startGateway({ config, env: { HEARTH_ADMIN_ADDR: `127.0.0.1:${engine.port}` } })
    await assert.rejects(start, /cannot listen for the admin.*EADDRINUSE.*HEARTH_ADMIN_ADDR/s)
  })

  it('answers nothing but GET /metrics and GET /health, and the public port has no metrics', () =>
    withRoad({}, async ({ gateway }) => {
      const { port } = await gateway.waitForLog(({ message }) => message === 'admin listening', 'the admin port')
      const metrics = await fetch(`http://127.0.0.1:${port}/metrics`)
      assert.equal(metrics.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
      assert.equal(await (await fetch(`http://127.0.0.1:${port}/health`)).text(), '{"status":"ok"}')
      assert.equal((await fetch(`http://127.0.0.1:${port}/v1/models`)).status, 404)
      assert.equal((await fetch(`${gateway.url}/metrics`)).status, 404)
    }))
})

describe('/ready', () => {
  it('believes a whole answer of late, asks otherwise, and forgets it at the first failure', () =>
    withRoad({ sections: once }, async ({ engine, sidecar, gateway }) => {
      const ready = async () => (await fetch(`${gateway.url}/ready`)).status
      const probes = () => engine.requests.filter(({ path }) => path === '/v1/models').length
      assert.deepEqual([await ready(), probes()], [200, 1])
      assert.equal((await chat(gateway)).status, 200)
      assert.deepEqual([await ready(), probes()], [200, 1])
      sidecar.setDefault({ refuse: 'mesh_peer_offline' })
      for (const { cut } of sidecar.asked) cut('rst')
      await assertError(await chat(gateway), 503, 'mesh_peer_offline')
      const response = await fetch(`${gateway.url}/ready`)
      const body = (await response.json()) as { models: Record<string, { code?: string }> }
      assert.deepEqual([response.status, body.models[model]?.code], [503, 'mesh_peer_offline'])
    }))
})
