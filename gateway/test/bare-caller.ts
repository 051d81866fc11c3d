import { connect, type Socket } from 'node:net'
import { nowMs, withDeadline } from './deadline.ts'
import { chatPath, model } from './wire.ts'

/** What a caller saw of one answer. */
export interface Seen {
  /** 0: no head came. */
  readonly status: number
  readonly head: string
  /** Without its framing. */
  readonly body: Buffer
  /** `whole` by its own framing, or how the connection ended before that. */
  readonly ended: 'whole' | 'fin' | 'rst'
  readonly endedMs: number
}

const waitMs = 30_000
const headEnd = Buffer.from('\r\n\r\n')
const lineEnd = Buffer.from('\r\n')

/** A caller on one bare connection: one request after the other, as cheap as it can be. */
export class BareCaller {
  readonly socket: Socket
  /** Told of each piece of an answer's body, with the bytes of it so far. */
  onBody: ((bytes: number) => void) | undefined
  onHead: (() => void) | undefined
  #bytes: Buffer = Buffer.alloc(0)
  #head: string | undefined
  #framing: 'chunked' | number = 0
  #pieces: Buffer[] = []
  #length = 0
  #reset = false
  #over: 'fin' | 'rst' | undefined
  #resolve: ((seen: Seen) => void) | undefined

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    this.socket.on('data', (bytes) => {
      this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes])
      this.#read()
    })
    this.socket.on('error', () => {
      this.#reset = true
    })
    this.socket.on('end', () => this.#end('fin'))
    this.socket.on('close', () => this.#end(this.#reset ? 'rst' : 'fin'))
  }

  /** Whether the other side has ended the connection. */
  get over(): boolean {
    return this.#over !== undefined
  }

  /** Sends the bytes of one request, and resolves when its answer is over. */
  ask(request: Buffer | string, timeoutMs = waitMs): Promise<Seen> {
    return withDeadline(this.askPatiently(request), timeoutMs, 'an answer is over, whole or cut')
  }

  /** The same without a clock of its own, for many at a time. */
  askPatiently(request: Buffer | string): Promise<Seen> {
    const { promise, resolve } = Promise.withResolvers<Seen>()
    this.#resolve = resolve
    if (this.#over === undefined) this.socket.write(request)
    else this.#finish(this.#over)
    return promise
  }

  /** Leaves: both ways at once, with a reset, or by ending its own side and reading on. */
  leave(how: Departure): void {
    if (how === 'rst') this.socket.resetAndDestroy()
    else if (how === 'fin') this.socket.destroy()
    else this.socket.end()
  }

  #read(): void {
    if (this.#head === undefined && !this.#readHead()) return
    if (this.#framing === 'chunked') return this.#readChunks()
    const left = this.#framing - this.#length
    this.#keep(this.#bytes.subarray(0, left))
    this.#bytes = this.#bytes.subarray(left)
    if (this.#length === this.#framing) this.#finish('whole')
  }

  #readHead(): boolean {
    const end = this.#bytes.indexOf(headEnd)
    if (end < 0) return false
    this.#head = this.#bytes.toString('latin1', 0, end + 2)
    this.#bytes = this.#bytes.subarray(end + 4)
    const length = /^content-length: (\d+)/im.exec(this.#head)?.[1]
    if (/^transfer-encoding: chunked/im.test(this.#head)) this.#framing = 'chunked'
    else this.#framing = length === undefined ? Number.POSITIVE_INFINITY : Number(length)
    this.onHead?.()
    return true
  }

  #readChunks(): void {
    for (;;) {
      const line = this.#bytes.indexOf(lineEnd)
      if (line < 0) return
      const size = Number.parseInt(this.#bytes.toString('latin1', 0, line), 16)
      if (!(size >= 0)) throw new Error(`no chunk: ${this.#bytes.toString('latin1', 0, 100)}`)
      if (this.#bytes.length < line + 2 + size + 2) return
      this.#keep(this.#bytes.subarray(line + 2, line + 2 + size))
      this.#bytes = this.#bytes.subarray(line + 2 + size + 2)
      if (size === 0) return this.#finish('whole')
    }
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0) return
    this.#pieces.push(piece)
    this.#length += piece.length
    this.onBody?.(this.#length)
  }

  #end(how: 'fin' | 'rst'): void {
    this.#over ??= how
    // Without framing the end of the connection is the end of the answer; ours always have one.
    this.#finish(how)
  }

  #finish(ended: Seen['ended']): void {
    const resolve = this.#resolve
    if (resolve === undefined) return
    this.#resolve = undefined
    const head = this.#head ?? ''
    const body = this.#pieces.length === 1 ? (this.#pieces[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#pieces)
    this.#head = undefined
    this.#pieces = []
    this.#length = 0
    resolve({ status: Number(head.slice(9, 12)), head, body, ended, endedMs: nowMs() })
  }
}

export type Departure = 'fin' | 'rst' | 'half-close'

/** Sends one request over a connection of its own. */
export async function askOnce(port: number, request: Buffer | string, timeoutMs?: number): Promise<Seen> {
  const caller = new BareCaller(port)
  try {
    return await caller.ask(request, timeoutMs)
  } finally {
    caller.socket.destroy()
  }
}

export interface BareRequest {
  readonly key: string
  readonly nonce: string
  readonly stream: boolean
  readonly model?: string
  /** Added to the text, for a body that is larger. */
  readonly padding?: number
  /** Of another route than chat, with its body. */
  readonly path?: string
  readonly body?: string
}

/** A chat request as bytes, its nonce in the text. */
export function writeRequest(request: BareRequest): Buffer {
  const { key, path = chatPath, body = writeChat(request) } = request
  const lines = [`POST ${path} HTTP/1.1`, 'Host: hearth.test', `Authorization: Bearer ${key}`]
  lines.push('Content-Type: application/json', `Content-Length: ${body.length}`)
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1')
}

function writeChat({ nonce, stream, model: id = model, padding = 0 }: BareRequest): string {
  const content = `${nonce} ${'w'.repeat(padding)}`
  return `{"model":"${id}","stream":${stream},"messages":[{"role":"user","content":"${content}"}]}`
}

/** The request id that the gateway gave an answer. */
export function requestIdOf({ head }: Seen): string {
  return /^x-request-id: (.*)\r$/im.exec(head)?.[1] ?? ''
}

/** "0 of n" with what it proves: of n trials without a failure, fewer than 3/n fail (19 times in 20). */
export function ofTrials(failures: number, trials: number): string {
  return failures === 0 ? `0 of ${trials} (< ${((3 / trials) * 100).toPrecision(2)} %)` : `${failures} of ${trials}`
}
