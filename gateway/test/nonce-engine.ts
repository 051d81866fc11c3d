import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { waitUntil } from './deadline.ts'

/** What the engine answers to the request that carries a nonce. */
export interface Plan {
  readonly stream: boolean
  readonly answer: Buffer
  /** After so many bytes it goes on only when its connection is gone; undefined: it ends in order. */
  readonly holdAt: number | undefined
  /** Bytes in one write. */
  readonly sliceBytes: number
}

export interface NonceCounts {
  readonly running: number
  readonly peakRunning: number
  readonly socketsOpen: number
  readonly socketsTotal: number
  readonly requests: number
  /** Answers whose connection went before their end. */
  readonly cut: number
}

/** An engine of which every byte of an answer is known beforehand and belongs to one request. */
export interface NonceEngine {
  readonly url: string
  counts(): NonceCounts
  waitFor(predicate: (counts: NonceCounts) => boolean, label: string): Promise<void>
  close(): Promise<void>
}

const waitMs = 10_000

/** The nonce in the text of a request. */
const noncePattern = /nonce-[0-9a-f]{16}/

/** An answer of so many pieces, each with the nonce in it. */
export function composeAnswer(nonce: string, stream: boolean, pieces: number): Buffer {
  const repeated = Array.from({ length: pieces }, (_, at) => `${nonce} ${at}`)
  const plain = { object: 'chat.completion', choices: [{ index: 0, message: { content: repeated.join(' ') } }] }
  if (!stream) return Buffer.from(JSON.stringify(plain))
  const events = repeated.map((content, at) => {
    const finish = at + 1 < pieces ? {} : { finish_reason: 'stop' }
    return JSON.stringify({ choices: [{ index: 0, delta: { content }, ...finish }] })
  })
  return Buffer.from([...events, '[DONE]'].map((data) => `data: ${data}\n\n`).join(''))
}

/** Starts the engine; whoever starts it closes it. `planOf` throws for a nonce that nobody sent. */
export async function startNonceEngine(planOf: (nonce: string) => Plan): Promise<NonceEngine> {
  const counts = { running: 0, peakRunning: 0, socketsOpen: 0, socketsTotal: 0, requests: 0, cut: 0 }
  const sockets = new Set<Socket>()
  const server = createServer({ keepAliveTimeout: 5_000, keepAliveTimeoutBuffer: 0 })
  server.on('connection', (socket) => {
    sockets.add(socket)
    counts.socketsTotal += 1
    counts.socketsOpen = sockets.size
    socket.once('close', () => {
      sockets.delete(socket)
      counts.socketsOpen = sockets.size
    })
  })
  server.on('request', async (request, response) => {
    counts.requests += 1
    counts.running += 1
    counts.peakRunning = Math.max(counts.peakRunning, counts.running)
    const whole = await answer(request, response, planOf).catch(() => false)
    counts.running -= 1
    if (!whole) counts.cut += 1
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts: () => ({ ...counts }),
    waitFor: async (predicate, label) => {
      await waitUntil(() => predicate(counts), waitMs, label).catch((error) => {
        throw new Error(`${error.message}: ${JSON.stringify(counts)}`)
      })
    },
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** Resolves with whether the whole answer went out. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  planOf: (nonce: string) => Plan,
): Promise<boolean> {
  const nonce = noncePattern.exec(await text(request))?.[0]
  const { stream, answer, holdAt, sliceBytes } = planOf(nonce ?? 'no nonce')
  const gone = once(response, 'close')
  const framing = stream ? {} : { 'content-length': answer.length }
  response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json', ...framing })
  const end = holdAt ?? answer.length
  for (let at = 0; at < end && !response.destroyed; at += sliceBytes) {
    response.write(answer.subarray(at, Math.min(at + sliceBytes, end)))
    // A turn of the loop, so that the answers of many requests go out in between.
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  if (holdAt === undefined) response.end()
  await gone
  return response.writableFinished
}
