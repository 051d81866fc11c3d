import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { BareCaller, ofTrials, type Seen, writeRequest } from './bare-caller.ts'
import { type BareEngine, json, nonceOf, plainPieces, startBareEngine, writeAnswer } from './bare-engine.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { startIngress } from './ingress-fixture.ts'
import { type Chance, chanceFrom, seedOf } from './seeded.ts'
import { model } from './wire.ts'

/** The engine ends a connection that was idle for so long, just when the next requests come. */
const keepAliveMs = 500
/** Answers of Traefik within a millisecond have troubles of their own (docs/adr, no-kept-connections-to-engines). */
const promptMs = 5
const requests = 5_000
const lanes = 250
const [pauseMinMs, pauseMaxMs] = [400, 600]

describe('R40 an engine that closes idle connections', { concurrency: true }, () => {
  const seed = seedOf(process.env)

  it(`meets none of ${requests} requests of the gateway on a connection that it closes`, async () => {
    await using engine = await startClosingEngine()
    const { failed, twice } = await attempt('gateway → engine', engine, engine.url, requests, seed)
    assert.deepEqual([failed, twice], [0, 0])
    assert.ok(engine.socketsTotal < requests, 'connections are kept')
  })

  it(`meets none of ${requests} requests of the ingress, which keeps no connection, on one that it closes`, async () => {
    await using engine = await startClosingEngine()
    await using ingress = await startIngress(engine.url)
    const { failed, twice } = await attempt('Traefik → engine', engine, ingress.url, requests, seed)
    assert.deepEqual([failed, twice], [0, 0])
  })

  it('would lose requests to an ingress that keeps connections (for information)', async () => {
    await using engine = await startClosingEngine()
    await using ingress = await startIngress(engine.url, lanes)
    await attempt('Traefik → engine, connections kept', engine, ingress.url, requests / 5, seed)
    assert.ok(engine.socketsTotal < requests / 5, 'connections are kept')
  })
})

async function attempt(hop: string, engine: BareEngine, url: string, count: number, seed: number) {
  const gateway = await startGateway({
    config: {
      engines: [{ name: 'gpu', url, kind: 'openai', capacity: 512 }],
      models: [{ id: model, engine: 'gpu' }],
    },
    env: { HEARTH_HOST: '127.0.0.1' },
  })
  const startedMs = performance.now()
  const failures = await askSpaced(gateway, count, chanceFrom(seed))
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1)
  const nonces = Array.from({ length: count }, (_, number) => nonceOf(number))
  const twice = nonces.filter((nonce) => engine.arrivals(nonce).length > 1).length
  const failed = failures.length
  console.log(
    `${hop}: ${ofTrials(failed, count)} failed, ${ofTrials(twice, count)} executed twice; ${count - failed} whole`,
  )
  console.log(
    `${hop}: ${engine.socketsTotal} connections, ${seconds} s, seed ${seed} ${[...new Set(failures)].join(', ')}`,
  )
  await assertNothingLeft(gateway)
  return { failed, twice }
}

async function startClosingEngine(): Promise<BareEngine> {
  return await startBareEngine({
    keepAliveMs,
    onRequest: async ({ nonce, socket, next }) => {
      await wait(promptMs)
      socket.write(writeAnswer(json, plainPieces(nonce, 3), 'length'))
      next()
    },
  })
}

/** Many callers, each with pauses that are about as long as the engine is patient. Resolves with what went wrong. */
async function askSpaced({ port, key }: Gateway, count: number, chance: Chance): Promise<readonly string[]> {
  const failures: string[] = []
  const numbers = Array(count).keys()
  const lane = async () => {
    let caller = new BareCaller(port)
    for (const number of numbers) {
      await wait(pauseMinMs + chance.next() * (pauseMaxMs - pauseMinMs))
      const nonce = nonceOf(number)
      if (caller.over) caller = new BareCaller(port)
      const seen = await caller.ask(writeRequest({ key, nonce, stream: false }))
      if (!isAnswer(seen, nonce))
        failures.push(`${seen.status} ${/"code":"(\w+)"/.exec(seen.body.toString())?.[1] ?? seen.ended}`)
    }
    caller.socket.destroy()
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return failures
}

function isAnswer({ status, ended, body }: Seen, nonce: string): boolean {
  return status === 200 && ended === 'whole' && body.includes(nonce)
}
