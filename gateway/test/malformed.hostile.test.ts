import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { FakeEngine } from './fake-engine.ts'
import { framingCases } from './framing-cases.ts'
import type { Gateway } from './harness.ts'
import { ErrorBodies } from './hygiene.ts'
import { meantStatuses, mutations, throwAt } from './malformed.ts'
import { exchangeRaw } from './raw-client.ts'
import { first, inParallel, seedOf, Tallies } from './seeded.ts'
import { finalAnswers } from './strict-http.ts'
import { chatPath, endPair, startPair } from './wire.ts'

const width = 64

describe('R01 malformed requests', () => {
  let engine: FakeEngine
  let gateway: Gateway
  const errors = new ErrorBodies()
  before(async () => {
    ;({ engine, gateway } = await startPair({ sections: { cors: { origins: ['http://b'] } } }))
  })
  after(async () => {
    await endPair({ engine, gateway })
  })

  const nothingBroke = async () => {
    assert.equal(gateway.child.exitCode, null, gateway.stderr())
    assert.equal(gateway.stderr(), '')
    assert.deepEqual(
      gateway
        .logs()
        .filter(
          ({ outcome, severity, text }) => outcome === 'internal_error' || severity === 'ERROR' || text !== undefined,
        ),
      [],
    )
    const arrived = new Set(engine.requests.map(({ method, path }) => `${method} ${path}`))
    assert.deepEqual([...arrived], [`POST ${chatPath}`])
    assert.equal((await exchangeRaw(gateway.port, { path: '/health' })).head.status, 200)
  }

  it('answers every hand-written case of doubtful framing with one of its own statuses', async () => {
    const cases = framingCases(gateway.key)
    assert.ok(cases.length >= 60)
    assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length)
    const seen = new Tallies<number>()
    const wrong: string[] = []
    await inParallel(cases, 8, async ({ name, text, statuses }) => {
      const answers = finalAnswers(await throwAt(gateway.port, text, 1_000))
      for (const answer of answers) errors.take(answer)
      const got = answers.length === 0 ? [0] : answers.map(({ status }) => status)
      for (const status of got) seen.add(status)
      if (got.some((status) => !statuses.includes(status)))
        wrong.push(`${name}: ${got.join()}, wanted one of ${statuses.join()}`)
    })
    console.log(`${cases.length} cases: ${seen}`)
    assert.deepEqual(wrong, [])
    await nothingBroke()
  })

  it('survives 10,000 seeded mutations: no exit, no 500, valid HTTP, only statuses that are meant', async () => {
    const seed = seedOf(process.env)
    console.log(`seed ${seed}`)
    const seen = new Tallies<number>()
    const startedMs = performance.now()
    await inParallel(first(mutations(seed, gateway.key), 10_000), width, async (text) => {
      const answers = finalAnswers(await throwAt(gateway.port, text))
      if (answers.length === 0) seen.add(0)
      for (const answer of answers) {
        seen.add(answer.status)
        errors.take(answer)
        const why = `${answer.status} (seed ${seed}) to ${JSON.stringify(text)}`
        assert.ok(meantStatuses.has(answer.status), why)
        assert.ok(answer.whole, `broken off: ${why}`)
      }
    })
    console.log(
      `10000 requests in ${Math.round(performance.now() - startedMs)} ms: ${seen} (0: closed without an answer)`,
    )
    await nothingBroke()
  })

  it('R60 says nothing of the inside in any of these errors', () => {
    const different = errors.check()
    assert.ok(errors.count > 1_000)
    console.log(`${errors.count} error bodies, ${different} different`)
  })
})
