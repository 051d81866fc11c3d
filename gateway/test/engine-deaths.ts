import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  type Arrival,
  eventStream,
  json,
  nonceOf,
  plainPieces,
  startBareEngine,
  streamPieces,
  writeAnswer,
} from './bare-engine.ts'
import { nowMs, withDeadline } from './deadline.ts'
import { chanceFrom } from './seeded.ts'

/** How an engine goes: its process is killed, its connection is reset or closed, or it says nothing more. */
export type Fault = 'kill' | 'rst' | 'fin' | 'hang'

/** Places of an answer at which engines die. */
export const places = 20
/** Deaths at each place. */
export const trialsEach = 25
export const deathsEach = places * trialsEach

/** One death: everything of it follows from its number, so that another process knows it too. */
export interface Death {
  readonly nonce: string
  readonly stream: boolean
  /** What would be the whole answer, framing and all. */
  readonly answer: Buffer
  /** The body of it without framing. */
  readonly body: Buffer
  /** Bytes of the answer that the engine still says. */
  readonly says: number
  /** Bytes in one write. */
  readonly sliceBytes: number
  readonly form: string
}

type Form = readonly [stream: boolean, framing: 'chunked' | 'length' | 'close', sliced: boolean]

/** A stream whose end is the end of its connection is the hardest: a cut is a clean end there. */
const forms: readonly Form[] = [
  [true, 'chunked', false],
  [true, 'close', true],
  [false, 'length', true],
  [true, 'chunked', true],
  [false, 'chunked', true],
]

/** The death of that number, at place `number % places`. */
export function deathOf(number: number, seed: number): Death {
  const chance = chanceFrom(seed + number)
  const place = number % places
  const [stream, framing, sliced] = forms[Math.floor(number / places) % forms.length] ?? [true, 'chunked', false]
  const nonce = nonceOf(number)
  const words = 5 + chance.below(40)
  const pieces = stream ? streamPieces(nonce, words) : plainPieces(nonce, words)
  const answer = writeAnswer(stream ? eventStream : json, pieces, framing)
  return {
    nonce,
    stream,
    answer,
    body: Buffer.concat(pieces),
    says: chooseOffset({ answer, stream, place, inside: chance.next() }),
    sliceBytes: sliced ? 1 + chance.below(200) : answer.length,
    form: `${stream ? 'stream' : 'plain'}, ${framing}`,
  }
}

interface Choice {
  readonly answer: Buffer
  readonly stream: boolean
  readonly place: number
  /** From 0 to 1, for the places that lie anywhere. */
  readonly inside: number
}

/** Each place comes before the last byte that makes the answer whole. */
function chooseOffset({ answer, stream, place, inside }: Choice): number {
  const head = answer.indexOf('\r\n\r\n') + 4
  const done = answer.lastIndexOf('data: [DONE]')
  // A stream is whole with the blank line of its terminal event; a plain answer with the last byte of its framing.
  const last = stream ? done + 'data: [DONE]\n\n'.length - 1 : answer.length - 1
  const near = [
    0,
    1,
    12,
    head - 1,
    head,
    head + 1,
    last,
    last - 1,
    stream ? done : last - 2,
    stream ? done + 8 : last - 7,
  ]
  return near[place] ?? head + Math.floor((last - head) * ((place - near.length + inside) / (places - near.length)))
}

/** Says what an engine still says before it dies; resolves when the kernel has it. */
export async function sayPart(socket: Socket, { answer, says, sliceBytes }: Death): Promise<void> {
  for (let at = 0; at < says && !socket.destroyed; at += sliceBytes) {
    socket.write(answer.subarray(at, Math.min(at + sliceBytes, says)))
    if (sliceBytes < answer.length) await nextTurn()
  }
  await new Promise<void>((resolve) => socket.write('', () => resolve()))
}

/** An engine in a process of its own that waits until it is wanted, says its parts, and is killed. */
export interface MortalEngine {
  /** Listens on the port. */
  open(port: number): Promise<void>
  /** Resolves when it has said all that it will say in so many answers. */
  said(answers: number): Promise<void>
  /** SIGKILL; the moment of it. */
  kill(): number
  readonly gone: Promise<unknown>
}

const startMs = 10_000

/** Starts the process; whoever starts it kills it. */
export function startMortalEngine(seed: number): MortalEngine {
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), [String(seed)], { stdio: 'inherit' })
  const gone = once(child, 'exit')
  const end = () => void child.kill('SIGKILL')
  process.once('exit', end)
  let said = 0
  let heard = Promise.withResolvers<void>()
  let opened = Promise.withResolvers<void>()
  child.on('message', (message) => {
    if (message === 'open') opened.resolve()
    else said += 1
    heard.resolve()
    heard = Promise.withResolvers<void>()
  })
  return {
    gone,
    open: async (port) => {
      opened = Promise.withResolvers<void>()
      child.send(port)
      await withDeadline(opened.promise, startMs, 'the engine listens')
    },
    said: async (answers) => {
      while (said < answers) await withDeadline(heard.promise, startMs, `${answers} answers begin; ${said} did`)
    },
    kill: () => {
      process.off('exit', end)
      const atMs = nowMs()
      child.kill('SIGKILL')
      return atMs
    },
  }
}

if (import.meta.main) {
  const seed = Number(process.argv[2])
  const onRequest = async ({ nonce, socket }: Arrival) => {
    await sayPart(socket, deathOf(Number.parseInt(nonce.slice('nonce-'.length), 16), seed))
    process.send?.('said')
  }
  process.on('message', async (port: number) => {
    await startBareEngine({ port, onRequest })
    process.send?.('open')
  })
  process.on('disconnect', () => process.exit(0))
}
