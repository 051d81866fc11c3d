import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { nowMs, waitUntil } from './deadline.ts'

/** One request at the engine. Its answer is whatever is written to the socket. */
export interface Arrival {
  readonly nonce: string
  readonly socket: Socket
  /** Whole requests that the connection carried before. */
  readonly before: number
  /** Whether the body is there to its last byte. */
  whole: boolean
  /** When its connection was gone, as `nowMs()`. */
  closedMs: number | undefined
  /** The answer is out: the connection may carry another request. */
  next(): void
}

export interface BareEngineOptions {
  /** A request is whole. */
  readonly onRequest: (arrival: Arrival) => void
  /** Told at every read of a body that is not whole; `bytes` of the request, its head included, are there. */
  readonly onUpload?: (arrival: Arrival, bytes: number) => void
  readonly onConnection?: (socket: Socket) => void
  /** Ends a connection with FIN when it was idle for so long. Without it never. */
  readonly keepAliveMs?: number
  readonly port?: number
  /** Keeps no request after its answer, for a hundred thousand of them: `arrivals()` is always empty. */
  readonly forgetful?: boolean
}

/** An engine on bare sockets: cheap, it counts by the nonce in each request, and says exactly the bytes it is told to. */
export interface BareEngine extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** Requests by their nonce, in order of arrival; the part of one that never became whole, too. */
  arrivals(nonce: string): readonly Arrival[]
  readonly requests: number
  readonly socketsOpen: number
  readonly socketsTotal: number
  waitFor(probe: (engine: BareEngine) => boolean, label: string, timeoutMs?: number): Promise<void>
}

const waitMs = 10_000
const noncePattern = /nonce-[0-9a-f]{16}/
const lengthPattern = /^content-length: (\d+)/im
/** How far behind the head the nonce stands at most. */
const nonceWithinBytes = 1_024

/** The nonce of that number; all have the same length. */
export function nonceOf(number: number): string {
  return `nonce-${number.toString(16).padStart(16, '0')}`
}

/** Starts one; whoever starts it disposes of it. */
export async function startBareEngine(options: BareEngineOptions): Promise<BareEngine> {
  const sockets = new Set<Socket>()
  const byNonce = new Map<string, Arrival[]>()
  let [requests, socketsTotal] = [0, 0]
  const note = (arrival: Arrival): void => {
    if (options.forgetful === true) return
    const known = byNonce.get(arrival.nonce)
    if (known === undefined) byNonce.set(arrival.nonce, [arrival])
    else known.push(arrival)
  }
  const counted: BareEngineOptions = {
    ...options,
    onRequest: (arrival) => {
      requests += 1
      options.onRequest(arrival)
    },
  }
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    socketsTotal += 1
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket)).on('error', () => {})
    options.onConnection?.(socket)
    if (!socket.destroyed) new Connection(socket, counted, note)
  })
  server.listen({ port: options.port ?? 0, host: '127.0.0.1', backlog: 2_048 })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const engine: BareEngine = {
    port,
    url: `http://127.0.0.1:${port}`,
    arrivals: (nonce) => byNonce.get(nonce) ?? [],
    get requests() {
      return requests
    },
    get socketsOpen() {
      return sockets.size
    },
    get socketsTotal() {
      return socketsTotal
    },
    waitFor: async (probe, label, timeoutMs = waitMs) => void (await waitUntil(() => probe(engine), timeoutMs, label)),
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
  return engine
}

/** Cuts what one connection carries into requests, one at a time. */
class Connection {
  readonly #socket: Socket
  readonly #options: BareEngineOptions
  readonly #note: (arrival: Arrival) => void
  #bytes: Buffer = Buffer.alloc(0)
  #arrival: Arrival | undefined
  #wanted = 0
  #before = 0
  #idle: NodeJS.Timeout | undefined

