import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Answer } from './fake-answers.ts'
import type { Behaviour } from './fake-faults.ts'
import { gzipped } from './fake-faults.ts'

/** How an exchange ended, as the engine saw it: `fault` when the script itself broke the connection. */
export type Outcome = 'done' | 'fault' | 'aborted'

/** One exchange's way to the client; every wait ends at once with a Gone when the client leaves. */
export interface Wire {
  readonly gone: AbortSignal
  /** What the client was sent of the body, before chunk framing. */
  readonly sent: { bytes: number; events: number; sha256(): string }
  head(answer: Answer, behaviour: Behaviour): Promise<void>
  /** Done when the kernel has the bytes. */
  write(bytes: Buffer): Promise<void>
  end(): Promise<void>
  /** Breaks the connection; from here on the client's leaving is our doing. */
  cut(how: 'rst' | 'fin'): void
}

/** Thrown inside an exchange when the client has gone. */
export class Gone extends Error {
  override name = 'Gone'
}

/** Waits until `release()` of the engine, or throws Gone. */
export type Hold = (gone: AbortSignal) => Promise<void>

/** Writes the answer as the behaviour says; throws Gone when the client leaves before the end. */
export async function deliver(answer: Answer, behaviour: Behaviour, wire: Wire, hold: Hold): Promise<Outcome> {
  const shaped = shape(answer, behaviour)
  if (behaviour.headDelayMs !== undefined) await pause(behaviour.headDelayMs, wire.gone)
  if (behaviour.stall === 'head') await hold(wire.gone)
  if (behaviour.cut?.at === 'head') return cutNow(wire, behaviour.cut.how)
  await wire.head(shaped, behaviour)
  if (await writeBody(shaped, behaviour, wire, hold)) return 'fault'
  if (behaviour.stall === 'end') await hold(wire.gone)
  await wire.end()
  return 'done'
}

/** Sends exactly these bytes on the socket, then FIN. */
export async function deliverRaw(bytes: string, socket: Socket): Promise<Outcome> {
  await writeSocket(socket, Buffer.from(bytes, 'latin1'))
  socket.end()
  return 'fault'
}

/** Resolves after `ms`, or throws Gone as soon as the client leaves. */
export function pause(ms: number, gone: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  return unlessGone(
    gone,
    (resolve) => {
      timer = setTimeout(resolve, ms)
    },
    () => clearTimeout(timer),
  )
}

/** A promise settled by `start`, or by Gone; `stop` runs in either case. */
export async function unlessGone(
  gone: AbortSignal,
  start: (resolve: () => void, reject: (error: Error) => void) => void,
  stop: () => void = () => {},
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onGone = () => reject(new Gone('the client has left'))
  gone.addEventListener('abort', onGone, { once: true })
  try {
    if (gone.aborted) onGone()
    else start(resolve, reject)
    await promise
  } finally {
    gone.removeEventListener('abort', onGone)
    stop()
  }
}

/**
 * The wire over node:http, or over its bare socket where the framing is to be wrong.
 * `gone` fires when the connection closes before the engine was through with it.
 */
export function openWire(response: ServerResponse): Wire {
  const socket = response.socket
  if (socket === null) throw new Error('the response has no socket; open the wire while the request is being handled')
  const gone = new AbortController()
  let through = false
  let bare = false
  response.once('close', () => {
    if (!through) gone.abort()
  })
  const sent = sentCount()
  return {
    gone: gone.signal,
    sent,
    async head(answer, behaviour) {
      bare = behaviour.closeDelimited !== undefined || behaviour.lengthOff !== undefined
      if (bare) return await writeSocket(socket, bareHead(answer, behaviour))
      response.sendDate = false
      response.removeHeader('connection')
      response.writeHead(answer.status, answer.reason, answer.headers.flat())
      response.flushHeaders()
    },
    async write(bytes) {
      const written = bare ? writeSocket(socket, bytes) : writeResponse(response, bytes)
      sent.add(bytes)
      await unlessGone(gone.signal, (resolve, reject) => void written.then(resolve, reject))
    },
    async end() {
      if (bare) socket.end()
      else await unlessGone(gone.signal, (resolve) => response.end(resolve))
      through = true
    },
    cut(how) {
      through = true
      if (how === 'rst') socket.resetAndDestroy()
      else socket.end()
    },
  }
}

