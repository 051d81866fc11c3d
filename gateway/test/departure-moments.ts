import type { Socket } from 'node:net'
import type { BareCaller, Departure } from './bare-caller.ts'
import { type Arrival, eventStream, json } from './bare-engine.ts'
import { nowMs } from './deadline.ts'
import type { Chance } from './seeded.ts'

/** What an engine does until its caller has left. */
export type Reply = (arrival: Arrival) => void

export interface Leaving {
  readonly nonce: string
  readonly stream: boolean
  readonly how: Departure
  readonly caller: BareCaller
  readonly request: Buffer
  readonly chance: Chance
  readonly replies: Map<string, Reply>
}

/** Brings a caller to a moment of its request and lets it leave; resolves with when it left. */
export type Moment = (leaving: Leaving) => Promise<number>

/** So many letters of an answer, as an event or as a part of a document. */
function lettersOf(stream: boolean, count: number): Buffer {
  const letters = 'w'.repeat(count)
  return chunkOf(Buffer.from(stream ? `data: {"choices":[{"index":0,"delta":{"content":"${letters}"}}]}\n\n` : letters))
}

function chunkOf(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
}

export const beforeTheHead: Moment = (leaving) =>
  leaveWhen(leaving, (leave) => {
    leaving.replies.set(leaving.nonce, () => setTimeout(leave, leaving.chance.below(20)))
  })

/** The moments at which the engine is at work. */
export const moments: Readonly<Record<string, Moment>> = {
  'before the head of the answer': beforeTheHead,
  'after the head of the answer': (leaving) =>
    leaveWhen(leaving, (leave) => {
      leaving.replies.set(leaving.nonce, ({ socket }) => {
        socket.write(headOf(leaving.stream))
        // A plain answer waits until it is whole, or very long: its caller sees nothing of it.
        if (!leaving.stream) setTimeout(leave, leaving.chance.below(20))
      })
      leaving.caller.onHead = leave
    }),
  'in the middle of the answer': (leaving) =>
    leaveWhen(leaving, (leave) => {
      const { stream, chance } = leaving
      const until = chance.below(8_000)
      leaving.replies.set(leaving.nonce, ({ socket }) => {
        pour(socket, stream, { letters: 200, everyMs: 2 })
        if (!stream) setTimeout(leave, chance.below(50))
      })
      leaving.caller.onBody = (bytes) => void (bytes > until && leave())
    }),
  'while it does not read': (leaving) =>
    leaveWhen(leaving, (leave) => {
      leaving.replies.set(leaving.nonce, ({ socket }) => {
        leaving.caller.socket.pause()
        pour(socket, leaving.stream, { letters: 120_000, everyMs: 0, onFull: leave })
      })
    }),
}

function headOf(stream: boolean): string {
  return `HTTP/1.1 200 OK\r\ncontent-type: ${stream ? eventStream : json}\r\ntransfer-encoding: chunked\r\n\r\n`
}

/** Asks, and leaves when `plan` calls for it; resolves with when that was. */
async function leaveWhen({ caller, request, how }: Leaving, plan: (leave: () => void) => void): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  let left = false
  plan(() => {
    if (left) return
    left = true
    caller.leave(how)
    resolve(nowMs())
  })
  void caller.askPatiently(request)
  return await promise
}

const fullAfterMs = 100

interface Pouring {
  /** Of each piece. */
  readonly letters: number
  readonly everyMs: number
  /** Told when nothing has been taken for a while. */
  readonly onFull?: () => void
}

const plainStart = '{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"'

/** An answer without an end. */
function pour(socket: Socket, stream: boolean, { letters, everyMs, onFull }: Pouring): void {
  const chunk = lettersOf(stream, letters)
  const full = onFull && setTimeout(onFull, fullAfterMs)
  const more = () => {
    full?.refresh()
    if (!socket.destroyed) socket.write(chunk, (error) => void (error == null && setTimeout(more, everyMs)))
  }
  socket.write(headOf(stream))
  socket.write(stream ? lettersOf(true, 1) : chunkOf(Buffer.from(plainStart)), more)
}
