import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { findFreePort } from '../dev/ports.ts'
import { errorTable } from '../src/errors.ts'
import { askOnce, ofTrials, requestIdOf, type Seen, writeRequest } from './bare-caller.ts'
import { type Arrival, type BareEngine, startBareEngine } from './bare-engine.ts'
import { nowMs, waitUntil } from './deadline.ts'
import {
  type Death,
  deathOf,
  deathsEach,
  type Fault,
  places,
  sayPart,
  startMortalEngine,
  trialsEach,
  vectorModel,
} from './engine-deaths.ts'
import { assertNothingLeft, type Gateway, type LogRecord, startGateway } from './harness.ts'
import { inParallel, seedOf, Tallies } from './seeded.ts'
import { watchStandstill } from './standstill.ts'
import { summarise } from './watch.ts'
import { model, withoutComments } from './wire.ts'

/** The promise: a caller knows within this time. */
const knownMs = 1_000
/** The deadlines of an engine that says nothing, which are two minutes outside of this test. */
const idleMs = 700
const width = 20
const expectedCodes: Readonly<Record<Fault, RegExp>> = {
  kill: /^engine_died$/,
  rst: /^engine_died$/,
  fin: /^engine_died$/,
  hang: /^engine_(timeout|stalled)$/,
}

describe('R36 an engine that dies', { concurrency: true }, () => {
  const seed = seedOf(process.env)
  const standstill = watchStandstill()
  /** When each engine died, by the nonce of its answer. */
  const diedMs = new Map<string, number>()
  const patient = { timeouts: { drainMs: 1_000 } }
  const impatient = { timeouts: { streamFirstByteMs: idleMs, plainFirstByteMs: idleMs, idleMs, drainMs: 1_000 } }
  let engine: BareEngine
  let killedPort: number
  const gateways: Record<'kill' | 'cut' | 'hang', Gateway | undefined> = {
    kill: undefined,
    cut: undefined,
    hang: undefined,
  }
  before(async () => {
    engine = await startBareEngine({ onRequest: (arrival) => void die(arrival, seed, diedMs) })
    killedPort = await findFreePort(new Set())
    const killed = start(`http://127.0.0.1:${killedPort}`, patient)
    ;[gateways.kill, gateways.cut, gateways.hang] = await Promise.all([
      killed,
      start(engine.url, patient),
      start(engine.url, impatient),
    ])
  })
  after(async () => {
    for (const gateway of Object.values(gateways)) if (gateway !== undefined) await assertNothingLeft(gateway)
    await engine[Symbol.asyncDispose]()
  })

  it(`by SIGKILL: ${deathsEach} answers are an error, an error event or a visible break, at once`, async () => {
    const gateway = present(gateways.kill)
    const deaths = deathsOf('kill', seed)
    let next = startMortalEngine(seed)
    const seen: Ended[] = []
    for (let round = 0; round < trialsEach; round += 1) {
      const mortal = next
      await mortal.open(killedPort)
      // The next one starts while this one works.
      next = startMortalEngine(seed)
      const asked = deaths.slice(round * places, (round + 1) * places).map((death) => ask(gateway, death))
      await mortal.said(places)
      const atMs = mortal.kill()
      await mortal.gone
      for (const { death, seen: answer } of await Promise.all(asked)) {
        diedMs.set(death.nonce, atMs)
        seen.push({ death, seen: answer })
      }
    }
    next.kill()
    await next.gone
    await assertTruth({ fault: 'kill', gateway, seen, diedMs, withinMs: knownMs, standstill, seed })
  })

  for (const fault of ['rst', 'fin'] as const)
    it(`by ${fault.toUpperCase()}: ${deathsEach} answers are an error, an error event or a visible break, at once`, async () => {
      const gateway = present(gateways.cut)
      const seen: Ended[] = []
      await inParallel(deathsOf(fault, seed), width, async (death) => void seen.push(await ask(gateway, death)))
      await assertTruth({ fault, gateway, seen, diedMs, withinMs: knownMs, standstill, seed })
    })

  it(`by silence: ${deathsEach} answers are an error, an error event or a visible break, when its time is over`, async () => {
    const gateway = present(gateways.hang)
    const seen: Ended[] = []
    await inParallel(deathsOf('hang', seed), deathsEach / 5, async (death) => void seen.push(await ask(gateway, death)))
    await assertTruth({ fault: 'hang', gateway, seen, diedMs, withinMs: idleMs + knownMs, standstill, seed })
  })
})

interface Ended {
  readonly death: Death
  readonly seen: Seen
}

interface Truth {
  readonly fault: Fault
  readonly gateway: Gateway
  readonly seen: readonly Ended[]
  readonly diedMs: ReadonlyMap<string, number>
  readonly withinMs: number
  readonly standstill: ReturnType<typeof watchStandstill>
  readonly seed: number
}

const faults: readonly Fault[] = ['kill', 'rst', 'fin', 'hang']

/** Each fault has its own numbers, so that a nonce says how its engine dies. */
function deathsOf(fault: Fault, seed: number): readonly Death[] {
  const firstNumber = faults.indexOf(fault) * deathsEach
  return Array.from({ length: deathsEach }, (_, at) => deathOf(firstNumber + at, seed))
}

function start(url: string, sections: object): Promise<Gateway> {
  return startGateway({
    config: {
      engines: [{ name: 'gpu', url, kind: 'openai', capacity: 512 }],
      models: [
        { id: model, engine: 'gpu' },
        { id: vectorModel, engine: 'gpu', task: 'embed' },
      ],
      ...sections,
    },
    env: { HEARTH_HOST: '127.0.0.1' },
  })
}