function sentCount() {
  const hash = createHash('sha256')
  let digest: string | undefined
  return {
    bytes: 0,
    events: 0,
    add(bytes: Buffer) {
      this.bytes += bytes.length
      hash.update(bytes)
    },
    sha256(): string {
      digest ??= hash.digest('hex')
      return digest
    },
  }
}

/** Writes the pieces with their pauses, stalls and slices; true when the script cut the connection. */
async function writeBody(answer: Answer, behaviour: Behaviour, wire: Wire, hold: Hold): Promise<boolean> {
  const { stall, cut } = behaviour
  const stallEvent = typeof stall === 'object' && 'afterEvents' in stall ? stall.afterEvents : undefined
  const stallByte = typeof stall === 'object' && 'atByte' in stall ? stall.atByte : undefined
  const cutByte = typeof cut?.at === 'number' ? cut.at : undefined
  const intervalMs = behaviour.intervalMs ?? (behaviour.forever === true ? 10 : 0)
  const reached = async (): Promise<boolean> => {
    if (stallByte === wire.sent.bytes) await hold(wire.gone)
    if (cutByte !== wire.sent.bytes || cut === undefined) return false
    wire.cut(cut.how)
    return true
  }
  if (await reached()) return true
  for (const piece of answer.pieces) {
    if (stallEvent === wire.sent.events) await hold(wire.gone)
    if (intervalMs > 0 && wire.sent.events > 0) await pause(intervalMs, wire.gone)
    for (const slice of slices(piece, wire.sent.bytes, behaviour.sliceBytes, [stallByte, cutByte])) {
      await wire.write(slice)
      if (await reached()) return true
    }
    wire.sent.events += 1
  }
  if (stallEvent === wire.sent.events) await hold(wire.gone)
  return false
}

/** Cuts a piece at multiples of `size` and at the given places of the whole body. */
function* slices(piece: Buffer, start: number, size: number | undefined, marks: (number | undefined)[]) {
  let at = 0
  while (at < piece.length) {
    const ends = marks.filter((mark) => mark !== undefined && mark > start + at).map((mark) => Number(mark) - start)
    const end = Math.min(piece.length, at + (size ?? piece.length), ...ends)
    yield piece.subarray(at, end)
    at = end
  }
}

function cutNow(wire: Wire, how: 'rst' | 'fin'): Outcome {
  wire.cut(how)
  return 'fault'
}

/** The answer with its coding and extra headers. */
function shape(answer: Answer, behaviour: Behaviour): Answer {
  const packed = behaviour.gzip === true ? gzipped(answer.pieces) : undefined
  const headers = answer.headers.map(([name, value]): readonly [string, string] => {
    return name === 'content-length' && packed !== undefined ? [name, String(packed.length)] : [name, value]
  })
  if (packed !== undefined) headers.push(['content-encoding', 'gzip'])
  if (behaviour.hugeHeaderBytes !== undefined) headers.push(['x-huge', 'h'.repeat(behaviour.hugeHeaderBytes)])
  return { ...answer, headers: [...headers, ...(behaviour.headers ?? [])], pieces: packed ? [packed] : answer.pieces }
}

/** A head whose framing node:http would not write: no framing at all, or a length that is not true. */
function bareHead(answer: Answer, behaviour: Behaviour): Buffer {
  const length = Number(answer.headers.find(([name]) => name === 'content-length')?.[1] ?? 0)
  const framing = new Set(['content-length', 'transfer-encoding'])
  const headers = answer.headers.filter(([name]) => !framing.has(name))
  if (behaviour.lengthOff !== undefined) headers.push(['content-length', String(length + behaviour.lengthOff)])
  if (behaviour.closeDelimited === '1.1') headers.push(['connection', 'close'])
  const version = behaviour.closeDelimited ?? '1.1'
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`HTTP/${version} ${answer.status} ${answer.reason}\r\n${lines.join('')}\r\n`)
}

function writeSocket(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error == null ? resolve() : reject(new Gone(error.message))))
  })
}

function writeResponse(response: ServerResponse, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(bytes, (error) => (error == null ? resolve() : reject(new Gone(error.message))))
  })
}
