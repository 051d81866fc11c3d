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

const piece = Buffer.from(`data: {"choices":[{"index":0,"delta":{"content":"${'w'.repeat(200)}"}}]}\n\n`)
const large = Buffer.from(`data: {"choices":[{"index":0,"delta":{"content":"${'w'.repeat(120_000)}"}}]}\n\n`)
const chunkOf = (bytes: Buffer) =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])

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
        // The head of a plain answer waits for its first bytes: its caller sees nothing.
        if (!leaving.stream) setTimeout(leave, leaving.chance.below(20))
      })
      leaving.caller.onHead = leave
    }),
  'in the middle of the answer': (leaving) =>
    leaveWhen(leaving, (leave) => {
      const until = leaving.chance.below(8_000)
      leaving.replies.set(leaving.nonce, ({ socket }) => pour(socket, leaving.stream, piece, 2))
      leaving.caller.onBody = (bytes) => void (bytes > until && leave())
    }),
  'while it does not read': (leaving) =>
    leaveWhen(leaving, (leave) => {
      leaving.replies.set(leaving.nonce, ({ socket }) => {
        leaving.caller.socket.pause()
        pour(socket, leaving.stream, large, 0, leave)
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

/** An answer without an end, a piece each `everyMs`; told when nothing of it has been taken for a while. */
function pour(socket: Socket, stream: boolean, bytes: Buffer, everyMs: number, onFull?: () => void): void {
  const chunk = chunkOf(bytes)
  const full = onFull && setTimeout(onFull, fullAfterMs)
  const more = () => {
    full?.refresh()
    if (!socket.destroyed) socket.write(chunk, (error) => void (error == null && setTimeout(more, everyMs)))
  }
  socket.write(headOf(stream), more)
}
