import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { z } from 'zod'

/** One request as an origin took it. */
export interface Seen {
  readonly method: string
  readonly target: string
  /** Names in small letters, as received. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
}

/** Bytes that an origin sent on and that are no request; it makes every comparison fail. */
export const notHttp = 'NOT-HTTP'

/** Where the origins of one kind leave what they saw. */
export interface Recorder {
  readonly port: number
  readonly seen: readonly Seen[]
  /** Resolves when every connection has ended by itself, so that nothing can come any more. */
  close(): Promise<void>
}

const nonce = /case-\d+-\d+/

/** The nonce of a request's body, by which the answer is known to be its own. */
export function nonceIn(body: string): string | undefined {
  return nonce.exec(body)?.[0]
}

/**
 * What stands behind a proxy: takes requests apart by the two framings that a proxy may send and by nothing else, and
 * answers each with its nonce.
 */
export async function startRecorder(): Promise<Recorder> {
  const seen: Seen[] = []
  return await listen(seen, (socket) => {
    let pending: Buffer = Buffer.alloc(0)
    socket.on('data', (bytes) => {
      pending = Buffer.concat([pending, bytes])
      for (let taken = takeRequest(pending); taken !== undefined; taken = takeRequest(pending)) {
        seen.push(taken.request)
        pending = pending.subarray(taken.bytes)
        if (taken.request.method === notHttp) return void socket.destroy()
        const answer = JSON.stringify({ nonce: nonceIn(taken.request.body.toString('latin1')) ?? null })
        socket.write(
          `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`,
        )
      }
    })
  })
}

const lineSchema = z.object({
  method: z.string(),
  target: z.string(),
  headers: z.array(z.tuple([z.string(), z.string()])),
  body: z.base64(),
})

/** Takes the reports of an origin that reads requests itself: one JSON line each. */
export async function startReportTaker(): Promise<Recorder> {
  const seen: Seen[] = []
  return await listen(seen, (socket) => {
    createInterface({ input: socket }).on('line', (line) => {
      const { body, ...rest } = lineSchema.parse(JSON.parse(line))
      seen.push({ ...rest, body: Buffer.from(body, 'base64') })
    })
  })
}

async function listen(seen: Seen[], onSocket: (socket: Socket) => void): Promise<Recorder> {
  const server = createServer()
  server.on('connection', (socket) => {
    socket.setNoDelay(true)
    // A proxy may give up a connection in any way; what it had sent by then counts.
    socket.on('error', () => {})
    onSocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { port, seen, close: () => closeServer(server) }
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  await closed
}

interface Taken {
  readonly request: Seen
  readonly bytes: number
}

/** The first whole request of the bytes, undefined while it is not all there. */
function takeRequest(bytes: Buffer): Taken | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
  const parts = /^([A-Z]+) (\S+) HTTP\/1\.[01]$/.exec(first)
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
  })
  const body = takeBody(bytes, end + 4, headers)
  if (body === undefined) return undefined
  if (parts === null || body === 'broken' || lines.some((line) => !/^[\w-]+:/.test(line))) return broken(bytes)
  const [, method = '', target = ''] = parts
  return { request: { method, target, headers, body: body.body }, bytes: body.end }
}

function broken(bytes: Buffer): Taken {
  return { request: { method: notHttp, target: '', headers: [], body: bytes }, bytes: bytes.length }
}

type Body = { readonly body: Buffer; readonly end: number } | 'broken' | undefined

function takeBody(bytes: Buffer, start: number, headers: readonly (readonly [string, string])[]): Body {
  const valuesOf = (name: string) => headers.filter(([known]) => known === name).map(([, value]) => value)
  const lengths = valuesOf('content-length')
  const encodings = valuesOf('transfer-encoding')
  if (lengths.length + encodings.length > 1) return 'broken'
  if (encodings.length === 1) return encodings[0] === 'chunked' ? takeChunks(bytes, start) : 'broken'
  const length = lengths[0] ?? '0'
  if (!/^\d+$/.test(length)) return 'broken'
  const end = start + Number(length)
  return bytes.length < end ? undefined : { body: bytes.subarray(start, end), end }
}

function takeChunks(bytes: Buffer, start: number): Body {
  const chunks: Buffer[] = []
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const line = bytes.toString('latin1', at, lineEnd)
    if (!/^[0-9a-f]+$/i.test(line)) return 'broken'
    const size = Number.parseInt(line, 16)
    const dataEnd = lineEnd + 2 + size
    if (bytes.length < dataEnd + 2) return undefined
    if (bytes.toString('latin1', dataEnd, dataEnd + 2) !== '\r\n') return 'broken'
    if (size === 0) return { body: Buffer.concat(chunks), end: dataEnd + 2 }
    chunks.push(bytes.subarray(lineEnd + 2, dataEnd))
    at = dataEnd + 2
  }
}
