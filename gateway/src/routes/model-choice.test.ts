import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import type { BodyKind } from '../body/kinds.data.ts'
import { loadConfig } from '../config.ts'
import { HearthError } from '../errors.ts'
import { MeshStatus } from '../mesh/status.ts'
import { Catalog } from '../metrics/catalog.ts'
import { createMeters } from '../metrics.ts'
import { createEngines } from '../routing/engines.ts'
import { chooseModel } from './model-choice.ts'

const config = loadConfig({
  HEARTH_KEYS_FILE: 'keys.json',
  HEARTH_CONFIG_YAML: `
engines: [{ name: gpu, url: 'http://gpu', kind: vllm }]
models:
  - { id: talker, engine: gpu, aliases: [gpt] }
  - { id: vectors, engine: gpu, task: embed }
  - { id: more-vectors, engine: gpu, task: embed, aliases: [mv] }
`,
})
const now = () => 0
const status = new MeshStatus({ url: undefined, now })
const engines = createEngines(config, { status, meters: createMeters(new Catalog()), now })

/** The id of the model, or the code of the refusal. */
function choose(kind: BodyKind, name: string | undefined, ...models: readonly string[]): string {
  const mayUse = (names: readonly string[]) => models.length === 0 || names.some((one) => models.includes(one))
  try {
    return chooseModel(engines, { mayUse }, kind, name).model.id
  } catch (error) {
    if (!(error instanceof HearthError)) throw error
    equal(error.param, 'model')
    return error.code
  }
}

test('a model is found by its id and its other names, on each route that is for it', () => {
  equal(choose('chat', 'talker'), 'talker')
  equal(choose('completions', 'gpt'), 'talker')
  equal(choose('embeddings', 'mv'), 'more-vectors')
})

test('without a name it is the first of the right kind that the key may use', () => {
  equal(choose('embeddings', undefined), 'vectors')
  equal(choose('embeddings', undefined, 'mv'), 'more-vectors')
  equal(choose('embeddings', undefined, 'talker'), 'invalid_request')
  equal(choose('rerank', undefined), 'invalid_request')
})

test('whether a model does other work is told only to a key that may use it', () => {
  equal(choose('chat', 'vectors'), 'wrong_task')
  equal(choose('rerank', 'talker'), 'wrong_task')
  equal(choose('chat', 'vectors', 'talker'), 'model_not_found')
  equal(choose('chat', 'nope'), 'model_not_found')
})

test('without a caller there is no model', () => {
  const choice = (name: string | undefined) => {
    try {
      return chooseModel(engines, undefined, 'embeddings', name).model.id
    } catch (error) {
      return error instanceof HearthError ? error.code : 'none'
    }
  }
  equal(choice('vectors'), 'model_not_found')
  equal(choice(undefined), 'invalid_request')
})
