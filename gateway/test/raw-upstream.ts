import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

/** One request as bytes, and what its connection had carried before. */
export interface SeenRequest {
  readonly head: string
  readonly body: string
  /** Counts up with each connection. */
  readonly connection: number
  /** The marks of the plans that were carried out on this connection before. */
  readonly before: readonly string[]
}

/** What is written in answer, byte for byte. */
export interface Plan {
  /** Told to the requests that come later on the same connection. */
  readonly mark: string
  readonly writes: readonly Buffer[]
  /** Between the writes; else they follow each other on the turns of the loop. */
  readonly pauseMs?: number
  /** Written again and again behind `writes`, until the connection is gone or `endlessMax` bytes are out. */
  readonly endless?: Buffer
  /** Whether it is written when the head of the request is there, before its body. */
  readonly early?: boolean
  /** What becomes of the connection behind it; `die`: the process of the server is killed once the bytes are out. */
  readonly ending: 'keep' | 'fin' | 'rst' | 'die'
}

export interface RawUpstream extends AsyncDisposable {
  readonly port: number
  readonly url: string
  readonly requests: readonly SeenRequest[]
  /** Connections that were ever opened. */
  connections(): number
  socketsOpen(): number
}

const endlessMax = 6 * 1024 * 1024

/** Chooses the plan for a request, also while its body still comes; undefined: not enough of it is there. */
export type Planner = (request: SeenRequest) => Plan | undefined

/** A server of plain TCP that says what `plan` wants, HTTP or not. Whoever starts it disposes of it. */
export async function startRawUpstream(plan: Planner, listenAt = 0): Promise<RawUpstream> {
  const requests: SeenRequest[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  const server: Server = createServer({ noDelay: true }, (socket) => {
    connections += 1
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket)).on('error', () => {})
    serve(socket, connections, requests, plan).catch(() => socket.destroy())
  })
  server.listen(listenAt, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    connections: () => connections,
    socketsOpen: () => sockets.size,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** One connection: a request, its plan, and the next. */
async function serve(socket: Socket, connection: number, requests: SeenRequest[], plan: Planner): Promise<void> {
  const before: string[] = []
  let bytes: Buffer = Buffer.alloc(0)
  let planned: { chosen: Plan; said: Promise<void> } | undefined
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    bytes = Buffer.concat([bytes, chunk])
    for (let found = splitRequest(bytes); found !== undefined; found = splitRequest(bytes)) {
      const { head, body, isWhole, rest } = found
      const request = { head, body, connection, before: [...before] }
      const chosen = planned === undefined ? plan(request) : undefined
      if (chosen !== undefined && (isWhole || chosen.early === true)) {
        requests.push(request)
        planned = { chosen, said: say(socket, chosen) }
      }
      if (!isWhole || planned === undefined) break
      bytes = rest
      await planned.said
      before.push(planned.chosen.mark)
      planned = undefined
    }
  }
}

/** The first request of the bytes, with as much of its body as is there. */
function splitRequest(bytes: Buffer): { head: string; body: string; isWhole: boolean; rest: Buffer } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const head = bytes.toString('latin1', 0, headEnd)
  const end = headEnd + 4 + Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0)
  return {
    head,
    body: bytes.toString('latin1', headEnd + 4, Math.min(end, headEnd + 4_096)),
    isWhole: bytes.length >= end,
    rest: bytes.subarray(end),
  }
}

/** Resolves when more may be written, or nobody reads any more. */
async function drained(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const go = () => resolve()
  socket.once('drain', go).once('close', go)
  await promise
  socket.off('drain', go).off('close', go)
}

async function say(socket: Socket, { writes, endless, ending, pauseMs }: Plan): Promise<void> {
  for (const bytes of writes) {
    if (socket.destroyed) return
    socket.write(bytes)
    await (pauseMs === undefined ? nextTurn() : sleep(pauseMs))
  }
  for (let sent = 0; endless !== undefined && sent < endlessMax && !socket.destroyed; sent += endless.length) {
    if (!socket.write(endless)) await drained(socket)
  }
  if (ending === 'fin') socket.end()
  if (ending === 'rst') socket.resetAndDestroy()
  if (ending === 'die') socket.write('', () => process.kill(process.pid, 'SIGKILL'))
}
