import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls'
import { Pool } from 'undici'
import { createAuthority, type Issued } from '../../test/certificates.ts'
import { withDeadline } from '../../test/deadline.ts'
import { HearthError } from '../errors.ts'
import { createTrust, startTls } from './tls.ts'

const waitMs = 5_000
const hour = 3_600_000
const home = createAuthority('home')
const good = home.issue({ names: ['vllm.home', '127.0.0.1'] })

const open: Server[] = []
const sockets = new Set<Socket>()
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  for (const server of open.splice(0)) server.close()
})

async function listen(server: Server): Promise<number> {
  open.push(server)
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** A server that counts what it reads after the handshake. */
async function startServer(issued: Issued, options: TlsOptions = {}, use: (socket: TLSSocket) => void = () => {}) {
  let bytes = 0
  let connections = 0
  const server = createTlsServer({ cert: issued.cert, key: issued.key, ...options }, (socket) => {
    socket
      .on('error', () => {})
      .on('data', (chunk) => {
        bytes += chunk.length
      })
    use(socket)
  })
  server
    .on('tlsClientError', () => {})
    .on('connection', () => {
      connections += 1
    })
  return { port: await listen(server), bytes: () => bytes, connections: () => connections }
}

interface Dial {
  readonly host?: string
  /** Undefined: those of Node and of the system. */
  readonly ca?: string | undefined
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

function handshakeOf(dial: Dial) {
  const { host, ca, timeoutMs, signal } = {
    host: 'vllm.home',
    ca: home.cert,
    timeoutMs: waitMs,
    signal: undefined,
    ...dial,
  }
  const trust = createTrust(ca === undefined ? undefined : [ca])
  return { host, trust, timeoutMs, signal, unanswered: 'ingress_down' } as const
}

async function dial(port: number, options: Dial = {}): Promise<TLSSocket> {
  const raw = connect(port, '127.0.0.1')
  sockets.add(raw)
  await once(raw, 'connect')
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
  startTls(raw, handshakeOf(options), (error, socket) => (socket === null ? reject(error) : resolve(socket)))
  return withDeadline(promise, waitMs * 2, 'the handshake ends')
}

async function failureOf(dialled: Promise<TLSSocket>): Promise<HearthError> {
  const error: unknown = await dialled.then(
    (socket) => new Error(`the handshake succeeded ${socket.destroy().remoteAddress}`),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof HearthError, String(error))
  return error
}

describe('startTls()', () => {
  it('gives an encrypted connection of TLS 1.2 or newer to a host that proved who it is', async () => {
    const says = (socket: TLSSocket) => socket.end(`${socket.servername} ${socket.alpnProtocol}`)
    const server = await startServer(good, { ALPNProtocols: ['h2', 'http/1.1'] }, says)
    const socket = await dial(server.port)
    const [said] = await withDeadline(once(socket, 'data'), waitMs, 'the server speaks')
    assert.equal(String(said), 'vllm.home http/1.1')
    assert.deepEqual([socket.authorized, socket.getProtocol()], [true, 'TLSv1.3'])
    socket.destroy()
  })

  it('names no server to an address, and holds the certificate to the address', async () => {
    const server = await startServer(good, {}, (socket) => socket.end(`${socket.servername}`))
    const socket = await dial(server.port, { host: '127.0.0.1' })
    const [said] = await withDeadline(once(socket, 'data'), waitMs, 'the server speaks')
    assert.equal(String(said), 'false')
    socket.destroy()
    assert.equal((await failureOf(dial(server.port, { host: '127.0.0.2' }))).code, 'engine_tls_untrusted')
  })

  const now = Date.now()
  const stranger = createAuthority('stranger')
  const over = createAuthority('over', { notBefore: new Date(now - 2 * hour), notAfter: new Date(now - hour) })
  for (const [what, issued, options, reason] of [
    ['another authority', stranger.issue({ names: ['vllm.home'] }), {}, /^UNABLE_TO_.*wants tls\.caFile to hold/],
    ['another name', home.issue({ names: ['other.home'] }), {}, /^ERR_TLS_CERT_ALTNAME_INVALID.*names vllm\.home/],
    [
      'a time that is over',
      home.issue({ names: ['vllm.home'], notBefore: new Date(now - 2 * hour), notAfter: new Date(now - hour) }),
      {},
      /^CERT_HAS_EXPIRED.*renew it at home/,
    ],
    [
      'a time to come',
      home.issue({ names: ['vllm.home'], notBefore: new Date(now + hour) }),
      {},
      /^CERT_NOT_YET_VALID.*compare the clocks/,
    ],
    ['an authority that is over itself', over.issue({ names: ['vllm.home'] }), { ca: over.cert }, /^CERT_HAS_EXPIRED/],
  ] satisfies [string, Issued, Dial, RegExp][]) {
    it(`refuses a certificate of ${what}, says so, and has sent nothing of a request`, async () => {
      const server = await startServer(issued)
      const error = await failureOf(dial(server.port, options))
      assert.equal(error.code, 'engine_tls_untrusted')
      assert.match(error.detail ?? '', reason)
      assert.equal(server.bytes(), 0)
    })
  }

  it('believes no authority of a home without being told to', async () => {
    const server = await startServer(good)
    assert.equal((await failureOf(dial(server.port, { ca: undefined }))).code, 'engine_tls_untrusted')
  })

  it('refuses a server of TLS 1.1, and one that speaks HTTP/2 alone', async () => {
    const old = await startServer(good, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' })
    assert.equal((await failureOf(dial(old.port))).code, 'engine_tls_failed')
    const h2 = await startServer(good, { ALPNProtocols: ['h2'] })
    const error = await failureOf(dial(h2.port))
    assert.equal(error.code, 'engine_tls_failed')
    assert.match(error.detail ?? '', /ALERT_NO_APPLICATION_PROTOCOL/)
  })

  it('says so when the port speaks plain http', async () => {
    const port = await listen(createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')))
    const error = await failureOf(dial(port))
    assert.equal(error.code, 'engine_tls_failed')
    assert.match(error.detail ?? '', /plain http\?/)
  })

  it('ends a handshake that stalls, by its own deadline, and closes the connection', async () => {
    const closed = Promise.withResolvers<void>()
    const port = await listen(createServer((socket) => socket.resume().on('close', () => closed.resolve())))
    const error = await failureOf(dial(port, { timeoutMs: 50 }))
    assert.equal(error.code, 'ingress_down')
    assert.match(error.detail ?? '', /within 50 ms/)
    await withDeadline(closed.promise, waitMs, 'the server sees the end')
  })

  it('ends at once with the reason of its signal, and closes the connection', async () => {
    const leave = new AbortController()
    const closed = Promise.withResolvers<void>()
    const abort = () => leave.abort(new HearthError('client_gone'))
    const port = await listen(createServer((socket) => socket.once('data', abort).on('close', () => closed.resolve())))
    assert.equal((await failureOf(dial(port, { signal: leave.signal }))).code, 'client_gone')
    await withDeadline(closed.promise, waitMs, 'the server sees the end')
    assert.equal((await failureOf(dial(port, { signal: leave.signal }))).code, 'client_gone')
  })

  for (const how of ['FIN', 'RST'] as const) {
    it(`calls a ${how} in the middle of the handshake what its caller wants it called`, async () => {
      const hangUp = (socket: Socket) =>
        socket.once('data', () => (how === 'FIN' ? socket.end() : socket.resetAndDestroy()))
      const error = await failureOf(dial(await listen(createServer(hangUp))))
      assert.equal(error.code, 'ingress_down')
    })
  }
})

describe('a pool over startTls()', () => {
  async function requestTo(port: number, options: Dial = {}): Promise<string | number> {
    const pool = new Pool('https://vllm.home', {
      allowH2: false,
      connect: (_options, callback) => {
        const raw = connect(port, '127.0.0.1')
        sockets.add(raw)
        raw.once('connect', () => startTls(raw, handshakeOf(options), callback))
      },
    })
    try {
      const sent = pool.request({ path: '/', method: 'POST', body: 'secret prompt' })
      const answer = await withDeadline(sent, waitMs, 'the request through the pool ends')
      await answer.body.dump()
      return answer.statusCode
    } catch (error) {
      return String(Reflect.get(Object(error), 'code') ?? Reflect.get(Object(error), 'name'))
    } finally {
      await pool.destroy()
    }
  }

  it('carries a request and its answer', async () => {
    const server = await startServer(good, {}, (socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n')),
    )
    assert.equal(await requestTo(server.port), 202)
  })

  it('ends the request with the reason of a refused certificate, after exactly one dial', async () => {
    const server = await startServer(good)
    assert.equal(await requestTo(server.port, { host: 'other.home' }), 'engine_tls_untrusted')
    assert.deepEqual([server.connections(), server.bytes()], [1, 0])
  })

  it('does not dial for ever when the server speaks first or breaks TLS after the handshake', async () => {
    const early = await startServer(good, {}, (socket) => socket.write('SSH-2.0-OpenSSH\r\n'))
    assert.match(String(await requestTo(early.port)), /^(HPE_|HTTPParserError)/)
    assert.equal(early.connections(), 1)
    const demanding = await startServer(good, { requestCert: true, rejectUnauthorized: true, ca: [home.cert] })
    assert.match(
      String(await requestTo(demanding.port)),
      /^ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED$|^ECONNRESET$|^UND_ERR_SOCKET$/,
    )
    assert.ok(demanding.connections() <= 2)
  })
})
