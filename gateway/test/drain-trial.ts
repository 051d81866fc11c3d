import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { askOnce, BareCaller, type Seen, writeRequest } from './bare-caller.ts'
import {
  type Arrival,
  type BareEngine,
  eventStream,
  json,
  nonceOf,
  plainPieces,
  startBareEngine,
  streamPieces,
  writeAnswer,
} from './bare-engine.ts'
import { waitUntil } from './deadline.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import type { Chance } from './seeded.ts'
import { adminPort, metricOf } from './watch.ts'
import { model, withoutComments } from './wire.ts'

export const streams = 100
export const uploads = 20

/** An engine whose streams go on until they are finished by hand; plain requests are answered at once. */
export interface HoldingEngine extends BareEngine {
  /** Ends a stream in order. */
  finish(nonce: string): void
}

/** Pieces of each stream; all but the terminal ones are out from the start. */
const words = 3

export async function startHoldingEngine(): Promise<HoldingEngine> {
  const held = new Map<string, Arrival>()
  const onRequest = (arrival: Arrival) => {
    const { nonce, socket } = arrival
    if (kindOf(nonce) !== 'stream') {
      socket.write(writeAnswer(json, plainPieces(nonce, words), 'length'))
      return arrival.next()
    }
    const whole = writeAnswer(eventStream, streamPieces(nonce, words), 'chunked')
    socket.write(whole.subarray(0, -restOf(nonce).length))
    held.set(nonce, arrival)
  }
  const finish = (nonce: string) => {
    held.get(nonce)?.socket.write(restOf(nonce))
    held.get(nonce)?.next()
  }
  const engine = await startBareEngine({ onRequest })
  // A copy would lose what the engine counts.
  return Object.assign(engine, { finish })
}

/** From the event that says why the model stopped. */
function restOf(nonce: string): Buffer {
  const whole = writeAnswer(eventStream, streamPieces(nonce, words), 'chunked')
  const finish = writeAnswer(eventStream, streamPieces(nonce, words).slice(-2), 'chunked')
  return whole.subarray(-(finish.length - finish.indexOf('\r\n\r\n') - 4))
}

const trialNumbers = 1_000
type Kind = 'stream' | 'upload' | 'late'

function kindOf(nonce: string): Kind {
  const place = Number.parseInt(nonce.slice('nonce-'.length), 16) % trialNumbers
  return place < streams ? 'stream' : place < streams + uploads ? 'upload' : 'late'
}

export interface DrainOptions {
  readonly engine: HoldingEngine
  readonly key: string
  /** Holds `keys.json`, and what the gateways have compiled. */
  readonly folder: string
  readonly drainMs: number
  /** Each has its own nonces. */
  readonly number: number
  readonly chance: Chance
}

export interface Drained {
  /** From the signal. */
  readonly exitMs: number
  /** How each stream and upload ended, in words. */
  readonly outcomes: readonly string[]
  readonly problems: readonly string[]
}

/** What finishes does so within this share of the drain. */
const shareOfDrain = 0.3
/** From the signal until nothing new is let in. */
const refusedAfterMs = 200

/** A gateway with streams and uploads under way gets SIGTERM; every other one of them can finish in time. */
export async function drainOnce(options: DrainOptions): Promise<Drained> {
  const { engine, drainMs, number, chance, key } = options
  const gateway = await start(options)
  const firstNumber = number * trialNumbers
  const begun = Array.from({ length: streams + uploads }, (_, at) =>
    begin(gateway.port, key, nonceOf(firstNumber + at)),
  )
  const kept = new BareCaller(gateway.port)
  const lateNonce = (at: number) => nonceOf(firstNumber + streams + uploads + at)
  const late = (at: number) => writeRequest({ key, nonce: lateNonce(at), stream: false })
  await kept.ask(late(0))
  await allBegun(gateway, engine, begun)
  const stopped = gateway.stop(drainMs + 10_000)
  const canFinish = begun.filter((_, at) => at % 2 === 0)
  for (const { nonce, goOn } of canFinish)
    setTimeout(kindOf(nonce) === 'stream' ? () => engine.finish(nonce) : goOn, chance.next() * drainMs * shareOfDrain)
  await wait(refusedAfterMs)
  const refused = [
    kept.ask(late(1)),
    askOnce(gateway.port, late(2)),
    askOnce(gateway.port, 'GET /ready HTTP/1.1\r\nHost: a\r\n\r\n'),
  ]
  const problems: string[] = []
  for (const { status, ended } of await Promise.all(refused))
    if (status !== 503 || ended !== 'whole') problems.push(`new work got ${status}, ${ended}`)
  const outcomes: string[] = []
  for (const one of begun)
    judge(await one.answer, one.nonce, canFinish.includes(one), (outcome, problem) => {
      outcomes.push(outcome)
      if (problem !== undefined) problems.push(`${outcome}: ${problem}`)
    })
  const { ms } = await stopped
  await assertNothingLeft(gateway)
  const asked = Array.from({ length: 3 }, (_, at) => engine.arrivals(lateNonce(at)).length)
  if (asked.join() !== '1,0,0') problems.push(`the engine saw ${asked} of the requests before and after the signal`)
  return { exitMs: ms, outcomes, problems }
}

