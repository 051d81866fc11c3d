import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { withDeadline } from './deadline.ts'
import { type FakeEngine, startEngine } from './fake-engine.ts'
import { type FakeSidecar, findClosedPort, type Reply, startSidecar } from './fake-sidecar.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { assertError, chat, model, readEvents } from './wire.ts'

interface Road {
  readonly engine: FakeEngine
  readonly sidecar: FakeSidecar
  readonly gateway: Gateway
}

interface RoadOptions {
  readonly sections?: object
  readonly capacity?: number
  readonly meshPort?: number
}

const once = { limits: { connectTries: 1 } }
const noRoad = 'mesh_not_ready'

/** A gateway, a scripted sidecar and a scripted engine; given to `use`, then proved to have left nothing. */
async function withRoad(options: RoadOptions, use: (road: Road) => Promise<void>): Promise<void> {
  await using engine = await startEngine()
  await using sidecar = await startSidecar(engine.port)
  const { capacity = 16, sections } = options
  const config = {
    engines: [{ name: 'gpu', url: 'http://vllm.home', via: 'mesh:gpu', kind: 'vllm', capacity }],
    models: [{ id: model, engine: 'gpu' }],
    ...sections,
  }
  const env = {
    HEARTH_HOST: '127.0.0.1',
    HEARTH_MESH_ADDR: `127.0.0.1:${options.meshPort ?? sidecar.port}`,
    HEARTH_MESH_STATUS_URL: sidecar.statusUrl,
  }
  const gateway = await startGateway({ config, env })
  try {
    await use({ engine, sidecar, gateway })
    engine.release()
    await assertNothingLeft(gateway, engine)
  } finally {
    await gateway[Symbol.asyncDispose]()
  }
}

function recordOf(gateway: Gateway, outcome: string): Promise<Readonly<Record<string, unknown>>> {
  const fits = (record: Readonly<Record<string, unknown>>) =>
    record['message'] === 'request' && record['outcome'] === outcome && record['route'] === '/v1/chat/completions'
  return gateway.waitForLog(fits, `a record with outcome ${outcome}`)
}

async function metricsOf(gateway: Gateway): Promise<string> {
  const record = await gateway.waitForLog(({ message }) => message === 'admin listening', 'the admin port')
  return (await fetch(`http://127.0.0.1:${record['port']}/metrics`)).text()
}

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
      assert.match((await chat(gateway)).headers.get('server-timing') ?? '', /^mesh;desc="derp", queue/)
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

describe('an outage with 200 waiting callers', () => {
  it('makes one connect attempt a second, tells all the reason, and the first success lets all through', () =>
    withRoad({ capacity: 200, sections: { limits: { connectTries: 20 } } }, async ({ engine, sidecar, gateway }) => {
      sidecar.setDefault({ refuse: noRoad })
      const startedAt = performance.now()
      const callers = Array.from({ length: 200 }, () => chat(gateway).then((response) => response.status))
      await sidecar.waitFor(() => sidecar.asked.length === 4, 'the fourth attempt')
      const seconds = (performance.now() - startedAt) / 1000
      assert.ok(sidecar.asked.length <= 1 + seconds, `${sidecar.asked.length} attempts in ${seconds} s`)
      const gaps = sidecar.asked.slice(1).map(({ at }, index) => at - (sidecar.asked[index]?.at ?? 0))
      assert.ok(Math.min(...gaps) >= 990, `attempts ${gaps} ms apart`)
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

describe('the way home', () => {
  it('is in Server-Timing, in the log and in the metrics', () =>
    withRoad({}, async ({ sidecar, gateway }) => {
      sidecar.onStatus(() => ({ status: 404, body: {} }))
      const response = await chat(gateway)
      const timing = response.headers.get('server-timing') ?? ''
      assert.match(timing, /^mesh;desc="direct";dur=0\.4, queue;dur=[\d.]+, connect;dur=[\d.]+, engine;dur=[\d.]+$/)
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

  it('answers nothing but GET /metrics, and nothing at all when it is off', () =>
    withRoad({}, async ({ gateway }) => {
      const { port } = await gateway.waitForLog(({ message }) => message === 'admin listening', 'the admin port')
      const metrics = await fetch(`http://127.0.0.1:${port}/metrics`)
      assert.equal(metrics.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
      assert.equal((await fetch(`http://127.0.0.1:${port}/health`)).status, 404)
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
