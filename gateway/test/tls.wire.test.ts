import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { createAuthority, type Issued } from './certificates.ts'
import { type FakeEngine, startEngine } from './fake-engine.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { assertError, chat, model, readEvents } from './wire.ts'

const home = createAuthority('home')

/** TLS in front of an engine, as an ingress ends it. */
interface Front {
  readonly url: string
  close(): Promise<void>
}

async function startFront(server: Server): Promise<Front> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function encrypted({ cert, key }: Issued, engine: FakeEngine): Server {
  const server = createTlsServer({ cert, key, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) => {
    const inner = connect(engine.port, '127.0.0.1')
    socket.on('error', () => inner.destroy()).on('close', () => inner.destroy())
    inner.on('error', () => socket.destroy()).on('close', () => socket.end())
    socket.pipe(inner).pipe(socket)
  })
  return server.on('tlsClientError', () => {})
}

describe('a gateway in front of https engines', () => {
  let folder: string
  let engine: FakeEngine
  let gateway: Gateway
  const fronts: Front[] = []
  const servers: Readonly<Record<string, () => Server>> = {
    good: () => encrypted(home.issue({ names: ['localhost'] }), engine),
    'wrong-ca': () => encrypted(createAuthority('stranger').issue({ names: ['localhost'] }), engine),
    'wrong-name': () => encrypted(home.issue({ names: ['other.home'] }), engine),
    expired: () => encrypted(home.issue({ names: ['localhost'], notAfter: new Date(Date.now() - 60_000) }), engine),
    plain: () => createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    silent: () => createServer((socket) => socket.resume()),
    closing: () => createServer((socket) => socket.once('data', () => socket.end())),
  }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hearth-tls-'))
    const caFile = join(folder, 'ca.pem')
    writeFileSync(caFile, home.cert)
    engine = await startEngine()
    const engines: object[] = []
    for (const [name, create] of Object.entries(servers)) {
      const front = await startFront(create())
      fronts.push(front)
      engines.push({ name, url: front.url, kind: 'vllm', tls: { caFile } })
    }
    const models = Object.keys(servers).map((name) => ({ id: name, engine: name, served: model }))
    gateway = await startGateway({
      config: { engines, models, timeouts: { connectMs: 1_000 } },
      // The switch of Node that makes every certificate good.
      env: { HEARTH_HOST: '127.0.0.1', NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    })
  })

  after(async () => {
    try {
      await assertNothingLeft(gateway, engine)
    } finally {
      for (const front of fronts) await front.close()
      await engine[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true })
    }
  })

  it('answers, streamed and plain, when the engine proves who it is', async () => {
    const plain = await chat(gateway, { model: 'good' })
    assert.equal(plain.status, 200, await plain.text())
    const streamed = await chat(gateway, { model: 'good', stream: true })
    const { done, data } = readEvents(await streamed.text())
    assert.ok(done && data.length > 1)
  })

  for (const [name, status, code] of [
    ['wrong-ca', 502, 'engine_tls_untrusted'],
    ['wrong-name', 502, 'engine_tls_untrusted'],
    ['expired', 502, 'engine_tls_untrusted'],
    ['plain', 502, 'engine_tls_failed'],
    ['silent', 503, 'engine_unreachable'],
    ['closing', 503, 'engine_unreachable'],
  ] as const) {
    it(`answers ${code} for an engine that is ${name}, and sends it nothing, whatever Node was told`, async () => {
      const before = engine.requests.length
      await assertError(await chat(gateway, { model: name }), status, code)
      assert.equal(engine.requests.length, before)
    })
  }
})
