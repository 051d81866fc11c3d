/** Whose time limits hold for a request, and that the wait in the line counts for none of them. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { waitUntil, withDeadline } from './deadline.ts'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { adminPort, metricOf } from './watch.ts'
import { assertError, chat, model, readEvents, withPair } from './wire.ts'

/** Short, and yet more than a whole answer of the scripted engine takes on a busy machine. */
const shortMs = 700
const waitMs = 15_000
const limits = ['streamFirstByteMs', 'plainFirstByteMs', 'idleMs', 'totalMs'] as const
type Limit = (typeof limits)[number]

const isStreamed = (limit: Limit) => limit === 'streamFirstByteMs' || limit === 'idleMs'

/** For each limit two models that have it, and only it, of their own: in the line of one slot, and without a line. */
const models = [
  { id: model, engine: 'gpu' },
  ...limits.flatMap((limit) => [
    { id: `line-${limit}`, engine: 'gpu', served: model, timeouts: { [limit]: shortMs } },
    { id: `open-${limit}`, engine: 'free', served: model, timeouts: { [limit]: shortMs } },
  ]),
]

function ask(gateway: Gateway, fields: object, key = gateway.key): Promise<Response> {
  const answer = chat(gateway, fields, { headers: { authorization: `Bearer ${key}` } })
  // Some are awaited much later; where a check fails before that, its words are the ones to read.
  answer.catch(() => {})
  return answer
}

/** What a request with a short limit comes to when the engine stalls: the code of its error. */
async function codeOfStall(gateway: Gateway, limit: Limit): Promise<string> {
  const answer = await ask(gateway, { model: `open-${limit}`, stream: isStreamed(limit) })
  const text = await withDeadline(answer.text(), waitMs, `the answer to a request with a short ${limit}`)
  return /"code":"(\w+)"/.exec(text)?.[1] ?? `status ${answer.status}: ${text}`
}

async function stallAll(engine: FakeEngine, gateway: Gateway): Promise<readonly string[]> {
  engine.script({ stall: { afterEvents: 2 } })
  const idle = codeOfStall(gateway, 'idleMs')
  await engine.waitFor(({ running }) => running === 2, 'the stream that falls silent is with the engine')
  engine.setDefault({ stall: 'head' })
  const others = limits.filter((limit) => limit !== 'idleMs').map((limit) => codeOfStall(gateway, limit))
  return await Promise.all([idle, ...others])
}

async function waitingIn(gateway: Gateway, count: number): Promise<void> {
  const admin = await adminPort(gateway)
  const waiting = async () => (await metricOf(admin, 'hearth_queue_length', 'engine="gpu"')) === count
  await waitUntil(waiting, waitMs, `${count} requests wait in the line`)
}

describe('the line to an engine', () => {
  it('counts for none of the four time limits: a request that waits in it longer than each of them still gets its answer', async () => {
    const pair = { engineConfig: { capacity: 1 }, engines: ['free'], sections: { models } }
    await withPair(pair, async ({ engine, gateway }) => {
      engine.script({ stall: 'head' })
      const holder = ask(gateway, {})
      await engine.waitFor(({ running }) => running === 1, 'the one slot of the line is taken')
      const inLine = limits.map((limit) => ask(gateway, { model: `line-${limit}`, stream: isStreamed(limit) }))
      await waitingIn(gateway, limits.length)
      const codes = await stallAll(engine, gateway)
      assert.deepEqual(codes, ['engine_stalled', 'engine_timeout', 'engine_timeout', 'deadline_exceeded'])
      // Each limit has passed in full since the requests came into the line; only now they get their turn.
      engine.setDefault({ finish: 'stop' })
      engine.release()
      assert.equal((await holder).status, 200)
      for (const [index, limit] of limits.entries()) {
        const answer = await withDeadline(
          inLine[index] ?? holder,
          waitMs,
          `the answer to the short ${limit} in the line`,
        )
        const text = await answer.text()
        const isWhole = isStreamed(limit) ? readEvents(text).done : text.includes('"finish_reason":"stop"')
        assert.deepEqual([answer.status, isWhole], [200, true], `${limit}: ${text}`)
      }
      const waits = () => gateway.logs().map((record) => Number(record['queueMs'] ?? 0))
      const allWaited = () => waits().filter((ms) => ms > shortMs).length === limits.length
      await waitUntil(allWaited, waitMs, `${limits.length} records with a longer wait`)
      console.log(`${limits.length} of ${limits.length} requests outlived their limit of ${shortMs} ms in the line`)
    })
  })
})

describe('the time limits of a model and of a key', { concurrency: true }, () => {
  const long = 600_000
  const own = [
    { id: 'common', engine: 'gpu', served: model },
    { id: 'patient', engine: 'gpu', served: model },
  ]
  for (const [limit, code] of [
    ['plainFirstByteMs', 'engine_timeout'],
    ['totalMs', 'deadline_exceeded'],
  ] as const)
    it(`${limit} of a model wins over the section, and that of a key over both`, async () => {
      const timeoutsOfOwn = (ms: number) => ({ timeouts: { [limit]: ms } })
      const pair = {
        keys: ['none', 'hasty', 'slow'],
        keySettings: { hasty: timeoutsOfOwn(shortMs), slow: timeoutsOfOwn(long) },
        sections: {
          models: own.map((one) => (one.id === 'patient' ? { ...one, ...timeoutsOfOwn(long) } : one)),
          timeouts: { [limit]: shortMs },
        },
      }
      await withPair(pair, async ({ engine, gateway }) => {
        engine.setDefault({ stall: 'head' })
        const patient = [ask(gateway, { model: 'patient' }), ask(gateway, { model: 'common' }, gateway.keys['slow'])]
        await engine.waitFor(({ running }) => running === 2, 'the patient ones are with the engine')
        const hasty = [ask(gateway, { model: 'common' }), ask(gateway, { model: 'patient' }, gateway.keys['hasty'])]
        for (const answer of hasty) await assertError(await answer, 504, code)
        engine.release()
        for (const answer of patient) assert.equal((await answer).status, 200)
      })
    })
})
