import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { askOnce, BareCaller, ofTrials, requestIdOf, type Seen, writeRequest } from './bare-caller.ts'
import {
  type Arrival,
  type BareEngine,
  json,
  nonceOf,
  plainPieces,
  startBareEngine,
  writeAnswer,
} from './bare-engine.ts'
import { findClosedPort, startSidecar } from './fake-sidecar.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { type Chance, chanceFrom, inParallel, seedOf, Tallies } from './seeded.ts'
import { adminPort, metricOf } from './watch.ts'
import { model } from './wire.ts'

/** What becomes of a request or its answer. */
const fates = [
  'answered',
  'reset after some bytes of the body',
  'closed after some bytes of the body',
  'reset with the whole body',
  'closed with the whole body',
  'reset in the answer',
  '500',
  '503',
] as const
/** What becomes of a kept connection just when the next request may go out on it. */
const endings = ['answered', 'answered, then reset', 'answered, then closed'] as const
type Fate = (typeof fates | typeof endings)[number]
const posts = 1_000
const width = 20
/** Larger than what a kernel takes at once, where the fault comes while the body is on its way. */
const uploadBytes = 400_000
const attemptsMax = 1.1
/** For a minute, and for the 25 s that a request waits for a road. */
const outageMs = 4_000
const connectMs = 1_700

interface Post {
  readonly nonce: string
  readonly fate: Fate
  /** Bytes of the request that the engine takes before it acts. */
  readonly after: number
}

describe('R39 a request whose engine fails', { concurrency: true }, () => {
  const seed = seedOf(process.env)

  for (const [when, chosen] of [
    ['under way', fates],
    ['on kept connections that end', endings],
  ] satisfies [string, readonly Fate[]][])
    it(`is executed at most once: ${posts} POSTs ${when}`, async () => {
      const chance = chanceFrom(seed)
      const planned = planPosts(chosen, chance)
      await using engine = await startFailingEngine(planned, chance)
      const gateway = await start(engine.url)
      const outcomes = new Tallies<string>()
      await inParallel(planned, width, async (post) =>
        outcomes.add(`${post.fate}: ${describeSeen(await send(gateway, post))}`),
      )
      const arrived = planned.map(({ nonce }) => engine.arrivals(nonce))
      const [twice, reused] = [
        arrived.filter(({ length }) => length > 1).length,
        arrived.flat().filter(({ before }) => before > 0).length,
      ]
      const retries = await metricOf(await adminPort(gateway), 'hearth_retries_total')
      console.log(
        `${when}: ${ofTrials(twice, posts)} twice at the engine, ${reused} on used connections, ${retries} sent again; seed ${seed}`,
      )
      console.log(`${when}: ${outcomes}`)
      await assertNothingLeft(gateway)
      assert.equal(twice, 0)
      // An engine that closes what it has just answered is soon asked on new connections alone.
      if (chosen === fates) assert.ok(reused > 0, 'connections are kept')
    })

  for (const [outage, reply] of [
    ['answers everybody with 503', '503'],
    ['resets everybody with the whole body', 'reset with the whole body'],
  ] satisfies [string, Fate][])
    it(`is not multiplied when the engine ${outage}`, async () => {
      await using engine = await startBareEngine({ onRequest: (arrival) => answer(arrival, reply, chanceFrom(seed)) })
      const gateway = await start(engine.url)
      const requests = await askThroughOutage(gateway, seed)
      await assertFew(outage, engine.requests, requests, gateway)
    })

  it('is not multiplied when every connection is reset at once', async () => {
    await using engine = await startBareEngine({
      onRequest: () => {},
      onConnection: (socket) => void socket.resetAndDestroy(),
    })
    const gateway = await start(engine.url)
    const requests = await askThroughOutage(gateway, seed)
    await assertFew('every connection is reset', engine.socketsTotal, requests, gateway)
  })

  it('is not multiplied when nobody listens', async () => {
    const gateway = await start(`http://127.0.0.1:${await findClosedPort()}`)
    const requests = await askThroughOutage(gateway, seed)
    await assertFew(
      'nobody listens',
      await metricOf(await adminPort(gateway), 'hearth_connect_attempts_total'),
      requests,
      gateway,
    )
  })

  it('is not multiplied when the sidecar opens no road, which is tried again', async () => {
    await using sidecar = await startSidecar(await findClosedPort())
    sidecar.setDefault({ refuse: 'mesh_not_ready' })
    const gateway = await start('http://engine.home', { via: 'mesh:gpu' }, sidecar.port)
    const requests = await askThroughOutage(gateway, seed)
    await assertFew('the sidecar opens no road', sidecar.asked.length, requests, gateway)
  })
})

