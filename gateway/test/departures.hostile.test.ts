import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { BareCaller, type Departure, ofTrials, writeRequest } from './bare-caller.ts'
import { type BareEngine, nonceOf, startBareEngine } from './bare-engine.ts'
import { nowMs, waitUntil } from './deadline.ts'
import { beforeTheHead, type Moment, moments, type Reply } from './departure-moments.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { askHeld, type Held, probeEnv } from './process-probe.ts'
import { chanceFrom, inParallel, seedOf } from './seeded.ts'
import { watchStandstill } from './standstill.ts'
import { adminPort, metricOf, summarise } from './watch.ts'

/** The promise: the engine is free again within this time. */
const freeMs = 250
const heapGrowthMiBMax = 10
/** Departures at each moment: each way of leaving from each kind of answer. */
const trialsEach = 28
const width = 8
const ways: readonly Departure[] = ['fin', 'rst', 'half-close']
const departures = [...ways.flatMap((how) => [true, false].map((stream) => ({ how, stream })))].flatMap((one) =>
  Array.from({ length: trialsEach }, () => one),
)
/** Where a caller waits in line, because one holds the only place. */
const queued = 'queued'
const free = 'free'

describe('R37 a caller who leaves', () => {
  const seed = seedOf(process.env)
  const chance = chanceFrom(seed)
  const replies = new Map<string, Reply>()
  const freedMs: number[] = []
  const standstill = watchStandstill()
  let numbers = 0
  let engine: BareEngine
  let gateway: Gateway
  let admin: number
  let base: Held
  before(async () => {
    engine = await startBareEngine({ onRequest: (arrival) => replies.get(arrival.nonce)?.(arrival) })
    gateway = await startGateway({
      config: {
        engines: [
          { name: free, url: engine.url, kind: 'vllm', capacity: 512 },
          { name: queued, url: engine.url, kind: 'vllm', capacity: 1 },
        ],
        models: [free, queued].map((name) => ({ id: name, engine: name })),
        limits: { queueMax: 1_000 },
      },
      env: { HEARTH_HOST: '127.0.0.1', ...probeEnv() },
    })
    admin = await adminPort(gateway)
    // What the first requests load and keep is no growth.
    await leaveAll(beforeTheHead)
    await settled()
    base = await askHeld(gateway)
    freedMs.length = 0
  })
  after(async () => {
    await assertNothingLeft(gateway)
    await engine[Symbol.asyncDispose]()
  })

  const settled = async () => {
    await engine.waitFor(({ socketsOpen }) => socketsOpen === 0, 'no request is left at the engine')
    for (const name of [
      'hearth_requests_in_flight',
      'hearth_queue_length',
      'hearth_body_bytes_held',
      'hearth_connections',
    ])
      await waitUntil(
        async () => (await metricOf(admin, name)) <= (name === 'hearth_connections' ? 1 : 0),
        5_000,
        `${name} is back`,
      )
  }

  /** Every way of leaving at one moment, and how long the engine still worked for each. */
  const leaveAll = async (moment: Moment): Promise<readonly number[]> => {
    const took: number[] = []
    await inParallel(departures, width, async ({ how, stream }) => {
      numbers += 1
      const nonce = nonceOf(numbers)
      const caller = new BareCaller(gateway.port)
      const request = writeRequest({ key: gateway.key, nonce, stream, model: free })
      const leftMs = await moment({ nonce, stream, how, caller, request, chance, replies })
      await engine.waitFor(
        () => engine.arrivals(nonce).every(({ closedMs }) => closedMs !== undefined),
        `${how} is seen`,
      )
      for (const { closedMs = Number.NaN } of engine.arrivals(nonce)) took.push(closedMs - leftMs)
      caller.socket.destroy()
    })
    freedMs.push(...took)
    assert.ok(Math.min(...took) >= 0, 'a request ended before its caller left')
    return took
  }

  for (const [name, moment] of Object.entries(moments)) {
    it(`${name} frees the engine within ${freeMs} ms, ${departures.length} times`, async () => {
      const { count, p50, p99, max } = summarise(await leaveAll(moment))
      console.log(`${name}: ${count} requests freed after p50 ${p50} ms, p99 ${p99} ms, at most ${max} ms`)
      assert.equal(count, departures.length)
      assert.ok(p99 <= freeMs + standstill.ms(), `p99 ${p99} ms, seed ${seed}`)
    })
  }

  it(`before the body is whole is never seen by an engine, ${departures.length} times`, async () => {
    const before = engine.requests
    await leaveAll(async ({ caller, request, how }) => {
      await write(caller.socket, request.subarray(0, request.length - 1 - chance.below(60)))
      caller.leave(how)
      return nowMs()
    })
    await settled()
    console.log(`before the body is whole: ${ofTrials(engine.requests - before, departures.length)} reached the engine`)
    assert.equal(engine.requests, before)
  })

  it(`waiting in line leaves it and is never seen by an engine, ${departures.length} times`, async () => {
    const holder = new BareCaller(gateway.port)
    const nonce = nonceOf(0)
    replies.set(nonce, () => {})
    void holder.askPatiently(writeRequest({ key: gateway.key, nonce, stream: true, model: queued }))
    await engine.waitFor(() => engine.arrivals(nonce).length === 1, 'the place is taken')
    const before = engine.requests
    const inLine = () => metricOf(admin, 'hearth_queue_length')
    const callers = departures.map(({ how, stream }) => {
      numbers += 1
      const caller = new BareCaller(gateway.port)
      void caller.askPatiently(writeRequest({ key: gateway.key, nonce: nonceOf(numbers), stream, model: queued }))
      return { caller, how }
    })
    await waitUntil(async () => (await inLine()) === departures.length, 10_000, 'all wait in line')
    const leftMs = nowMs()
    for (const { caller, how } of callers) caller.leave(how)
    await waitUntil(async () => (await inLine()) === 0, 10_000, 'nobody waits')
    console.log(
      `waiting in line: ${departures.length} places free ${Math.round(nowMs() - leftMs)} ms after all left at once`,
    )
    holder.leave('fin')
    for (const { caller } of callers) caller.socket.destroy()
    await settled()
    assert.equal(engine.requests, before, 'a request was sent for a caller who had left')
  })

  it('leaves nothing behind: no lease, no socket, no timer, no memory', async () => {
    await settled()
    const held = await askHeld(gateway)
    const { count, p50, p99, max } = summarise(freedMs)
    const left = gateway.logs().filter(({ outcome }) => outcome === 'client_gone').length
    console.log(
      `${left} departures; ${count} at the engine, freed after p50 ${p50} ms, p99 ${p99} ms, at most ${max} ms`,
    )
    console.log(`held before ${JSON.stringify(base)}, after ${JSON.stringify(held)}; seed ${seed}`)
    assert.ok(left >= 1_000, `${left} departures`)
    // Whose connection ends within its body has sent no whole HTTP: the parser says so.
    const meant = new Set([undefined, 'client_gone', 'malformed_request'])
    const other = gateway.logs().filter(({ outcome }) => !meant.has(outcome as string | undefined))
    assert.deepEqual(other.slice(0, 5), [])
    assert.ok(held.heapMiB - base.heapMiB <= heapGrowthMiBMax, `the heap grew by ${held.heapMiB - base.heapMiB} MiB`)
    assert.ok(held.timers <= base.timers && held.sockets <= base.sockets)
  })
})

function write(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => socket.write(bytes, () => resolve()))
}
