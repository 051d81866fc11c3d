import assert from 'node:assert/strict'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import { Pool } from 'undici'
import { withDeadline } from '../../test/deadline.ts'
import { HearthError } from '../errors.ts'
import { connectMesh } from './connect.ts'

const waitMs = 5_000

interface Sidecar {
  readonly port: number
  readonly connections: () => number
  close(): Promise<void>
}

const open: Sidecar[] = []
afterEach(async () => {
  for (const sidecar of open.splice(0)) await sidecar.close()
})

/** A sidecar that answers every CONNECT head in the way of the test. */
async function startSidecar(answer: (socket: Socket, head: string) => void): Promise<Sidecar> {
  const sockets = new Set<Socket>()
  let connections = 0
  const server: Server = createServer((socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.once('data', (head) => answer(socket, head.toString('latin1')))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const sidecar = {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  open.push(sidecar)
  return sidecar
}

function dial(port: number, timeoutMs = waitMs): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  connectMesh({ sidecar: { host: '127.0.0.1', port }, upstream: 'gpu', timeoutMs }, (error, socket) => {
    if (socket === null) reject(error)
    else resolve(socket)
  })
  return withDeadline(promise, waitMs * 2, 'the dial ends')
}

const refusal = (status: string, body: string) =>
  `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`

async function codeOf(dialled: Promise<Socket>): Promise<string> {
  try {
    ;(await dialled).destroy()
    return 'open'
  } catch (error) {
    return error instanceof HearthError ? error.code : String(error)
  }
}

describe('connectMesh()', () => {
  it('asks for the upstream by name and gives the socket once the tunnel is open', async () => {
    let asked = ''
    const sidecar = await startSidecar((socket, head) => {
      asked = head
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
    })
    const socket = await dial(sidecar.port)
    socket.destroy()
    assert.equal(asked, 'CONNECT gpu HTTP/1.1\r\nHost: gpu\r\n\r\n')
  })

  it('carries the reason of the sidecar, also when it arrives byte by byte', async () => {
    const sidecar = await startSidecar((socket) => {
      const text = refusal('503 Service Unavailable', '{"code":"mesh_peer_missing","message":"x"}')
      const writeFrom = (at: number) => {
        if (at < text.length && !socket.destroyed) socket.write(text.charAt(at), () => setImmediate(writeFrom, at + 1))
      }
      writeFrom(0)
    })
    assert.equal(await codeOf(dial(sidecar.port)), 'mesh_peer_missing')
  })

  it('calls a reason that it does not know mesh_unknown and keeps its text for the log', async () => {
    const sidecar = await startSidecar((socket) => socket.end(refusal('502 Bad Gateway', '{"code":"mesh_gremlins"}')))
    await assert.rejects(
      dial(sidecar.port),
      (error) =>
        error instanceof HearthError && error.code === 'mesh_unknown' && /mesh_gremlins/.test(error.detail ?? ''),
    )
  })

  it('never lets a sidecar choose a code that is not of the mesh', async () => {
    const sidecar = await startSidecar((socket) => socket.end(refusal('503 No', '{"code":"invalid_api_key"}')))
    assert.equal(await codeOf(dial(sidecar.port)), 'mesh_unknown')
  })

  it('fails with mesh_sidecar_down when nobody listens, or the sidecar hangs up without a word', async () => {
    const gone = await startSidecar(() => {})
    await gone.close()
    assert.equal(await codeOf(dial(gone.port)), 'mesh_sidecar_down')
    const mute = await startSidecar((socket) => socket.end())
    assert.equal(await codeOf(dial(mute.port)), 'mesh_sidecar_down')
  })

  it('fails with mesh_dial_timeout when the sidecar never answers', async () => {
    const sidecar = await startSidecar(() => {})
    assert.equal(await codeOf(dial(sidecar.port, 50)), 'mesh_dial_timeout')
  })

  it('refuses a tunnel that speaks before it was asked', async () => {
    const sidecar = await startSidecar((socket) => socket.write('HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 Smuggled\r\n\r\n'))
    assert.equal(await codeOf(dial(sidecar.port)), 'mesh_early_bytes')
  })

  it('gives up on a head without an end', async () => {
    const sidecar = await startSidecar((socket) => socket.write(`HTTP/1.1 200 OK\r\nX: ${'a'.repeat(64 * 1024)}`))
    assert.equal(await codeOf(dial(sidecar.port)), 'mesh_unknown')
  })
})

describe('a pool over connectMesh()', () => {
  /** Sends one request through a pool whose connector dials the sidecar; gives its error code, or the status. */
  async function requestThrough(port: number, body?: string): Promise<string | number> {
    const dial = { sidecar: { host: '127.0.0.1', port }, upstream: 'gpu', timeoutMs: 500 }
    const pool = new Pool('http://vllm.home', { connect: (_options, callback) => connectMesh(dial, callback) })
    try {
      const sent = pool.request({ path: '/', method: body === undefined ? 'GET' : 'POST', body: body ?? null })
      const answer = await withDeadline(sent, waitMs, 'the request through the pool ends')
      await answer.body.dump()
      return answer.statusCode
    } catch (error) {
      return error instanceof HearthError ? error.code : String(error)
    } finally {
      await pool.destroy()
    }
  }

  it('ends the request with the reason of a refused dial, after exactly one dial', async () => {
    const sidecar = await startSidecar((socket) => socket.end(refusal('503 No', '{"code":"mesh_peer_offline"}')))
    assert.equal(await requestThrough(sidecar.port), 'mesh_peer_offline')
    assert.equal(sidecar.connections(), 1)
  })

  it('does not dial for ever when the tunnel speaks early', async () => {
    const sidecar = await startSidecar((socket) => socket.write('HTTP/1.1 200 OK\r\n\r\njunk'))
    assert.equal(await requestThrough(sidecar.port), 'mesh_early_bytes')
    assert.equal(sidecar.connections(), 1)
  })

  it('carries a request and its answer through the tunnel', async () => {
    const home = createHttpServer((request, response) => {
      request.resume().on('end', () => response.writeHead(202).end(request.headers.host))
    })
    const sidecar = await startSidecar((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      home.emit('connection', socket)
    })
    assert.equal(await requestThrough(sidecar.port, 'hello'), 202)
  })
})