function planPosts(chosen: readonly Fate[], chance: Chance): readonly Post[] {
  return Array.from({ length: posts }, (_, number) => ({
    nonce: nonceOf(number),
    fate: chance.pick(chosen),
    after: chance.below(uploadBytes / 2),
  }))
}

function startFailingEngine(planned: readonly Post[], chance: Chance): Promise<BareEngine> {
  const byNonce = new Map(planned.map((post) => [post.nonce, post]))
  return startBareEngine({
    onRequest: (arrival) => answer(arrival, byNonce.get(arrival.nonce)?.fate ?? 'answered', chance),
    onUpload: ({ nonce, socket }, bytes) => {
      const { fate, after = 0 } = byNonce.get(nonce) ?? {}
      if (bytes < after) return
      if (fate === 'reset after some bytes of the body') socket.resetAndDestroy()
      if (fate === 'closed after some bytes of the body') socket.destroy()
    },
  })
}

function start(url: string, engineConfig: object = {}, meshPort?: number): Promise<Gateway> {
  const mesh = meshPort === undefined ? {} : { HEARTH_MESH_ADDR: `127.0.0.1:${meshPort}` }
  return startGateway({
    config: {
      engines: [{ name: 'gpu', url, kind: 'openai', capacity: 64, ...engineConfig }],
      models: [{ id: model, engine: 'gpu' }],
      timeouts: { connectMs },
    },
    env: { HEARTH_HOST: '127.0.0.1', ...mesh },
  })
}

const whole = (nonce: string) => writeAnswer(json, plainPieces(nonce, 3), 'length')

function answer({ nonce, socket, next }: Arrival, fate: Fate, chance: Chance): void {
  switch (fate) {
    case 'answered':
      socket.write(whole(nonce))
      return next()
    case 'answered, then reset':
    case 'answered, then closed':
      socket.write(whole(nonce))
      next()
      setTimeout(() => (fate.endsWith('reset') ? socket.resetAndDestroy() : socket.destroy()), chance.below(4))
      return
    case 'reset in the answer':
      socket.write(whole(nonce).subarray(0, -chance.below(40) - 1), () => socket.resetAndDestroy())
      return
    case '500':
    case '503':
      socket.write(`HTTP/1.1 ${fate} No\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`)
      return next()
    case 'closed with the whole body':
    case 'closed after some bytes of the body':
      return void socket.destroy()
    default:
      socket.resetAndDestroy()
  }
}

function send({ port, key }: Gateway, { nonce, fate }: Post): Promise<Seen> {
  const padding = fate.includes('some bytes') ? uploadBytes : 0
  return askOnce(port, writeRequest({ key, nonce, stream: false, padding }))
}

function describeSeen({ status, ended, body }: Seen): string {
  return status === 200 && ended === 'whole'
    ? '200'
    : `${status} ${/"code":"(\w+)"/.exec(body.toString())?.[1] ?? 'broken'}`
}

/** Asks again and again while everything fails; how many requests that were. */
async function askThroughOutage({ port, key }: Gateway, seed: number): Promise<number> {
  const untilMs = performance.now() + outageMs
  let requests = 0
  const lane = async (number: number) => {
    const chance = chanceFrom(seed + number)
    const caller = new BareCaller(port)
    while (performance.now() < untilMs) {
      const nonce = nonceOf(number * 10_000 + requests)
      requests += 1
      const seen = await caller.ask(writeRequest({ key, nonce, stream: false }))
      assert.ok(seen.status >= 500 && requestIdOf(seen) !== '', describeSeen(seen))
      await new Promise((resolve) => setTimeout(resolve, 50 + chance.below(100)))
    }
    caller.socket.destroy()
  }
  await Promise.all(Array.from({ length: width }, (_, number) => lane(number)))
  return requests
}

async function assertFew(outage: string, attempts: number, requests: number, gateway: Gateway): Promise<void> {
  const ratio = attempts / requests
  console.log(`${outage}: ${requests} requests, ${attempts} attempts, ${ratio.toFixed(3)} each`)
  await assertNothingLeft(gateway)
  assert.ok(requests > 50 && attempts > 0 && ratio <= attemptsMax, `${ratio} attempts for each request`)
}
