import assert from 'node:assert/strict'
import { it } from 'node:test'
import { BareCaller, type Departure, ofTrials, type Seen, writeRequest } from './bare-caller.ts'
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
import { assertNothingLeft, startGateway } from './harness.ts'
import { type Chance, chanceFrom, seedOf } from './seeded.ts'
import { model, withoutComments } from './wire.ts'

const answers = 100_000
const callers = 200
const abortShare = 0.3
/** Fewer than the callers, so that they wait in line for the connections of one another. */
const capacity = 128

/** What one request is, and where its caller leaves. All of it follows from its number. */
interface Errand {
  readonly nonce: string
  readonly stream: boolean
  readonly words: number
  /** Bytes in one write of the engine. */
  readonly sliceBytes: number
  /** Whether the engine holds its last bytes back, so that only the gateway can end what its caller has left. */
  readonly held: boolean
  readonly leave: Leave | undefined
}

interface Leave {
  readonly during: 'request' | 'answer'
  /** Of the request's or the answer's bytes. */
  readonly share: number
  readonly how: Departure
}

interface Result {
  whole: number
  aborted: number
  readonly wrong: string[]
}

it(`R03: of ${answers} answers over a shared pool, 3 in 10 left midway, no caller gets a byte of another`, async (t) => {
  const seed = seedOf(process.env)
  const running = { now: 0, peak: 0 }
  await using engine = await startBareEngine({
    forgetful: true,
    onRequest: (arrival) => void answer(arrival, seed, running),
  })
  const gateway = await startGateway({
    config: {
      engines: [{ name: 'gpu', url: engine.url, kind: 'openai', capacity }],
      models: [{ id: model, engine: 'gpu' }],
      limits: { queueMax: callers },
    },
    env: { HEARTH_HOST: '127.0.0.1' },
  })
  const result: Result = { whole: 0, aborted: 0, wrong: [] }
  const startedMs = performance.now()
  const numbers = Array(answers).keys()
  await Promise.all(Array.from({ length: callers }, () => live(numbers, seed, gateway, result)))
  const seconds = (performance.now() - startedMs) / 1_000
  await engine.waitFor(() => running.now === 0, 'every answer that was left is ended at the engine')
  t.diagnostic(
    `${result.whole} whole and ${result.aborted} left answers, ${ofTrials(result.wrong.length, answers)} with a wrong byte`,
  )
  t.diagnostic(
    `the engine: ${engine.requests} requests on ${engine.socketsTotal} connections, at most ${running.peak} at a time`,
  )
  t.diagnostic(`${seconds.toFixed(1)} s, ${Math.round(answers / seconds)} answers a second, seed ${seed}`)
  await assertNothingLeft(gateway)
  assert.deepEqual(result.wrong.slice(0, 5), [], `seed ${seed}`)
  assert.equal(result.whole + result.aborted, answers)
  assert.ok(engine.socketsTotal < engine.requests / 2, 'connections are shared')
})

function planErrand(number: number, seed: number): Errand {
  const chance = chanceFrom(Math.imul(seed, 0x9e3779b1) + number)
  return {
    nonce: nonceOf(number),
    stream: chance.happens(0.5),
    words: 1 + chance.below(chance.happens(0.02) ? 500 : 10),
    sliceBytes: chance.happens(0.2) ? 1 + chance.below(500) : Number.POSITIVE_INFINITY,
    held: chance.happens(0.7),
    leave: chance.happens(abortShare) ? planLeave(chance) : undefined,
  }
}

function planLeave(chance: Chance): Leave {
  const during = chance.happens(0.2) ? 'request' : 'answer'
  return { during, share: chance.next(), how: chance.happens(0.5) ? 'rst' : 'fin' }
}

function piecesOf({ nonce, stream, words }: Errand): readonly Buffer[] {
  return stream ? streamPieces(nonce, words) : plainPieces(nonce, words)
}

/** What the engine does: the answer in its slices; all but the end of one that its caller will leave. */
async function answer(
  { nonce, socket, next }: Arrival,
  seed: number,
  running: { now: number; peak: number },
): Promise<void> {
  const errand = planErrand(Number.parseInt(nonce.slice('nonce-'.length), 16), seed)
  running.now += 1
  running.peak = Math.max(running.peak, running.now)
  const pieces = piecesOf(errand)
  const bytes = writeAnswer(errand.stream ? eventStream : json, pieces, errand.stream ? 'chunked' : 'length')
  const isHeld = errand.leave?.during === 'answer' && errand.held
  const end = isHeld ? bytes.length - 20 : bytes.length
  for (let at = 0; at < end && !socket.destroyed; at += errand.sliceBytes) {
    socket.write(bytes.subarray(at, Math.min(at + errand.sliceBytes, end)))
    // A turn of the loop, so that the answers of many requests go out in between.
    if (errand.sliceBytes < end) await new Promise<void>((resolve) => setImmediate(resolve))
  }
  const over = () => {
    running.now -= 1
  }
  if (isHeld && !socket.destroyed) return void socket.once('close', over)
  over()
  next()
}

/** One request after the other over one connection, and over a new one whenever the caller has left. */
async function live(
  numbers: Iterable<number>,
  seed: number,
  gateway: { port: number; key: string },
  result: Result,
): Promise<void> {
  let caller = new BareCaller(gateway.port)
  for (const number of numbers) {
    const errand = planErrand(number, seed)
    const request = writeRequest({ key: gateway.key, nonce: errand.nonce, stream: errand.stream })
    const whole = Buffer.concat(piecesOf(errand))
    const seen = await carryOut(errand, caller, request, whole.length)
    if (errand.leave === undefined) result.whole += 1
    else {
      result.aborted += 1
      caller = new BareCaller(gateway.port)
    }
    if (isRight(seen, errand, whole)) continue
    result.wrong.push(`${errand.nonce}: ${seen.status}, ${seen.ended}: ${seen.body.subarray(0, 400)}`)
  }
  caller.socket.destroy()
}

async function carryOut({ leave }: Errand, caller: BareCaller, request: Buffer, bytes: number): Promise<Seen> {
  if (leave === undefined) return await caller.askPatiently(request)
  if (leave.during === 'request') {
    const seen = caller.askPatiently(request.subarray(0, Math.floor(leave.share * request.length)))
    setImmediate(() => caller.leave(leave.how))
    return await seen
  }
  const until = Math.floor(leave.share * (bytes - 40))
  caller.onHead = () => void (until === 0 && caller.leave(leave.how))
  caller.onBody = (had) => void (had >= until && caller.leave(leave.how))
  return await caller.askPatiently(request)
}

/** Whether every byte is of the caller's own answer, and all of it where the caller stayed. */
function isRight({ status, ended, body: bytes }: Seen, { stream, leave }: Errand, whole: Buffer): boolean {
  const body = stream ? withoutComments(bytes) : bytes
  if (leave?.during === 'request') return body.length === 0
  if (leave === undefined) return status === 200 && ended === 'whole' && body.equals(whole)
  return status === 200 && body.equals(whole.subarray(0, body.length))
}
