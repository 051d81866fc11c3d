/** Many large uploads at once, in a process of their own, each told apart from the others by its bytes. */
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { nowMs, withDeadline } from './deadline.ts'
import { chatPath, model } from './wire.ts'

/**
 * How an upload says what it brings: `announced` and `chunked` tell the truth; `cut` announces all and leaves after a
 * twentieth; `short` announces a twentieth and sends all; `silent` announces all and sends nothing; the last two are
 * larger than a body may be.
 */
export type Framing = 'announced' | 'chunked' | 'cut' | 'short' | 'silent' | 'announced-too-large' | 'chunked-too-large'

export interface Upload {
  readonly key: string
  readonly framing: Framing
  readonly bytes: number
}

/** What an upload came to. */
export interface Came {
  readonly framing: Framing
  /** 0: no answer. */
  readonly status: number
  readonly retryAfter: string | undefined
  /** From the head to the first byte of the answer. */
  readonly answeredMs: number
  readonly bytesSent: number
  /** Whether the engine had it byte by byte, as the answer says; undefined without one. */
  readonly exact: boolean | undefined
}

interface Batch {
  readonly port: number
  readonly uploads: readonly Upload[]
  readonly timeoutMs: number
}

/** Starts all at once and resolves when the last is over; those without an answer are cut after `timeoutMs`. */
export async function upload(port: number, uploads: readonly Upload[], timeoutMs = 20_000): Promise<readonly Came[]> {
  const child = fork(fileURLToPath(import.meta.url), [], { stdio: 'inherit' })
  const end = () => void child.kill('SIGKILL')
  process.once('exit', end)
  try {
    child.send({ port, uploads, timeoutMs } satisfies Batch)
    const [came] = await withDeadline(once(child, 'message'), timeoutMs + 20_000, 'the uploads are over')
    return came as readonly Came[]
  } finally {
    process.off('exit', end)
    end()
  }
}

const head = Buffer.from(`{"model":${JSON.stringify(model)},"messages":[{"role":"user","content":"x;base64,`)
const tail = Buffer.from('"}]}')
const pieceBytes = 256 * 1024

/** Pieces of a body of so many bytes, which begins with its own number. */
function bodyOf(bytes: number, number: number, filler: Buffer): readonly Buffer[] {
  const own = Buffer.from(`${String(number).padStart(12, '0')}`)
  return [Buffer.concat([head, own]), filler.subarray(0, bytes - head.length - own.length - tail.length), tail]
}

/** What the engine counts of it: the base64 text. */
function hashOf(pieces: readonly Buffer[]): string {
  const whole = createHash('sha256').update((pieces[0] ?? Buffer.alloc(0)).subarray(head.length))
  return whole.update(pieces[1] ?? Buffer.alloc(0)).digest('hex')
}

async function uploadOne({ port, timeoutMs }: Batch, one: Upload, number: number, filler: Buffer): Promise<Came> {
  const { framing, key, bytes } = one
  const pieces = bodyOf(bytes, number, filler)
  const chunked = framing.startsWith('chunked')
  const announced = framing === 'short' ? Math.ceil(bytes / 20) : bytes
  const line = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${announced}`
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let [answer, answeredMs, startedMs, bytesSent] = ['', 0, nowMs(), 0]
  const { promise: over, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, timeoutMs)
  socket.on('error', () => {}).on('close', () => resolve())
  socket.on('data', (chunk) => {
    if (answer === '') answeredMs = nowMs() - startedMs
    answer += chunk.toString('latin1')
  })
  socket.on('connect', async () => {
    startedMs = nowMs()
    const type = 'Content-Type: application/json'
    const auth = `Authorization: Bearer ${key}`
    socket.write(`POST ${chatPath} HTTP/1.1\r\nHost: a\r\n${auth}\r\n${type}\r\nConnection: close\r\n${line}\r\n\r\n`)
    const sendMax = framing === 'silent' ? 0 : framing === 'cut' ? bytes / 20 : bytes
    for (const piece of slices(pieces)) {
      if (bytesSent >= sendMax || answer !== '' || socket.destroyed) break
      bytesSent += piece.length
      await (chunked ? writeChunk(socket, piece) : write(socket, piece))
    }
    if (framing === 'cut') socket.destroy()
    else if (chunked && answer === '') socket.write('0\r\n\r\n')
  })
  await over
  clearTimeout(timer)
  socket.destroy()
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)
  const retryAfter = /^retry-after: (.*)\r$/im.exec(answer)?.[1]
  const exact = status === 200 ? answer.includes(hashOf(pieces)) : undefined
  return { framing, status, retryAfter, answeredMs: Math.round(answeredMs * 10) / 10, bytesSent, exact }
}

function* slices(pieces: readonly Buffer[]): Generator<Buffer> {
  for (const piece of pieces)
    for (let at = 0; at < piece.length; at += pieceBytes) yield piece.subarray(at, at + pieceBytes)
}

function writeChunk(socket: Socket, piece: Buffer): Promise<void> {
  socket.cork()
  socket.write(`${piece.length.toString(16)}\r\n`)
  socket.write(piece)
  const written = write(socket, Buffer.from('\r\n'))
  socket.uncork()
  return written
}

/** Resolves when the kernel has the bytes, or the socket is gone. */
function write(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => socket.write(bytes, () => resolve()))
}

if (import.meta.main) {
  process.once('message', async (batch: Batch) => {
    const filler = Buffer.alloc(
      Math.max(...batch.uploads.map(({ bytes }) => bytes)),
      'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo',
    )
    const came = await Promise.all(batch.uploads.map((one, at) => uploadOne(batch, one, at, filler)))
    process.send?.(came)
  })
  process.on('disconnect', () => process.exit(0))
}
