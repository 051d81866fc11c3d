import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { createAuthority } from '../../test/certificates.ts'
import { withDeadline } from '../../test/deadline.ts'
import type { EngineConfig } from '../config.ts'
import { createSocksRequest } from '../mesh/socks5.ts'
import { createConnector } from './connector.ts'

const waitMs = 5_000
const home = createAuthority('home')
const { cert, key } = home.issue({ names: ['vllm.home'] })

const servers: Server[] = []
const sockets = new Set<Socket>()
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  for (const server of servers.splice(0)) server.close()
})

async function listen(server: Server): Promise<number> {
  servers.push(server)
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** A sidecar that opens every tunnel, after a while where told, and what stands at the end of it. */
function startSidecar(end: (tunnel: Socket) => void, afterMs = 0): Promise<number> {
  return listen(
    createServer((socket) => {
      socket.once('data', () =>
        setTimeout(() => {
          socket.write('HTTP/1.1 200 OK\r\n\r\n')
          end(socket)
        }, afterMs),
      )
    }),
  )
}

/** Opens one connection to an engine; its socket, or the code of its failure. */
async function open(
  engine: Partial<EngineConfig>,
  { meshPort = 1, connectMs = waitMs } = {},
): Promise<Socket | string> {
  const whole = { name: 'gpu', url: 'https://vllm.home', kind: 'vllm', capacity: 1, ...engine } as const
  const roads = { mesh: { host: '127.0.0.1', port: meshPort }, timeouts: { connectMs } }
  const { protocol, host, hostname, port } = new URL(whole.url)
  const { promise, resolve } = Promise.withResolvers<Socket | string>()
  createConnector(whole, roads)({ protocol, host, hostname, port }, (error, socket) =>
    resolve(error === null ? socket : String(Reflect.get(error, 'code'))),
  )
  const opened = await withDeadline(promise, waitMs * 2, 'the connection opens or fails')
  if (typeof opened !== 'string') sockets.add(opened)
  return opened
}

const tls = { caFile: '/ca.pem', ca: [home.cert] }
const greets = () => createTlsServer({ cert, key }, (socket) => socket.end(`hello ${socket.servername}`))

async function heard(opened: Socket | string): Promise<string> {
  if (typeof opened === 'string') return opened
  const [said] = await withDeadline(once(opened, 'data'), waitMs, 'the engine speaks')
  return String(said)
}

describe('createConnector()', () => {
  it('speaks TLS inside the tunnel of the sidecar', async () => {
    const inner = greets()
    const meshPort = await startSidecar((tunnel) => inner.emit('connection', tunnel))
    assert.equal(await heard(await open({ via: 'mesh:gpu', tls }, { meshPort })), 'hello vllm.home')
  })

  it('speaks TLS behind a SOCKS server, to port 443 unless the url names another', async () => {
    const asked: Buffer[] = []
    const inner = greets()
    const port = await listen(
      createServer((socket) => {
        socket.once('data', () => {
          socket.write(Buffer.from([5, 0]))
          socket.once('data', (request) => {
            asked.push(request)
            socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]))
            inner.emit('connection', socket)
          })
        })
      }),
    )
    const via = `socks5://127.0.0.1:${port}`
    assert.equal(await heard(await open({ via, tls })), 'hello vllm.home')
    assert.equal(await heard(await open({ via, tls, url: 'https://vllm.home:8443' })), 'hello vllm.home')
    const wanted = [443, 8443].map((to) => createSocksRequest({ host: 'vllm.home', port: to }))
    assert.deepEqual(asked, wanted)
  })

  it('speaks TLS without a mesh, by the very same rules', async () => {
    const port = await listen(greets())
    const url = `https://localhost:${port}`
    assert.equal(await open({ url, tls }), 'engine_tls_untrusted')
    const named = home.issue({ names: ['localhost'] })
    const right = await listen(createTlsServer(named, (socket) => socket.end(`hello ${socket.alpnProtocol}`)))
    assert.equal(await heard(await open({ url: `https://localhost:${right}`, tls })), 'hello false')
  })

  it('passes on why the connection below could not be opened, and starts no handshake', async () => {
    for (const via of ['mesh:gpu', 'socks5://127.0.0.1:1'])
      assert.equal(await open({ via, tls }), 'mesh_sidecar_down', via)
    assert.equal(await open({ url: 'https://127.0.0.1:1', tls }), 'ECONNREFUSED')
    assert.equal(await open({ url: 'http://127.0.0.1:1' }), 'ECONNREFUSED')
  })

  it('calls a handshake without an answer ingress_down behind the mesh, engine_unreachable without', async () => {
    const meshPort = await startSidecar((tunnel) => tunnel.resume())
    assert.equal(await open({ via: 'mesh:gpu', tls }, { meshPort, connectMs: 100 }), 'ingress_down')
    const mute = await listen(createServer((socket) => socket.resume()))
    assert.equal(await open({ url: `https://127.0.0.1:${mute}`, tls }, { connectMs: 100 }), 'engine_unreachable')
  })

  it('gives the handshake what the dial has left of connectMs, not as much again', async () => {
    const connectMs = 1_000
    const meshPort = await startSidecar((tunnel) => tunnel.resume(), connectMs * 0.7)
    const startedAt = performance.now()
    assert.equal(await open({ via: 'mesh:gpu', tls }, { meshPort, connectMs }), 'ingress_down')
    const tookMs = performance.now() - startedAt
    assert.ok(tookMs < connectMs * 1.7, `${tookMs} ms`)
  })
})