interface Begun {
  readonly nonce: string
  readonly answer: Promise<Seen>
  /** Sends what is left of an upload. */
  readonly goOn: () => void
}

/** A whole request for a stream, or all but the last bytes of an upload. */
function begin(port: number, key: string, nonce: string): Begun {
  const stream = kindOf(nonce) === 'stream'
  const request = writeRequest({ key, nonce, stream })
  const last = stream ? request.length : request.length - 10
  const caller = new BareCaller(port)
  const answer = caller.ask(request.subarray(0, last)).finally(() => caller.socket.destroy())
  return { nonce, answer, goOn: () => void caller.socket.write(request.subarray(last)) }
}

async function allBegun(gateway: Gateway, engine: HoldingEngine, begun: readonly Begun[]): Promise<void> {
  const isThere = ({ nonce }: Begun) => engine.arrivals(nonce).length === 1
  await engine.waitFor(() => begun.slice(0, streams).every(isThere), 'the engine has every stream')
  const port = await adminPort(gateway)
  const connections = () => metricOf(port, 'hearth_connections')
  await waitUntil(async () => (await connections()) > streams + uploads, 10_000, 'the gateway has every upload')
}

/** How an answer ended, in words, and what is wrong about that. */
function judge(
  { status, body, ended }: Seen,
  nonce: string,
  canFinish: boolean,
  tell: (outcome: string, problem?: string) => void,
): void {
  const own = withoutComments(body)
  const text = own.toString()
  const kind = kindOf(nonce)
  const code = /"code":"(\w+)"\}\}/.exec(text)?.[1]
  const outcome = `${kind} ${code ?? 'finished'} (${status})`
  if (ended !== 'whole') return tell(outcome, `the connection ended by ${ended}`)
  const pieces = kind === 'stream' ? streamPieces(nonce, words) : plainPieces(nonce, words)
  const whole = Buffer.concat(pieces)
  if (canFinish) return tell(outcome, status === 200 && own.equals(whole) ? undefined : `it could finish: ${text}`)
  if (code !== 'draining') return tell(outcome, `it was not told: ${text}`)
  if (kind === 'upload') return tell(outcome, status === 503 ? undefined : 'the status is wrong')
  const isEvent = /\n\nevent: error\ndata: [^\n]*\n\n$/.test(text) && !text.includes('[DONE]')
  tell(outcome, isEvent ? undefined : `no event at the end: ${text}`)
}

function start({ engine, folder, drainMs }: DrainOptions): Promise<Gateway> {
  return startGateway({
    config: {
      engines: [{ name: 'gpu', url: engine.url, kind: 'openai', capacity: 2 * streams }],
      models: [{ id: model, engine: 'gpu' }],
      timeouts: { drainMs, bodyIdleMs: 60_000 },
      limits: { bodyBytesPerSecondMin: 0 },
    },
    keys: [],
    env: {
      HEARTH_HOST: '127.0.0.1',
      HEARTH_KEYS_FILE: join(folder, 'keys.json'),
      // So many starts of one program take half of the time.
      NODE_COMPILE_CACHE: join(folder, 'compiled'),
    },
  })
}
