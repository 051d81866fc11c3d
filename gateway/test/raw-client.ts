import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { nowMs, withDeadline } from './deadline.ts'
import {
  blankLine,
  bodyBytes,
  parseEvent,
  parseHead,
  type RawRequest,
  type ResponseHead,
  requestHead,
  type SseEvent,
} from './raw-http.ts'

export type { RawRequest, ResponseHead, SseEvent } from './raw-http.ts'

/** How the other side ended: FIN, RST (or any socket error), or not yet. */
export type Ending = 'open' | 'fin' | 'rst'

export interface Chunk {
  readonly bytes: Buffer
  /** When its last byte had arrived, as `nowMs()`. */
  readonly atMs: number
}

export interface ResponseBody {
  readonly bytes: Buffer
  /** The transfer's chunks; of a body with a length or without framing, the reads. */
  readonly chunks: readonly Chunk[]
  /** `complete` by its own framing, or how the connection ended before that (`fin` is whole where nothing frames the body). */
  readonly ended: 'complete' | 'fin' | 'rst'
}

const DEFAULT_WAIT_MS = 5000

/** A bare TCP connection that speaks only the bytes it is given, and keeps what comes with its time. */
export class RawClient implements AsyncDisposable {
  readonly socket: Socket
  ending: Ending = 'open'
  endedAtMs: number | undefined
  #arrived: Chunk[] = []
  #pending = 0
  readonly #waiters = new Set<() => void>()

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes) => {
      this.#arrived.push({ bytes, atMs: nowMs() })
      this.#pending += bytes.length
      this.#changed()
    })
    socket.on('end', () => this.#end('fin'))
    socket.on('error', () => this.#end('rst'))
    socket.on('close', () => this.#end('fin'))
  }

  /** Resolves when the kernel has the bytes. A string is taken byte by character. */
  async write(bytes: string | Buffer): Promise<void> {
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    await new Promise<void>((resolve, reject) =>
      this.socket.write(buffer, (error) => (error ? reject(error) : resolve())),
    )
  }

  /** A request with `host`, `content-length` where there is a body, and what else is given. */
  async send(request: RawRequest): Promise<void> {
    await this.write(Buffer.concat([Buffer.from(requestHead(request)), bodyBytes(request.body)]))
  }

  /** FIN from this side; the other way stays open. */
  finish(): void {
    this.socket.end()
  }

  /** RST from this side. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  /** Closes at once (FIN, or RST where bytes lie unread). */
  destroy(): void {
    this.socket.destroy()
  }

  /** Everything that has come and was not taken by a reader. */
  peek(): Buffer {
    return Buffer.concat(this.#arrived.map(({ bytes }) => bytes))
  }

  /** Takes the bytes up to and with the marker; throws where the connection ends before it. */
  async readUntil(marker: string, timeoutMs = DEFAULT_WAIT_MS): Promise<Chunk> {
    await this.#until(() => this.#find(marker) >= 0, `${JSON.stringify(marker)} arrives`, timeoutMs)
    const at = this.#find(marker)
    if (at < 0) throw new Error(`the connection ended (${this.ending}) before ${JSON.stringify(marker)}`)
    return this.#take(at + Buffer.byteLength(marker, 'latin1'))
  }

  /** Takes a status line and its headers; a 1xx is a head of its own. */
  async readHead(timeoutMs = DEFAULT_WAIT_MS): Promise<ResponseHead> {
    const { bytes, atMs } = await this.readUntil('\r\n\r\n', timeoutMs)
    return parseHead(bytes.toString('latin1'), atMs)
  }

  /** Takes the body that belongs to the head, to its end or the connection's. */
  async readBody(head: ResponseHead, timeoutMs = DEFAULT_WAIT_MS): Promise<ResponseBody> {
    const chunks: Chunk[] = []
    const reader = this.readChunks(head, timeoutMs)
    for (;;) {
      const next = await reader.next()
      if (next.done) return { bytes: Buffer.concat(chunks.map(({ bytes }) => bytes)), chunks, ended: next.value }
      chunks.push(next.value)
    }
  }

  /** The body as it comes; returns how it ended. The time-out is for each wait. */
  async *readChunks(head: ResponseHead, timeoutMs = DEFAULT_WAIT_MS): AsyncGenerator<Chunk, ResponseBody['ended']> {
    if (head.header('transfer-encoding')?.toLowerCase() === 'chunked') return yield* this.#readChunked(timeoutMs)
    const length = head.header('content-length')
    let left = length === undefined ? Number.POSITIVE_INFINITY : Number(length)
    if (head.status === 204 || head.status === 304) left = 0
    while (left > 0) {
      await this.#until(() => this.#arrived.length > 0, 'more of the body arrives', timeoutMs)
      const first = this.#arrived[0]
      if (first === undefined) return this.#brokenEnd()
      const chunk = this.#take(Math.min(left, first.bytes.length))
      left -= chunk.bytes.length
      yield chunk
    }
    return 'complete'
  }

  /** The events of a stream as they come, each with the time of its last byte; returns how the body ended. */
  async *readEvents(head: ResponseHead, timeoutMs = DEFAULT_WAIT_MS): AsyncGenerator<SseEvent, ResponseBody['ended']> {
    const chunks = this.readChunks(head, timeoutMs)
    let pending = Buffer.alloc(0)
    for (;;) {
      const next = await chunks.next()
      if (next.done) return next.value
      pending = Buffer.concat([pending, next.value.bytes])
      for (let blank = blankLine(pending); blank !== undefined; blank = blankLine(pending)) {
        yield parseEvent(pending.subarray(0, blank.at).toString(), next.value.atMs)
        pending = pending.subarray(blank.at + blank.length)
      }
    }
  }

  /** Resolves with how the other side ended. */
  async closed(timeoutMs = DEFAULT_WAIT_MS): Promise<Ending> {
    await this.#until(() => false, 'the other side closes', timeoutMs)
    return this.ending
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.socket.closed) return
    // Not events.once(): an error on the way out is no failure of the dispose.
    const closed = new Promise<void>((resolve) => this.socket.once('close', () => resolve()))
    this.socket.destroy()
    await closed
  }

  async *#readChunked(timeoutMs: number): AsyncGenerator<Chunk, ResponseBody['ended']> {
    for (;;) {
      const line = await this.#takeLine(timeoutMs)
      if (line === undefined) return this.#brokenEnd()
      const size = Number.parseInt(line, 16)
      if (!/^[0-9a-f]+(;.*)?$/i.test(line))
        throw new Error(`a chunk's size is ${JSON.stringify(line)}; wanted hex digits`)
      if (size === 0) {
        for (let trailer = await this.#takeLine(timeoutMs); trailer; trailer = await this.#takeLine(timeoutMs));
        return 'complete'
      }
      await this.#until(() => this.#pending >= size + 2, 'the rest of a chunk arrives', timeoutMs)
      const chunk = this.#take(size)
      if (chunk.bytes.length > 0) yield chunk
      this.#take(2)
    }
  }

  async #takeLine(timeoutMs: number): Promise<string | undefined> {
    await this.#until(() => this.#find('\r\n') >= 0, 'a chunk line arrives', timeoutMs)
    const at = this.#find('\r\n')
    return at < 0 ? undefined : this.#take(at + 2).bytes.toString('latin1', 0, at)
  }

  /** Where the marker begins; the first read is looked at alone first, since lines mostly lie whole in it. */
  #find(marker: string): number {
    const near = this.#arrived[0]?.bytes.indexOf(marker, 0, 'latin1') ?? -1
    return near >= 0 ? near : this.peek().indexOf(marker, 0, 'latin1')
  }

  #take(count: number): Chunk {
    const taken: Buffer[] = []
    let atMs = nowMs()
    for (let left = count; left > 0; ) {
      const first = this.#arrived.shift()
      if (first === undefined) break
      const part = first.bytes.subarray(0, left)
      if (part.length < first.bytes.length)
        this.#arrived.unshift({ ...first, bytes: first.bytes.subarray(part.length) })
      taken.push(part)
      left -= part.length
      this.#pending -= part.length
      atMs = first.atMs
    }
    return { bytes: Buffer.concat(taken), atMs }
  }

  #brokenEnd(): 'fin' | 'rst' {
    return this.ending === 'rst' ? 'rst' : 'fin'
  }

  /** Waits for the condition or the connection's end, whichever comes first. */
  async #until(met: () => boolean, label: string, timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const ask = (): void => {
      if (met() || this.ending !== 'open') resolve()
    }
    this.#waiters.add(ask)
    ask()
    try {
      await withDeadline(promise, timeoutMs, label)
    } finally {
      this.#waiters.delete(ask)
    }
  }

  #end(ending: 'fin' | 'rst'): void {
    if (this.ending === 'open' || ending === 'rst') this.ending = ending
    this.endedAtMs ??= nowMs()
    this.#changed()
  }

  #changed(): void {
    for (const ask of this.#waiters) ask()
  }
}

/** Opens a connection; whoever opens it disposes of it. */
export async function openRaw(port: number, host = '127.0.0.1'): Promise<RawClient> {
  const socket = connect({ port, host, noDelay: true, allowHalfOpen: true })
  const client = new RawClient(socket)
  await withDeadline(once(socket, 'connect'), DEFAULT_WAIT_MS, `a connection to ${host}:${port}`)
  return client
}

/** One request on a connection of its own, read to the end. */
export async function exchangeRaw(
  port: number,
  request: RawRequest,
  timeoutMs = DEFAULT_WAIT_MS,
): Promise<ResponseBody & { head: ResponseHead; text: string; json(): unknown }> {
  await using client = await openRaw(port)
  await client.send(request)
  const head = await client.readHead(timeoutMs)
  const body = await client.readBody(head, timeoutMs)
  const text = body.bytes.toString()
  return { ...body, head, text, json: (): unknown => JSON.parse(text) }
}
