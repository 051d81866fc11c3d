import assert from 'node:assert/strict'
import { it } from 'node:test'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { composeAnswer, type NonceEngine, type Plan, startNonceEngine } from './nonce-engine.ts'
import { openRaw, type RawClient } from './raw-client.ts'
import { type Chance, chanceFrom, seedOf } from './seeded.ts'
import { chatPath, withoutComments } from './wire.ts'

const callers = 200
/** 50 in a run, 500 by hand. */
const requestsEach = Number(process.env['HEARTH_CROSSTALK_REQUESTS'] ?? 50)
const abortShare = 0.3
const capacity = 48
const model = 'nonce'
/** For a request that waits behind all others on a busy machine. */
const patienceMs = 60_000

/** What one request is, and where its caller leaves. */
interface Errand {
  readonly nonce: string
  readonly plan: Plan
  readonly request: Buffer
  /** The caller leaves after so many bytes of the request, or of the answer's body. */
  readonly leave: { readonly during: 'request' | 'answer'; readonly bytes: number; readonly reset: boolean } | undefined
}

interface Result {
  whole: number
  aborted: number
  readonly wrong: string[]
}

it('R03: of thousands of answers over a shared pool, 3 in 10 left midway, no caller gets a byte of another', async (t) => {
  const seed = seedOf(process.env)
  const errands = new Map<string, Errand>()
  const engine = await startNonceEngine((nonce) => {
    const errand = errands.get(nonce)
    if (errand === undefined) throw new Error(`${nonce} was sent by nobody`)
    return errand.plan
  })
  const gateway = await startGateway({
    config: {
      engines: [{ name: 'gpu', url: engine.url, kind: 'vllm', capacity }],
      models: [{ id: model, engine: 'gpu' }],
      limits: { queueMax: callers },
    },
    env: { HEARTH_HOST: '127.0.0.1' },
  })
  const result: Result = { whole: 0, aborted: 0, wrong: [] }
  try {
    const chance = chanceFrom(seed)
    const days = Array.from({ length: callers }, () => planDay(chance, gateway, errands))
    const startedAt = performance.now()
    await Promise.all(days.map((day) => live(day, gateway, result)))
    const seconds = (performance.now() - startedAt) / 1000
    await engine.waitFor(({ running }) => running === 0, 'every answer that was left is ended at the engine')
    report(t.diagnostic.bind(t), { seed, seconds, result, engine })
    assert.deepEqual(result.wrong.slice(0, 5), [], `seed ${seed}`)
    assert.equal(result.whole + result.aborted, callers * requestsEach)
    assert.ok(engine.counts().socketsTotal < engine.counts().requests / 2, 'connections are shared')
    await assertNothingLeft(gateway, engine)
  } finally {
    await gateway[Symbol.asyncDispose]()
    await engine.close()
  }
})

/** The requests of one caller. */
function planDay(chance: Chance, gateway: Gateway, errands: Map<string, Errand>): readonly Errand[] {
  return Array.from({ length: requestsEach }, () => {
    const errand = planErrand(chance, gateway)
    errands.set(errand.nonce, errand)
    return errand
  })
}

function planErrand(chance: Chance, gateway: Gateway): Errand {
  const nonce = `nonce-${Array.from({ length: 16 }, () => chance.below(16).toString(16)).join('')}`
  const stream = chance.happens(0.5)
  const answer = composeAnswer(nonce, stream, 1 + chance.below(chance.happens(0.05) ? 2_000 : 60))
  const request = writeRequest(gateway, nonce, stream)
  const plan = { stream, answer, holdAt: undefined, sliceBytes: 1 + chance.below(4_096) }
  if (!chance.happens(abortShare)) return { nonce, plan, request, leave: undefined }
  const reset = chance.happens(0.5)
  if (chance.happens(0.2)) {
    return { nonce, plan, request, leave: { during: 'request', bytes: chance.below(request.length), reset } }
  }
  // The engine holds its last event back, so that only the gateway can end the answer that its caller has left.
  const holdAt = stream ? answer.lastIndexOf('data: ') : answer.length - 1
  const held = chance.happens(0.7) ? { ...plan, holdAt } : plan
  return { nonce, plan: held, request, leave: { during: 'answer', bytes: chance.below(holdAt), reset } }
}

function writeRequest({ key }: Gateway, nonce: string, stream: boolean): Buffer {
  const body = JSON.stringify({ model, stream, messages: [{ role: 'user', content: nonce }] })
  const lines = [`POST ${chatPath} HTTP/1.1`, 'Host: hearth.test', `Authorization: Bearer ${key}`]
  lines.push('Content-Type: application/json', `Content-Length: ${body.length}`)
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`)
}

/** One after the other over one connection, and over a new one whenever the caller has left. */
async function live(day: readonly Errand[], gateway: Gateway, result: Result): Promise<void> {
  let client: RawClient | undefined
  try {
    for (const errand of day) {
      client ??= await openRaw(gateway.port)
      if (await run(errand, client, result)) continue
      if (errand.leave?.reset === true) client.reset()
      await client[Symbol.asyncDispose]()
      client = undefined
    }
  } finally {
    await client?.[Symbol.asyncDispose]()
  }
}

/** Whether the connection can be used again. */
async function run({ nonce, plan, request, leave }: Errand, client: RawClient, result: Result): Promise<boolean> {
  if (leave?.during === 'request') {
    await client.write(request.subarray(0, leave.bytes))
    result.aborted += 1
    return false
  }
  await client.write(request)
  const head = await client.readHead(patienceMs)
  const until = leave?.bytes ?? Number.POSITIVE_INFINITY
  const { bytes, ended } = await readUpTo(client, head, until)
  const expected = plan.answer.subarray(0, bytes.length)
  const isWhole = leave !== undefined || (ended === 'complete' && bytes.length === plan.answer.length)
  if (head.status !== 200 || !isWhole || !bytes.equals(expected))
    result.wrong.push(
      `${nonce}: ${head.status}, ${ended}, ${bytes.length} of ${plan.answer.length} bytes: ${bytes.subarray(0, 400)}`,
    )
  if (leave === undefined) result.whole += 1
  else result.aborted += 1
  return leave === undefined
}

type Head = Awaited<ReturnType<RawClient['readHead']>>

async function readUpTo(client: RawClient, head: Head, bytesMax: number) {
  const chunks: Buffer[] = []
  const reader = client.readChunks(head, patienceMs)
  for (let length = 0; length <= bytesMax; ) {
    const next = await reader.next()
    if (next.done) return { bytes: withoutComments(Buffer.concat(chunks)), ended: next.value }
    chunks.push(next.value.bytes)
    length += next.value.bytes.length
  }
  return { bytes: withoutComments(Buffer.concat(chunks)), ended: 'left' as const }
}

interface Figures {
  readonly seed: number
  readonly seconds: number
  readonly result: Result
  readonly engine: NonceEngine
}

function report(say: (text: string) => void, { seed, seconds, result, engine }: Figures): void {
  const { requests, socketsTotal, cut, peakRunning } = engine.counts()
  say(`${result.whole} whole and ${result.aborted} left answers, ${result.wrong.length} with a wrong byte`)
  say(`the engine: ${requests} requests on ${socketsTotal} connections, ${cut} cut, at most ${peakRunning} at a time`)
  say(`${seconds.toFixed(1)} s, seed ${seed}`)
}
