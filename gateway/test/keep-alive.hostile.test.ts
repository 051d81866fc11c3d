import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { BareCaller, ofTrials, type Seen, writeRequest } from './bare-caller.ts'
import { type BareEngine, json, nonceOf, plainPieces, startBareEngine, writeAnswer } from './bare-engine.ts'
import { assertNothingLeft, startGateway } from './harness.ts'
import { type Chance, chanceFrom, seedOf, Tallies } from './seeded.ts'
import { model } from './wire.ts'

/** The engine ends a connection that was idle for so long, just when the next requests come. */
const keepAliveMs = 500
const requests = 5_000
const lanes = 250
const [pauseMinMs, pauseMaxMs] = [400, 600]

it(`R40: of ${requests} requests to an engine that closes what is idle, none meets a closing connection`, async () => {
  const seed = seedOf(process.env)
  await using engine = await startClosingEngine()
  const gateway = await startGateway({
    config: {
      engines: [{ name: 'gpu', url: engine.url, kind: 'openai', capacity: 512 }],
      models: [{ id: model, engine: 'gpu' }],
    },
    env: { HEARTH_HOST: '127.0.0.1' },
  })
  const { errors, twice, seconds } = await askSpaced(gateway.port, gateway.key, engine, chanceFrom(seed))
  const { requests: executed, socketsTotal } = engine
  console.log(`${ofTrials(errors.count, requests)} failed: ${errors.tallies}; ${ofTrials(twice, requests)} executed twice`)
  console.log(`${executed} at the engine on ${socketsTotal} connections, in ${seconds.toFixed(1)} s, seed ${seed}`)
  await assertNothingLeft(gateway)
  assert.deepEqual([errors.count, twice], [0, 0])
  assert.ok(socketsTotal < requests, 'connections are kept')
})

async function startClosingEngine(): Promise<BareEngine> {
  return await startBareEngine({
    keepAliveMs,
    onRequest: ({ nonce, socket, next }) => {
      socket.write(writeAnswer(json, plainPieces(nonce, 3), 'length'))
      next()
    },
  })
}

/** Many callers, each with pauses that are about as long as the engine is patient. */
async function askSpaced(port: number, key: string, engine: BareEngine, chance: Chance) {
  const tallies = new Tallies<string>()
  const startedMs = performance.now()
  let count = 0
  const lane = async (number: number) => {
    let caller = new BareCaller(port)
    for (let turn = 0; turn < requests / lanes; turn += 1) {
      await wait(pauseMinMs + chance.next() * (pauseMaxMs - pauseMinMs))
      const nonce = nonceOf(number * 1_000 + turn)
      if (caller.over) caller = new BareCaller(port)
      const seen = await caller.ask(writeRequest({ key, nonce, stream: false }))
      if (isAnswer(seen, nonce)) continue
      count += 1
      tallies.add(`${seen.status} ${/"code":"(\w+)"/.exec(seen.body.toString())?.[1] ?? seen.ended}`)
    }
    caller.socket.destroy()
  }
  await Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)))
  const nonces = Array.from({ length: lanes * 1_000 }, (_, number) => nonceOf(number))
  const twice = nonces.filter((nonce) => engine.arrivals(nonce).length > 1).length
  return { errors: { count, tallies }, twice, seconds: (performance.now() - startedMs) / 1_000 }
}

function isAnswer({ status, ended, body }: Seen, nonce: string): boolean {
  return status === 200 && ended === 'whole' && body.includes(nonce)
}
