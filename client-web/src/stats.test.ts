import assert from 'node:assert/strict'
import { it } from 'node:test'
import { measure, type Timing } from './stats.ts'

const timing: Timing = {
  startedAtMs: 1000,
  firstTokenAtMs: 1900,
  lastTokenAtMs: 3900,
  endedAtMs: 4000,
  deltaCount: 61,
  usage: { promptTokens: 20, completionTokens: 81 },
}

it('figures come from the usage of the engine, and speed covers generation alone', () => {
  assert.deepEqual(measure(timing), {
    tokens: 81,
    tokensPerSecond: 40,
    promptTokens: 20,
    firstTokenMs: 900,
    totalMs: 3000,
    isEstimate: false,
  })
})

it('without usage the pieces of the stream are counted, and the figures are marked', () => {
  const stats = measure({ ...timing, usage: undefined })
  assert.equal(stats.tokens, 61)
  assert.equal(stats.tokensPerSecond, 30)
  assert.equal(stats.promptTokens, undefined)
  assert.equal(stats.isEstimate, true)
})

it('no speed is claimed for one token or for a single burst', () => {
  assert.equal(measure({ ...timing, deltaCount: 1, usage: undefined }).tokensPerSecond, undefined)
  assert.equal(measure({ ...timing, lastTokenAtMs: 1950 }).tokensPerSecond, undefined)
  assert.equal(measure({ ...timing, firstTokenAtMs: undefined, lastTokenAtMs: undefined }).firstTokenMs, undefined)
})
