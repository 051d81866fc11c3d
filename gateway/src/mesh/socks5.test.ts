import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import fc from 'fast-check'
import { withDeadline } from '../../test/deadline.ts'
import { HearthError } from '../errors.ts'
import { classify } from '../upstream/classify.ts'
import { createUpstream } from '../upstream/transport.ts'
import { connectSocks, createSocksRequest, judgeSocks } from './socks5.ts'
import { MeshStatus } from './status.ts'

const waitMs = 5_000
const method = [5, 0]
const opened = [5, 0, 0, 1, 100, 64, 0, 2, 0xd4, 0x31]
const openedByName = [5, 0, 0, 3, 4, ...Buffer.from('home'), 0, 80]
const openedBySix = [5, 0, 0, 4, ...new Array(16).fill(0), 0, 80]

function verdictOf(said: readonly number[], waitedMs: number | undefined): string {
  const verdict = judgeSocks(Buffer.from(said), waitedMs)
  return verdict instanceof HearthError ? verdict.code : verdict
}

describe('judgeSocks()', () => {
  for (const [what, said, waitedMs, verdict] of [
    ['nothing', [], undefined, 'wait'],
    ['half of the choice of a method', [5], undefined, 'wait'],
    ['the choice of no password', method, undefined, 'ask'],
    ['the wish for a password', [5, 2], undefined, 'mesh_unknown'],
    ['no method in common', [5, 0xff], undefined, 'mesh_unknown'],
    ['SOCKS4', [0, 90], undefined, 'mesh_unknown'],
    ['an HTTP server', [...Buffer.from('HTTP/1.1 400')], undefined, 'mesh_unknown'],
    ['a reply before it was asked', [...method, ...opened], undefined, 'mesh_unknown'],
    ['no reply yet', method, 3, 'wait'],
    ['a reply of another version', [...method, 4, 0], 3, 'mesh_unknown'],
    ['a reply without its address', [...method, 5, 0, 0], 3, 'wait'],
    ['a reply without its whole address', [...method, ...opened.slice(0, -1)], 3, 'wait'],
    ['an open tunnel, with an IPv4 address', [...method, ...opened], 3, 'open'],
    ['an open tunnel, with a name', [...method, ...openedByName], 3, 'open'],
    ['an open tunnel, with an IPv6 address', [...method, ...openedBySix], 3, 'open'],
    ['an open tunnel, with an empty name', [...method, 5, 0, 0, 3, 0, 0, 80], 3, 'open'],
    ['an address of an unknown kind', [...method, 5, 0, 0, 2], 3, 'mesh_unknown'],
    ['bytes right after the open tunnel', [...method, ...opened, 83], 3, 'mesh_early_bytes'],
    ['general failure at once', [...method, 5, 1], 3, 'mesh_unknown'],
    ['general failure after the 5 s of tailscaled', [...method, 5, 1], 5_003, 'mesh_dial_timeout'],
    ['general failure shortly before them', [...method, 5, 1], 4_900, 'mesh_unknown'],
    ['not allowed', [...method, 5, 2], 3, 'mesh_unknown'],
    ['network unreachable', [...method, 5, 3], 3, 'mesh_peer_missing'],
    ['host unreachable', [...method, 5, 4], 3, 'mesh_peer_missing'],
    ['connection refused', [...method, 5, 5], 3, 'mesh_refused'],
    ['time to live expired', [...method, 5, 6], 3, 'mesh_dial_timeout'],
    ['command not supported', [...method, 5, 7], 3, 'mesh_unknown'],
    ['kind of address not supported', [...method, 5, 8], 3, 'mesh_unknown'],
    ['a reply that no one knows', [...method, 5, 200], 3, 'mesh_unknown'],
  ] satisfies [string, number[], number | undefined, string][]) {
    it(`takes ${what} as ${verdict}`, () => assert.equal(verdictOf(said, waitedMs), verdict))
  }

  it('keeps for the log what the server said, and after how long', () => {
    const verdict = judgeSocks(Buffer.from([...method, 5, 1]), 7.4)
    assert.ok(verdict instanceof HearthError)
    assert.match(verdict.detail ?? '', /refused after 7 ms: 1 \(general failure: tailscaled says no more/)
  })

  it('comes to the same end however the bytes are cut, and never opens before the last of them', () => {
    const answers = fc.constantFrom(opened, openedByName, openedBySix)
    fc.assert(
      fc.property(answers, fc.nat({ max: 40 }), (reply, cut) => {
        const whole = [...method, ...reply]
        const part = whole.slice(0, Math.min(cut, whole.length - 1))
        assert.equal(verdictOf(part, 3), 'wait')
        assert.equal(verdictOf(whole, 3), 'open')
        assert.equal(verdictOf([...whole, cut], 3), 'mesh_early_bytes')
      }),
    )
  })

  it('takes any bytes at all without throwing, and only a whole reply of success opens', () => {
    const likely = fc.array(fc.oneof(fc.constantFrom(0, 1, 3, 4, 5, 255), fc.nat({ max: 255 })), { maxLength: 40 })
    fc.assert(
      fc.property(likely, fc.option(fc.nat({ max: 30_000 }), { nil: undefined }), (said, waitedMs) => {
        const verdict = verdictOf(said, waitedMs)
        assert.match(verdict, /^(wait|ask|open|mesh_\w+)$/)
        if (verdict === 'open') assert.deepEqual(said.slice(0, 4), [...method, 5, 0])
        if (verdict === 'ask') assert.deepEqual([said, waitedMs], [method, undefined])
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('createSocksRequest()', () => {
  it('asks by name, so that the server resolves it, and by number only for an IPv4 address', () => {
    assert.deepEqual(
      [...createSocksRequest({ host: 'gpu.x', port: 8080 })],
      [5, 1, 0, 3, 5, ...Buffer.from('gpu.x'), 31, 144],
    )
    assert.deepEqual([...createSocksRequest({ host: '100.64.0.7', port: 443 })], [5, 1, 0, 1, 100, 64, 0, 7, 1, 187])
  })

  it('refuses a name that does not fit', () => {
    assert.throws(() => createSocksRequest({ host: 'a'.repeat(256), port: 1 }), HearthError)
  })
})

/** A SOCKS server that does what the test says, and counts. */
interface Script {
  /** Bytes for the greeting, sent in these pieces; undefined: silence. */
  readonly method?: readonly number[]
  readonly reply?: readonly number[]
  readonly byteByByte?: boolean
  readonly next?: (socket: Socket) => void
}

const servers: Server[] = []
const sockets = new Set<Socket>()
afterEach(() => {
  for (const socket of sockets) socket.destroy()
  for (const server of servers.splice(0)) server.close()
})

async function startProxy(script: Script) {
  const asked: Buffer[] = []
  let connections = 0
  const server = createServer({ noDelay: true }, (socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    void serve(socket, script, asked)
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, asked, connections: () => connections }
}

async function serve(socket: Socket, script: Script, asked: Buffer[]): Promise<void> {
  for (const words of [script.method, script.reply]) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    asked.push(chunk)
    if (words === undefined) return
    const pieces = script.byteByByte === true ? words.map((word) => [word]) : [words]
    for (const piece of pieces) {
      await new Promise((resolve) => socket.write(Buffer.from(piece), resolve))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  script.next?.(socket)
}

function dial(port: number, timeoutMs = waitMs, signal?: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const target = { host: 'home-gpu', port: 80 }
  connectSocks({ proxy: { host: '127.0.0.1', port }, target, timeoutMs, signal }, (error, socket) => {
    if (socket === null) return reject(error)
    sockets.add(socket)
    resolve(socket)
  })
  return withDeadline(promise, waitMs * 2, 'the dial ends')
}

async function codeOf(dialled: Promise<unknown>): Promise<string> {
  return dialled.then(
    () => 'open',
    (error: unknown) => (error instanceof HearthError ? error.code : String(error)),
  )
}

describe('connectSocks()', () => {
  for (const byteByByte of [false, true]) {
    it(`greets, asks for the target and gives the open socket${byteByByte ? ', also when told byte by byte' : ''}`, async () => {
      const proxy = await startProxy({ method, reply: opened, byteByByte })
      ;(await dial(proxy.port)).destroy()
      assert.deepEqual(
        proxy.asked.map((bytes) => [...bytes]),
        [[5, 1, 0], [...createSocksRequest({ host: 'home-gpu', port: 80 })]],
      )
    })
  }

  it('carries the reply of a refused dial, and closes the connection', async () => {
    const closed = Promise.withResolvers<void>()
    const watch = (socket: Socket) => void socket.resume().on('close', () => closed.resolve())
    const proxy = await startProxy({ method, reply: [5, 5, 0, 1, 0, 0, 0, 0, 0, 0], next: watch })
    assert.equal(await codeOf(dial(proxy.port)), 'mesh_refused')
    await withDeadline(closed.promise, waitMs, 'the proxy sees the end')
  })

  it('fails with mesh_sidecar_down when nobody listens, or the server hangs up before its reply', async () => {
    const gone = await startProxy({})
    for (const server of servers.splice(0)) server.close()
    assert.equal(await codeOf(dial(gone.port)), 'mesh_sidecar_down')
    const mute = await startProxy({ method, reply: [], next: (socket) => socket.end() })
    assert.equal(await codeOf(dial(mute.port)), 'mesh_sidecar_down')
    const rude = await startProxy({ method, reply: [5], next: (socket) => socket.resetAndDestroy() })
    assert.equal(await codeOf(dial(rude.port)), 'mesh_sidecar_down')
  })

  it('fails with mesh_dial_timeout when the server never answers', async () => {
    assert.equal(await codeOf(dial((await startProxy({})).port, 50)), 'mesh_dial_timeout')
    assert.equal(await codeOf(dial((await startProxy({ method })).port, 50)), 'mesh_dial_timeout')
  })

  it('ends at once with the reason of its signal, and closes the connection', async () => {
    const leave = new AbortController()
    const closed = Promise.withResolvers<void>()
    const proxy = await startProxy({
      method,
      reply: [5],
      next: (socket) => {
        socket.resume().on('close', () => closed.resolve())
        leave.abort(new HearthError('client_gone'))
      },
    })
    assert.equal(await codeOf(dial(proxy.port, waitMs, leave.signal)), 'client_gone')
    await withDeadline(closed.promise, waitMs, 'the proxy sees the end')
    assert.equal(await codeOf(dial(proxy.port, waitMs, leave.signal)), 'client_gone')
    assert.equal(proxy.connections(), 1)
  })

  it('refuses a tunnel that speaks before it was asked', async () => {
    const proxy = await startProxy({ method, reply: [...opened, ...Buffer.from('SSH-2.0')] })
    assert.equal(await codeOf(dial(proxy.port)), 'mesh_early_bytes')
  })
})

describe('an engine behind a SOCKS server', () => {
  /** The code of one request through the gateway's own upstream, or its status. */
  async function requestThrough(port: number): Promise<string | number> {
    const via = `socks5://127.0.0.1:${port}`
    const upstream = createUpstream(
      { name: 'gpu', url: 'http://home-gpu:8000', via, kind: 'vllm', capacity: 1 },
      {
        mesh: { host: '127.0.0.1', port: 1 },
        engineApiKey: undefined,
        timeouts: { connectMs: 1_000 },
        limits: { connectTries: 1 },
        status: new MeshStatus({ url: undefined, now: () => performance.now() }),
        now: () => performance.now(),
        onDial: () => {},
        onRetry: () => {},
      },
    )
    try {
      return await withDeadline(upstream.probe('/v1/models', AbortSignal.timeout(waitMs)), waitMs, 'the request ends')
    } catch (error) {
      return classify(error, { answered: false, viaMesh: upstream.viaMesh }).code
    } finally {
      await upstream.destroy()
    }
  }

  it('is reached by the name and the port of its url, and answers', async () => {
    const answer = (socket: Socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 204 No\r\nConnection: close\r\n\r\n'))
    const proxy = await startProxy({ method, reply: opened, next: answer })
    assert.equal(await requestThrough(proxy.port), 204)
    assert.deepEqual(proxy.asked[1], createSocksRequest({ host: 'home-gpu', port: 8000 }))
  })

  for (const [what, script, code] of [
    ['a refused dial', { method, reply: [5, 1, 0, 1, 0, 0, 0, 0, 0, 0] }, 'mesh_unknown'],
    ['a tunnel that speaks early', { method, reply: [...opened, 83, 83] }, 'mesh_early_bytes'],
    ['an ingress that is not there', { method, reply: opened, next: (socket) => socket.end() }, 'ingress_down'],
    ['a server that hangs up', { method, reply: [5], next: (socket) => socket.end() }, 'mesh_sidecar_down'],
  ] satisfies [string, Script, string][]) {
    it(`fails with ${code} after exactly one dial on ${what}`, async () => {
      const proxy = await startProxy(script)
      assert.equal(await requestThrough(proxy.port), code)
      assert.equal(proxy.connections(), 1)
    })
  }
})
