import { deepEqual, equal, match } from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { waitUntil, withDeadline } from '../../test/deadline.ts'
import { type FakeSidecar, findClosedPort, startSidecar } from '../../test/fake-sidecar.ts'
import { MeshStatus } from './status.ts'

const tunnel = { id: 'a1', path: undefined, rttMs: undefined }
const cause = new Error('cut')

async function withStatus(use: (status: MeshStatus, sidecar: FakeSidecar, clock: { ms: number }) => Promise<void>) {
  await using sidecar = await startSidecar(1)
  const clock = { ms: 1_000 }
  const status = new MeshStatus({ url: sidecar.statusUrl, now: () => clock.ms })
  await use(status, sidecar, clock)
  status.close()
}

test('a pause of a minute warms the road, once at a time; a steady flow does not', () =>
  withStatus(async (status, sidecar, clock) => {
    const warmed = () => sidecar.statusAsked.filter((asked) => asked === 'POST /v1/warm').length
    sidecar.onStatus(() => undefined)
    status.arrived()
    await sidecar.waitFor(() => warmed() === 1, 'the road is warmed')
    for (let turn = 0; turn < 30; turn += 1) {
      clock.ms += 59_000
      status.arrived()
    }
    clock.ms += 60_000
    status.arrived()
    await sidecar.waitFor(() => sidecar.statusAsked.length === 33, 'every question is there')
    // The first one hangs still.
    equal(warmed(), 1)
  }))

test('a word about an upstream replaces the one of its tunnel, and nonsense replaces nothing', () =>
  withStatus(async (status, sidecar, clock) => {
    status.sawTunnel('gpu', { ...tunnel, path: 'direct', rttMs: 1 })
    deepEqual(status.wayTo('gpu'), { path: 'direct', rttMs: 1 })
    const upstreams = [
      { name: 'gpu', path: 'pigeon' },
      null,
      { name: 7, path: 'derp' },
      { name: 'b', path: 'derp', rttMs: -1 },
    ]
    sidecar.onStatus(() => ({ status: 200, body: { upstreams } }))
    clock.ms += 6_000
    status.arrived()
    await waitUntil(() => status.wayTo('b'), 2_000, 'the document was read')
    deepEqual([status.wayTo('gpu')?.path, status.wayTo('b')], ['direct', { path: 'derp', rttMs: undefined }])
  }))

test('explainCut() believes a cut and nothing else', () =>
  withStatus(async (status, sidecar) => {
    const explain = async (body: unknown) => {
      sidecar.onStatus(() => ({ status: 200, body }))
      return (await status.explainCut(tunnel, cause))?.code
    }
    equal(await explain({ state: 'cut', code: 'mesh_peer_lost' }), 'mesh_peer_lost')
    equal(await explain({ state: 'cut', code: 'invalid_api_key' }), 'mesh_unknown')
    equal(await explain({ state: 'foreign' }), 'mesh_sidecar_down')
    for (const body of [{ state: 'open' }, { state: 'unknown' }, null, 'cut', []]) equal(await explain(body), undefined)
    deepEqual(new Set(sidecar.statusAsked), new Set(['GET /v1/tunnels/a1']))
    equal(await status.explainCut({ ...tunnel, id: undefined }, cause), undefined)
  }))

test('a status port that is gone means that the sidecar is; none that is set means nothing', async () => {
  const gone = new MeshStatus({ url: `http://127.0.0.1:${await findClosedPort()}`, now: () => 0 })
  const error = await withDeadline(gone.explainCut(tunnel, cause), 1_000, 'the answer')
  equal(error?.code, 'mesh_sidecar_down')
  match(error?.detail ?? '', /HEARTH_MESH_STATUS_URL/)
  const off = new MeshStatus({ url: undefined, now: () => 0 })
  off.arrived()
  equal(await off.explainCut(tunnel, cause), undefined)
})

test('a status port that dies while it is asked means that the sidecar did', async () => {
  const server = createServer((socket) => socket.once('data', () => socket.resetAndDestroy()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  const { port } = server.address() as AddressInfo
  const dying = new MeshStatus({ url: `http://127.0.0.1:${port}`, now: () => 0 })
  const error = await withDeadline(dying.explainCut(tunnel, cause), 1_000, 'the answer')
  equal(error?.code, 'mesh_sidecar_down')
  server.close()
})
