/**
 * Throws broken requests at a gateway of its own, by hand and as long as you like:
 * `npm run fuzz -- --n 500000 [--seed S]`. The same requests as in the tests, for one seed; ends at the first that is
 * answered as none may be, and prints it, so that it can join `gateway/test/corpus/`.
 */
import { parseArgs } from 'node:util'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { ErrorBodies } from './hygiene.ts'
import { meantStatuses, mutations, throwAt } from './malformed.ts'
import { first, inParallel, seedOf, Tallies } from './seeded.ts'
import { finalAnswers } from './strict-http.ts'
import { chatPath, endPair, startPair } from './wire.ts'

const width = 64
const roundOf = 10_000

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { n: { type: 'string', default: '500000' }, seed: { type: 'string' } },
  })
  const count = Number(values.n)
  const seed = values.seed === undefined ? seedOf(process.env) : Number(values.seed)
  if (!Number.isInteger(count) || count < 1 || !Number.isInteger(seed)) {
    process.stderr.write('npm run fuzz -- [--n COUNT] [--seed NUMBER]\n')
    process.exitCode = 2
    return
  }
  const pair = await startPair({ sections: { cors: { origins: ['http://b'] } } })
  try {
    await fuzz(pair.engine, pair.gateway, count, seed)
  } finally {
    await endPair(pair)
  }
}

async function fuzz(engine: FakeEngine, gateway: Gateway, count: number, seed: number): Promise<void> {
  process.stdout.write(`seed ${seed}\n`)
  const seen = new Tallies<number>()
  const errors = new ErrorBodies()
  const startedMs = performance.now()
  let done = 0
  await inParallel(first(mutations(seed, gateway.key), count), width, async (text) => {
    for (const answer of finalAnswers(await throwAt(gateway.port, text))) {
      seen.add(answer.status)
      errors.take(answer)
      if (!meantStatuses.has(answer.status) || !answer.whole)
        throw new Error(`${answer.status} (seed ${seed}) to ${JSON.stringify(text)}`)
    }
    done += 1
    if (done % roundOf === 0 || done === count) report(engine, gateway, errors, done, startedMs)
  })
  process.stdout.write(`${seen}\n`)
}

/** Says how far it came, and throws where the gateway or what reached the engine is not as it must be. */
function report(engine: FakeEngine, gateway: Gateway, errors: ErrorBodies, done: number, startedMs: number): void {
  const broken = gateway.logs().filter(({ outcome, text }) => outcome === 'internal_error' || text !== undefined)
  const arrived = engine.requests.filter(({ method, path }) => method !== 'POST' || path !== chatPath)
  if (gateway.child.exitCode !== null || gateway.stderr() !== '' || broken.length > 0 || arrived.length > 0)
    throw new Error(`after ${done}: ${gateway.stderr()} ${JSON.stringify([...broken, ...arrived].slice(0, 5))}`)
  const seconds = (performance.now() - startedMs) / 1000
  process.stdout.write(`${done} in ${seconds.toFixed(0)} s, ${errors.check()} different errors\n`)
  engine.reset()
}

await main()
