import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { type ErrorCode, errorTable } from '../src/errors.ts'
import { connectSocks } from '../src/mesh/socks5.ts'
import { withDeadline } from './deadline.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { readsItsPrompt, type StockPrograms, type StockTailnet, startStockTailnet } from './stock-tailnet.ts'
import { assertError, chat, readEvents } from './wire.ts'

const served = 'qwen2.5-vl-tiny'
/** Nothing listens there. */
const closedPort = 1

const found = findPrograms()
const skip = 'missing' in found ? `${found.missing} is not set: wants the path of that program, v1.102.3` : false

function findPrograms(): StockPrograms | { readonly missing: string } {
  const [tailscaled, tailscale] = [process.env['HEARTH_TAILSCALED'], process.env['HEARTH_TAILSCALE']]
  if (tailscaled === undefined) return { missing: 'HEARTH_TAILSCALED' }
  return tailscale === undefined ? { missing: 'HEARTH_TAILSCALE' } : { tailscaled, tailscale }
}

describe('a gateway beside the stock tailscaled, by its SOCKS server', () => {
  let tailnet: StockTailnet
  let gateway: Gateway

  before(async () => {
    if ('missing' in found) return
    tailnet = await startStockTailnet(found)
    const { homeName, homeAddress, caFile, socksPort } = tailnet
    const via = `socks5://127.0.0.1:${socksPort}`
    const tls = { via, tls: { caFile } }
    const engines: Readonly<Record<string, object>> = {
      'by-name': { url: `http://${homeName}`, via },
      'by-tls': { ...tls, url: `https://${homeName}` },
      'by-address': { ...tls, url: `https://${homeAddress}` },
      'closed-port': { url: `http://${homeName}:81`, via },
      'by-short-name': { url: `http://home-gpu`, via },
      'no-server': { url: `http://${homeName}`, via: `socks5://127.0.0.1:${closedPort}` },
    }
    gateway = await startGateway({
      config: {
        engines: Object.entries(engines).map(([name, engine]) => ({ name, kind: 'vllm', ...engine })),
        models: Object.keys(engines).map((name) => ({ id: name, engine: name, served })),
        timeouts: { idleMs: 3_000 },
      },
      env: { HEARTH_HOST: '127.0.0.1' },
    })
  })
  after(async () => {
    if (skip !== false) return
    try {
      await assertNothingLeft(gateway, tailnet.engine)
    } finally {
      await tailnet[Symbol.asyncDispose]()
    }
  })

  for (const model of ['by-name', 'by-tls']) {
    it(`answers ${model} through the tailnet, streamed and plain`, { skip }, async () => {
      const plain = await chat(gateway, { model })
      assert.equal(plain.status, 200, await plain.text())
      const { done, data } = readEvents(await (await chat(gateway, { model, stream: true })).text())
      assert.ok(done && data.length > 1)
      assert.match(await tailnet.tailscale('status'), /home-gpu .*active/)
    })
  }

  it('answers 100 requests one after the other, none lost', { skip }, async () => {
    for (let count = 0; count < 100; count += 1) {
      const response = await chat(gateway, { model: 'by-name' })
      const text = await response.text()
      assert.equal(response.status, 200, `request ${count}: ${text}`)
    }
  })

  for (const [model, code] of [
    // The certificate and the rules of the ingress name the home, not its address.
    ['by-address', 'engine_tls_untrusted'],
    ['by-short-name', 'engine_unreachable'],
    ['closed-port', 'mesh_unknown'],
    ['no-server', 'mesh_sidecar_down'],
  ] satisfies [string, ErrorCode][]) {
    it(`answers ${code} for ${model}, and nothing reaches the engine`, { skip }, async () => {
      const before = (await tailnet.engine.requests()).length
      await assertError(await chat(gateway, { model }), errorTable[code].status, code)
      assert.equal((await tailnet.engine.requests()).length, before)
    })
  }

  it('has a server behind it that opens connections outside of the tailnet too, so it must stay on loopback', {
    skip,
  }, async () => {
    const target = { host: '127.0.0.1', port: tailnet.engine.port }
    const proxy = { host: '127.0.0.1', port: tailnet.socksPort }
    const { promise, resolve, reject } = Promise.withResolvers<Socket>()
    connectSocks({ proxy, target, timeoutMs: 10_000 }, (error, socket) => (socket ? resolve(socket) : reject(error)))
    ;(await promise).destroy()
  })

  it('says ingress_down when the tunnel opens, but the ingress is gone', { skip }, async () => {
    await tailnet.traefik.kill()
    for (const model of ['by-name', 'by-tls']) await assertError(await chat(gateway, { model }), 503, 'ingress_down')
  })

  it('says mesh_dial_timeout when the home is off, after the 5 s that tailscaled takes for it', { skip }, async () => {
    await tailnet.home.kill()
    const askedAt = performance.now()
    await assertError(await chat(gateway, { model: 'by-name' }), 504, 'mesh_dial_timeout')
    const tookMs = performance.now() - askedAt
    assert.ok(tookMs > 4_900, `${tookMs} ms`)
  })

  it('says mesh_sidecar_down when tailscaled is dead', { skip }, async () => {
    await tailnet.tailscaled.kill()
    await assertError(await chat(gateway, { model: 'by-name' }), 503, 'mesh_sidecar_down')
    const said = gateway.logs().findLast((record) => record['outcome'] === 'mesh_sidecar_down')
    assert.match(String(said?.['detail']), /does tailscaled run with --socks5-server\?/)
  })
})

describe('a stream by the stock tailscaled whose home dies', () => {
  it('ends with engine_stalled after idleMs, because nobody watches the home', { skip }, async () => {
    if ('missing' in found) return
    await using tailnet = await startStockTailnet(found)
    const gateway = await startGateway({
      config: {
        engines: [
          {
            name: 'gpu',
            url: `http://${tailnet.homeName}`,
            via: `socks5://127.0.0.1:${tailnet.socksPort}`,
            kind: 'vllm',
          },
        ],
        models: [{ id: served, engine: 'gpu' }],
        timeouts: { idleMs: 2_000 },
      },
      env: { HEARTH_HOST: '127.0.0.1' },
    })
    try {
      await tailnet.engine.script({ forever: true, ...readsItsPrompt })
      const response = await chat(gateway, { stream: true })
      assert.equal(response.status, 200)
      await tailnet.engine.waitFor(({ running }) => running === 1, 'the engine is at work')
      await tailnet.home.kill()
      const { errors, done } = readEvents(await withDeadline(response.text(), 30_000, 'the stream ends'))
      assert.deepEqual([done, errors.map((error) => error['code'])], [false, ['engine_stalled']])
    } finally {
      await gateway.stop()
      await gateway[Symbol.asyncDispose]()
    }
  })
})