  constructor(socket: Socket, options: BareEngineOptions, note: (arrival: Arrival) => void) {
    this.#socket = socket
    this.#options = options
    this.#note = note
    socket.on('data', (bytes) => {
      clearTimeout(this.#idle)
      this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes])
      this.#look()
    })
    // Whoever ends its side has left; a gateway does not do that and wait.
    socket.on('end', () => socket.destroy())
    socket.once('close', () => {
      clearTimeout(this.#idle)
      if (this.#arrival !== undefined) this.#arrival.closedMs = nowMs()
    })
  }

  #look(): void {
    if (this.#arrival?.whole === true) return
    this.#arrival ??= this.#begin()
    if (this.#arrival === undefined) return
    if (this.#bytes.length < this.#wanted) return this.#options.onUpload?.(this.#arrival, this.#bytes.length)
    this.#arrival.whole = true
    this.#bytes = this.#bytes.subarray(this.#wanted)
    this.#options.onRequest(this.#arrival)
  }

  #begin(): Arrival | undefined {
    const headEnd = this.#bytes.indexOf('\r\n\r\n')
    if (headEnd < 0) return undefined
    const text = this.#bytes.toString('latin1', 0, headEnd + 4 + nonceWithinBytes)
    const nonce = noncePattern.exec(text)?.[0]
    this.#wanted = headEnd + 4 + Number(lengthPattern.exec(text)?.[1] ?? 0)
    if (nonce === undefined && this.#bytes.length < Math.min(this.#wanted, headEnd + 4 + nonceWithinBytes))
      return undefined
    const arrival: Arrival = {
      nonce: nonce ?? 'none',
      socket: this.#socket,
      before: this.#before,
      whole: false,
      closedMs: undefined,
      next: () => this.#next(arrival),
    }
    this.#note(arrival)
    return arrival
  }

  /** A request that has come while this process did other work is read first. */
  #closeIdle(): void {
    setImmediate(() => {
      if (this.#arrival === undefined) this.#socket.end()
    })
  }

  #next(arrival: Arrival): void {
    if (this.#arrival !== arrival) return
    this.#arrival = undefined
    this.#before += 1
    const { keepAliveMs } = this.#options
    if (keepAliveMs !== undefined) this.#idle = setTimeout(() => this.#closeIdle(), keepAliveMs)
    if (this.#bytes.length > 0) this.#look()
  }
}

/** How the end of an answer is told. */
export type AnswerFraming = 'chunked' | 'length' | 'close'

/** A whole answer as bytes; each of `pieces` is a chunk of its own where they are chunked. */
export function writeAnswer(type: string, pieces: readonly Buffer[], framing: AnswerFraming): Buffer {
  const length = pieces.reduce((sum, { length }) => sum + length, 0)
  const lines = {
    chunked: 'transfer-encoding: chunked\r\n',
    length: `content-length: ${length}\r\n`,
    close: 'connection: close\r\n',
  }
  const head = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\n${lines[framing]}\r\n`)
  if (framing !== 'chunked') return Buffer.concat([head, ...pieces])
  return Buffer.concat([head, ...pieces.flatMap(inChunk), Buffer.from('0\r\n\r\n')])
}

function inChunk(piece: Buffer): readonly Buffer[] {
  return [Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]
}

export const eventStream = 'text/event-stream; charset=utf-8'
export const json = 'application/json'

/** The events of a whole stream of so many words, the nonce in each; the last two are its finish and `[DONE]`. */
export function streamPieces(nonce: string, words: number): readonly Buffer[] {
  const start = `data: {"id":"${nonce}","object":"chat.completion.chunk","choices":[{"index":0,"delta":{`
  const events = Array.from({ length: words }, (_, at) =>
    Buffer.from(`${start}"content":"${nonce} ${at}"},"finish_reason":null}]}\n\n`),
  )
  return [...events, Buffer.from(`${start}},"finish_reason":"stop"}]}\n\n`), doneEvent]
}

/** A whole plain answer of so many words, the nonce in each. */
export function plainPieces(nonce: string, words: number): readonly Buffer[] {
  const start = `{"id":"${nonce}","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"`
  const content = Array.from({ length: words }, (_, at) => Buffer.from(`${nonce} ${at} `))
  return [Buffer.from(start), ...content, Buffer.from('"},"finish_reason":"stop"}]}')]
}

const doneEvent = Buffer.from('data: [DONE]\n\n')