function present(gateway: Gateway | undefined): Gateway {
  if (gateway === undefined) throw new Error('the gateway did not start')
  return gateway
}

/** What the engine of this process does with a request: part of the answer, then its end. */
async function die({ nonce, socket }: Arrival, seed: number, diedMs: Map<string, number>): Promise<void> {
  const number = Number.parseInt(nonce.slice('nonce-'.length), 16)
  const fault = faults[Math.floor(number / deathsEach)]
  await sayPart(socket, deathOf(number, seed))
  diedMs.set(nonce, nowMs())
  if (fault === 'rst') socket.resetAndDestroy()
  if (fault === 'fin') socket.end()
}

async function ask({ port, key }: Gateway, death: Death): Promise<Ended> {
  const { nonce, kind } = death
  const vectors = { path: '/v1/embeddings', body: `{"model":"${vectorModel}","input":"${nonce}"}` }
  const request = writeRequest({ key, nonce, stream: kind === 'stream', ...(kind === 'vectors' ? vectors : {}) })
  return { death, seen: await askOnce(port, request) }
}

async function assertTruth({ fault, gateway, seen, diedMs, withinMs, standstill, seed }: Truth): Promise<void> {
  const wrong: string[] = []
  const outcomes = new Tallies<string>()
  const tookMs: number[] = []
  let delivered = 0
  const records = await recordsOf(gateway, seen)
  for (const { death, seen: answer } of seen) {
    const took = answer.endedMs - (diedMs.get(death.nonce) ?? Number.NaN)
    tookMs.push(took)
    try {
      const { how, code } = judge(answer, death)
      const { outcome, completionTokens, tokensEstimated } = records.get(requestIdOf(answer)) ?? {}
      assert.match(String(outcome), expectedCodes[fault], 'the outcome of the record')
      const tokens = wordsIn(answer, death)
      if (tokens > 0)
        assert.deepEqual([completionTokens, tokensEstimated], [tokens, true], 'what was delivered is metered')
      delivered += tokens
      if (code !== undefined) assert.equal(code, outcome, 'the code that the caller was told')
      outcomes.add(`${how} (${String(outcome)})`)
      assert.ok(took <= withinMs + standstill.ms(), `known after ${Math.round(took)} ms`)
    } catch (error) {
      wrong.push(
        `${death.form}, ${death.says} of ${death.answer.length} bytes: ${String(error)}\n${answer.head}${answer.body.subarray(0, 2_000)}`,
      )
    }
  }
  const { p50, p99, max } = summarise(tookMs)
  console.log(`${fault}: ${ofTrials(wrong.length, seen.length)} untrue; ${outcomes}`)
  console.log(`${fault}: ${delivered} tokens of the cut streams delivered and metered`)
  console.log(
    `${fault}: known after p50 ${p50} ms, p99 ${p99} ms, at most ${max} ms (this process stood still for ${standstill.ms()} ms); seed ${seed}`,
  )
  assert.equal(seen.length, deathsEach)
  assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${seen.length}, seed ${seed}`)
}

async function recordsOf(gateway: Gateway, seen: readonly Ended[]): Promise<ReadonlyMap<string, LogRecord>> {
  const ids = new Set(seen.map(({ seen: answer }) => requestIdOf(answer)))
  const found = () => gateway.logs().filter(({ requestId }) => ids.has(String(requestId)))
  await waitUntil(() => found().length >= ids.size, 5_000, `${ids.size} records`)
  return new Map(found().map((record) => [String(record['requestId']), record]))
}

/** Words that the caller of a stream got, each an event. */
function wordsIn({ body }: Seen, { kind, nonce }: Death): number {
  return kind === 'stream' ? body.toString().split(`"content":"${nonce} `).length - 1 : 0
}

/** What the caller was told; throws where that is untrue. */
function judge({ status, head, body, ended }: Seen, { kind, body: whole }: Death): { how: string; code?: string } {
  if (status !== 200) {
    assert.equal(ended, 'whole')
    return { how: `${status}`, code: codeIn(body.toString(), status) }
  }
  if (!/^content-type: text\/event-stream/im.test(head)) {
    assert.notEqual(kind, 'stream', 'a stream became a plain answer')
    assert.notEqual(ended, 'whole', 'a cut answer passed as whole')
    assert.ok(whole.subarray(0, body.length).equals(body), 'bytes that the engine never said')
    return { how: 'broken' }
  }
  assert.equal(ended, 'whole', 'a stream broke without its terminal event')
  const text = withoutComments(body).toString()
  assert.doesNotMatch(text, /^data: ?\[DONE\]/m)
  const at = text.indexOf('event: error\n')
  assert.ok(at === 0 || text.slice(at - 2, at) === '\n\n', 'no error event, or one within another event')
  assert.ok(whole.toString().startsWith(text.slice(0, at)), 'bytes that the engine never said')
  const failure = /^event: error\ndata: (.*)\n\n$/.exec(text.slice(at))?.[1]
  assert.ok(failure !== undefined, 'something behind the error event')
  return { how: 'error event', code: codeIn(failure) }
}

function codeIn(text: string, status?: number): string {
  const { error, ...rest } = JSON.parse(text)
  assert.deepEqual([Object.keys(error), rest], [['message', 'type', 'param', 'code'], {}])
  const row = Object.entries(errorTable).find(([code]) => code === error.code)?.[1]
  assert.ok(row !== undefined, `${error.code} is in no table`)
  if (status !== undefined) assert.ok(row.status === status && [502, 504].includes(status), `${status} ${error.code}`)
  return error.code
}
