import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  type AnswerFraming,
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
  readonly kind: Kind
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

/** The name that both sides have for the model of vectors. */
export const vectorModel = 'vectors'

type Kind = 'stream' | 'plain' | 'vectors'
type Form = readonly [kind: Kind, framing: AnswerFraming, sliced: boolean]

/**
 * An answer whose end is the end of its connection is the hardest: a cut is a clean end there. Vectors are so large that
 * a part of them has left before the end.
 */
const forms: readonly Form[] = [
  ['stream', 'chunked', false],
  ['stream', 'close', true],
  ['plain', 'length', true],
  ['stream', 'chunked', true],
  ['plain', 'close', true],
  ['vectors', 'chunked', false],
]

/** The death of that number, at place `number % places`. */
export function deathOf(number: number, seed: number): Death {
  const chance = chanceFrom(seed + number)
  const place = number % places
  const [kind, framing, sliced] =
    forms[Math.floor(number / places) % forms.length] ?? (['plain', 'length', false] as const)
  const nonce = nonceOf(number)
  const stream = kind === 'stream'
  const pieces = writePieces(kind, nonce, 5 + chance.below(40))
  const answer = writeAnswer(stream ? eventStream : json, pieces, framing)
  return {
    nonce,
    kind,
    answer,
    body: Buffer.concat(pieces),
    says: chooseOffset({ answer, stream, place, inside: chance.next() }),
    sliceBytes: sliced ? 1 + chance.below(200) : answer.length,
    form: `${kind}, ${framing}`,
  }
}

/** More than what the gateway holds of vectors before their head leaves. */
const vectorNumbers = 40_000

function writePieces(kind: Kind, nonce: string, words: number): readonly Buffer[] {
  if (kind === 'stream') return streamPieces(nonce, words)
  if (kind === 'plain') return plainPieces(nonce, words)
  const start = `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[${'0.5,'.repeat(vectorNumbers)}`
  return [Buffer.from(start), Buffer.from(`0.5]}],"model":"${vectorModel}"}`)]
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
  // A stream is whole with the blank line of its terminal event, a plain answer with the last brace of its document.
  const last = stream ? done + 'data: [DONE]\n\n'.length - 1 : documentEnd(answer) - 1
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

function documentEnd(answer: Buffer): number {
  return answer.lastIndexOf('}') + 1
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
