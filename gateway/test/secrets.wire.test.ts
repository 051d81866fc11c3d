import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { findPlanted, secretsOf } from './canaries.ts'
import { type FakeEngine, startEngine } from './fake-engine.ts'
import { type Gateway, type LogRecord, startGateway } from './harness.ts'
import { type Case, cases, planted, plantedEnv, says, send, steps, streamed } from './planted-cases.ts'
import { exchangeRaw, openRaw } from './raw-client.ts'
import { adminPort } from './watch.ts'
import { model } from './wire.ts'

const forms = ['json', 'gcp', 'pretty'] as const
const vision = { coordinates: 'absolute', factor: 28, minPixels: 16, maxPixels: 1_000_000, maxSide: 1024 }
const frame = ['severity', 'time', 'message', 'httpRequest']
const traceFields = ['trace', 'spanId', 'trace_sampled'].map((name) => `logging.googleapis.com/${name}`)
/** What an answer cost: each where the engine says it. */
const metering = /^(promptTokens|cachedTokens|completionTokens|finishReason|ttftMs|tokensPerSecond)$/

/** The fields of a record, but for what meters the answer. */
function fieldsOf(record: LogRecord): readonly string[] {
  return Object.keys(record)
    .filter((name) => !metering.test(name))
    .sort()
}

/** The fields that the record of a request has when it came so far. */
function expected(form: string, { step, more = [] }: Case): readonly string[] {
  const known = Object.values(steps).slice(0, Object.keys(steps).indexOf(step) + 1)
  // A head that the door refuses is taken for nothing, its trace neither.
  const trace = step === 'begun' && more.length > 0 ? [] : traceFields
  const insertId = form === 'gcp' ? ['logging.googleapis.com/insertId'] : []
  return [...frame, ...trace, ...insertId, ...known.flat(), ...more, 'bytesOut'].sort()
}

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

describe('the record of a request', () => {
  let engine: FakeEngine
  let away: string
  before(async () => {
    engine = await startEngine()
    away = `http://127.0.0.1:${await freePort()}`
  })
  after(() => engine.close())

  const start = (form: string) =>
    startGateway({
      config: {
        engines: [
          { name: 'gpu', url: engine.url, kind: 'vllm' },
          { name: 'off', url: away, kind: 'vllm' },
        ],
        models: [
          { id: model, engine: 'gpu', vision },
          { id: 'away', engine: 'off', vision },
        ],
        timeouts: { drainMs: 200 },
      },
      keys: ['one', 'other'],
      env: { ...plantedEnv, HEARTH_HOST: '127.0.0.1', HEARTH_LOG: form },
    })

  /** Sends one request of each case, and says which id each had. */
  async function askAll(gateway: Gateway): Promise<ReadonlyMap<string, string>> {
    const ids = new Map<string, string>()
    for (const [name, { request, behaviour, status }] of Object.entries(cases)) {
      engine.reset()
      if (behaviour !== undefined) engine.script(behaviour)
      const { head, text } = await exchangeRaw(gateway.port, request(gateway))
      assert.equal(head.status, status, `${name}: ${text}`)
      const everything = text + JSON.stringify(head.headers)
      for (const secret of Object.values(plantedEnv)) assert.ok(!everything.includes(secret), `${name}: ${everything}`)
      ids.set(name, new Map(head.headers).get('x-request-id') ?? '')
    }
    return ids
  }

  /** Callers who leave, and bytes that are no request. */
  async function misbehave(gateway: Gateway): Promise<void> {
    for (const [change, behaviour, waits] of [
      [undefined, { stall: 'head' }, false],
      [streamed, { ...says, stall: { afterEvents: 2 } }, true],
    ] as const) {
      engine.reset()
      engine.script(behaviour)
      await using client = await openRaw(gateway.port)
      await client.send(send({}, change)(gateway))
      await engine.waitFor(({ running }) => running === 1, 'the engine works')
      if (waits) await client.readHead()
      client.destroy()
      await engine.waitFor(({ running }) => running === 0, 'the engine knows')
    }
    await using client = await openRaw(gateway.port)
    await client.write(`\x16\x03\x01${Object.values(plantedEnv)[0]}\r\n\r\n`)
    await client.readHead()
  }

  /** Ends a gateway that is in the middle of a stream. */
  async function stopBusy(gateway: Gateway): Promise<void> {
    engine.reset()
    engine.script({ ...says, stall: { afterEvents: 2 } })
    await using client = await openRaw(gateway.port)
    await client.send(send({}, streamed)(gateway))
    await engine.waitFor(({ running }) => running === 1, 'the engine works')
    await client.readHead()
    await gateway.stop()
  }

  /** Everything that somebody else than the caller could read. */
  async function readAll(gateway: Gateway): Promise<readonly string[]> {
    const own = { authorization: `Bearer ${gateway.keys['other']}` }
    const answers = [
      ...(gateway.logs().some(({ text }) => text !== undefined)
        ? []
        : [await exchangeRaw(await adminPort(gateway), { path: '/metrics' })]),
      await exchangeRaw(gateway.port, { path: '/v1/models', headers: own }),
      await exchangeRaw(gateway.port, { path: '/v1/models/none', headers: own }),
      await exchangeRaw(gateway.port, { path: '/ready' }),
    ]
    return answers.map(({ head, text }) => JSON.stringify(head.headers) + text)
  }

  for (const form of forms) {
    it(`R58 holds nothing that was planted, and neither do metrics and answers to others (${form})`, async () => {
      const gateway = await start(form)
      try {
        const secrets = Object.values(gateway.keys).flatMap(secretsOf)
        const ids = await askAll(gateway)
        await misbehave(gateway)
        const answers = await readAll(gateway)
        await stopBusy(gateway)
        const all = [...answers, gateway.stderr(), ...gateway.logs().map((record) => JSON.stringify(record))]
        for (const text of all) assert.equal(findPlanted(text, secrets), undefined)
        console.log(`${form}: 0 of ${planted.size} canaries in ${all.length} texts, ${ids.size + 4} ways to end`)
        if (form !== 'pretty') checkFields(form, ids, gateway.logs())
      } finally {
        await gateway[Symbol.asyncDispose]()
      }
    })
  }

  function checkFields(form: string, ids: ReadonlyMap<string, string>, records: readonly LogRecord[]): void {
    for (const [name, one] of Object.entries(cases)) {
      const own = records.filter(({ requestId }) => requestId === ids.get(name))
      assert.equal(own.length, 1, `${name} has ${own.length} records`)
      const [record = {}] = own
      assert.deepEqual(fieldsOf(record), expected(form, one), name)
      const { outcome, severity = 'INFO' } = one
      assert.deepEqual([record['outcome'], record['severity']], [outcome, severity], name)
    }
    const ends = records.map(({ outcome }) => outcome).filter((outcome) => outcome !== undefined)
    assert.equal(ends.filter((outcome) => outcome === 'client_gone').length, 2)
    assert.equal(ends.filter((outcome) => outcome === 'malformed_request').length, 1)
    assert.equal(ends.filter((outcome) => outcome === 'draining').length, 1)
    // Those of readAll too.
    assert.equal(ends.length, ids.size + 4 + 3)
  }
})
