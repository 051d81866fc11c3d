import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { fuzzGateway, fuzzModels } from './body-fuzz.ts'
import { model, withPair } from './wire.ts'

const seed = Number(process.env['HEARTH_TEST_SEED'] ?? Date.now() % 1_000_000)

test('R18: of a thousand fuzzed bodies nothing reaches the engine that no list allows, at any depth', () =>
  withPair({ sections: { models: fuzzModels(model) } }, async (pair) => {
    const { sent, answered, byCode, forbidden } = await fuzzGateway(pair, 1000, seed)
    console.log(`seed ${seed}: ${sent} bodies, ${answered} reached the engine`, JSON.stringify(byCode))
    deepEqual(forbidden, [])
    ok(answered > sent / 20 && answered < sent, `${answered} of ${sent} reached the engine`)
    deepEqual(byCode['internal_error'], undefined)
  }))
