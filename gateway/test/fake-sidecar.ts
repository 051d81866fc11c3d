/**
 * A scripted sidecar: answers CONNECT as told, and has the status port that goes with it. Its tunnels lead to a real
 * port of loopback. It imports nothing of the code it checks.
 */
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { waitUntil } from './deadline.ts'

/** What becomes of one CONNECT. */
export type Reply =
  /** 200 with these headers, then a tunnel home; `pieceBytes` cuts the head into pieces. */
  | { readonly open: Readonly<Record<string, string>>; readonly pieceBytes?: number; readonly extra?: string }
  /** The refusal of the contract. */
  | { readonly refuse: string; readonly status?: number; readonly afterMs?: number }
  /** These bytes as they are, then nothing. */
  | { readonly raw: string; readonly end?: boolean }
  | 'hang'
  | 'close'
  | 'reset'

/** One CONNECT as it came in. */
export interface Asked {
  readonly at: number
  readonly head: string
  /** Bytes that came after the head. */
  bytesAfter: number
  /** Whether its connection has ended, for whatever reason. */
  closed: boolean
  /** Ends the tunnel: `rst` as the sidecar does for a reason of its own, `fin` as an ingress that goes away. */
  cut(how: 'rst' | 'fin'): void
}

export interface FakeSidecar extends AsyncDisposable {
  readonly port: number
  readonly statusUrl: string
  readonly asked: readonly Asked[]
  /** Requests of the status port, as `METHOD path`. */
  readonly statusAsked: readonly string[]
  /** The next CONNECTs get these replies, one each. */
  script(...replies: Reply[]): void
  /** What CONNECT gets while nothing is scripted. */
  setDefault(reply: Reply): void
  /** What the status port answers for a path (all methods); undefined hangs. Default 404 `{"state":"unknown"}`. */
  onStatus(answer: (path: string) => { status: number; body: unknown } | undefined): void
  waitFor(predicate: () => boolean, label: string): Promise<unknown>
}

/** Starts a sidecar whose tunnels lead to `homePort`; whoever starts it disposes it. */
export async function startSidecar(homePort: number): Promise<FakeSidecar> {
  const queue: Reply[] = []
  const asked: Asked[] = []
  const statusAsked: string[] = []
  const sockets = new Set<Socket>()
  let byDefault: Reply = { open: { 'Mesh-Tunnel': 't', 'Mesh-Path': 'direct', 'Mesh-Rtt-Ms': '0.41' } }
  let answer: Parameters<FakeSidecar['onStatus']>[0] = () => ({ status: 404, body: { state: 'unknown' } })
  const data = createServer((socket) => {
    track(sockets, socket)
    socket.once('data', (first) => {
      const entry = note(socket, first)
      asked.push(entry)
      reply(socket, queue.shift() ?? byDefault, homePort, sockets)
    })
  })
  const status = createHttpServer((request, response) => {
    statusAsked.push(`${request.method} ${request.url}`)
    answerStatus(request, response, answer(request.url ?? ''))
  })
  status.on('connection', (socket) => track(sockets, socket))
  const [port, statusPort] = [await listen(data), await listen(status)]
  return {
    port,
    statusUrl: `http://127.0.0.1:${statusPort}`,
    asked,
    statusAsked,
    script: (...replies) => void queue.push(...replies),
    setDefault: (reply) => {
      byDefault = reply
    },
    onStatus: (given) => {
      answer = given
    },
    waitFor: (predicate, label) => waitUntil(predicate, 20_000, label),
    [Symbol.asyncDispose]: async () => {
      if (!data.listening) return
      const closed = Promise.all([data, status].map((server) => once(server, 'close')))
      for (const server of [data, status]) server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** The port of a sidecar that is not there: nothing listens on it. */
export async function findClosedPort(): Promise<number> {
  const server = createServer()
  const port = await listen(server)
  server.close()
  await once(server, 'close')
  return port
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

function track(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket)
  socket.on('error', () => {}).on('close', () => sockets.delete(socket))
}

function note(socket: Socket, first: Buffer): Asked {
  const headEnd = first.indexOf('\r\n\r\n') + 4
  const entry: Asked = {
    at: performance.now(),
    head: first.toString('latin1', 0, headEnd),
    bytesAfter: first.length - headEnd,
    closed: false,
    cut: (how) => void (how === 'rst' ? socket.resetAndDestroy() : socket.end()),
  }
  socket.on('data', (chunk) => {
    entry.bytesAfter += chunk.length
  })
  socket.on('close', () => {
    entry.closed = true
  })
  return entry
}

function reply(socket: Socket, what: Reply, homePort: number, sockets: Set<Socket>): void {
  if (what === 'hang') return
  if (what === 'close') return void socket.end()
  if (what === 'reset') return void socket.resetAndDestroy()
  if ('raw' in what) return void (what.end === true ? socket.end(what.raw) : socket.write(what.raw))
  if ('refuse' in what) return void setTimeout(() => socket.end(refusal(what)), what.afterMs ?? 0)
  const headers = Object.entries(what.open).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `HTTP/1.1 200 OK\r\n${headers.join('')}\r\n${what.extra ?? ''}`
  const home = connect({ port: homePort, host: '127.0.0.1', noDelay: true })
  track(sockets, home)
  home.on('close', () => socket.destroy())
  socket.on('close', () => home.destroy())
  writePieces(socket, head, what.pieceBytes ?? head.length, () => socket.pipe(home).pipe(socket))
}

function refusal({ refuse, status = 503 }: { refuse: string; status?: number }): string {
  const body = JSON.stringify({ code: refuse, message: 'A public text.' })
  const head = `HTTP/1.1 ${status} No\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close`
  return `${head}\r\n\r\n${body}`
}

function writePieces(socket: Socket, text: string, bytes: number, done: () => void): void {
  if (text === '') return done()
  socket.write(text.slice(0, bytes), () => setImmediate(writePieces, socket, text.slice(bytes), bytes, done))
}

function answerStatus(
  request: IncomingMessage,
  response: ServerResponse,
  said: ReturnType<Parameters<FakeSidecar['onStatus']>[0]>,
) {
  request.resume()
  if (said === undefined) return
  response.writeHead(said.status, { 'content-type': 'application/json' }).end(JSON.stringify(said.body))
}
