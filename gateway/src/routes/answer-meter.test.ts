import { deepEqual, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../config.ts'
import { HearthError } from '../errors.ts'
import { MeshStatus } from '../mesh/status.ts'
import type { AnswerEnd } from '../metrics/answers.ts'
import { Catalog } from '../metrics/catalog.ts'
import { createMeters } from '../metrics.ts'
import { createEngines, type ModelRoute } from '../routing/engines.ts'
import type { RelayOutcome } from '../upstream/relay.ts'
import { meterAnswer } from './answer-meter.ts'

const config = loadConfig({
  HEARTH_KEYS_FILE: 'keys.json',
  HEARTH_CONFIG_YAML: `
engines: [{ name: gpu, url: 'http://gpu', kind: vllm }]
models: [{ id: talker, engine: gpu, aliases: [gpt] }]
`,
})
const usage = { promptTokens: 3, completionTokens: 9, cachedTokens: undefined, estimated: false }
const whole: RelayOutcome = {
  status: 200,
  bytesOut: 70,
  firstByteMs: 5,
  firstTokenMs: 20,
  usage,
  finishReason: 'stop',
  error: undefined,
}

/** What is counted of one answer by the alias of a model, which waited 100 ms and took a second. */
async function meter(answer: () => Promise<RelayOutcome>, request: { begunEarly?: boolean; left?: boolean } = {}) {
  let now = 0
  const answers: AnswerEnd[] = []
  const aborts: string[] = []
  const status = new MeshStatus({ url: undefined, now: () => now })
  const none = createMeters(new Catalog())
  const meters = {
    ...none,
    answer: (end: AnswerEnd) => void answers.push(end),
    abort: (code: string) => void aborts.push(code),
  }
  const route = createEngines(config, { status, meters: none, now: () => now }).find('gpt') as ModelRoute
  const abort = new AbortController()
  if (request.left === true) abort.abort(new HearthError('client_gone'))
  const state = { abort, timing: { queueMs: 100 }, stream: { begunEarly: request.begunEarly === true } }
  const done = meterAnswer({ meters, now: () => now }, { kind: 'completions', route, pictures: 2 }, state, async () => {
    now += 1_000
    return await answer()
  })
  const outcome = await done.catch((error: unknown) => error)
  return { outcome, answers, aborts, done }
}

test('an answer is counted once, by the id of its model and not by what the caller called it', async () => {
  const { outcome, answers, aborts } = await meter(async () => whole)
  deepEqual(outcome, whole)
  const of = { engine: 'gpu', model: 'talker', operation: 'text_completion', pictures: 2 }
  deepEqual(answers, [{ ...of, code: 'ok', ms: 1_000, firstTokenMs: 120, bytesOut: 70, usage }])
  deepEqual(aborts, [])
})

test('one that was cut behind its head is metered as far as it came, and counted as an abort', async () => {
  const { answers, aborts } = await meter(async () => ({ ...whole, error: new HearthError('engine_died') }))
  deepEqual(
    answers.map((end) => [end.code, end.bytesOut, end.usage]),
    [['engine_died', 70, usage]],
  )
  deepEqual(aborts, ['engine_died'])
})

test('one whose caller left is an abort of its request, and not counted twice', async () => {
  const { answers, aborts } = await meter(async () => ({ ...whole, error: new HearthError('client_gone') }), {
    left: true,
  })
  deepEqual([answers.map(({ code }) => code), aborts], [['client_gone'], []])
})

test('a failure before the head is an answer of its code and no abort, but for a stream that had begun', async () => {
  const fail = () => Promise.reject(new HearthError('engine_error'))
  const refused = await meter(fail)
  await rejects(refused.done, HearthError)
  const [end] = refused.answers
  deepEqual(
    [end?.code, end?.ms, end?.bytesOut, end?.firstTokenMs, end?.usage],
    ['engine_error', 1_000, 0, undefined, undefined],
  )
  deepEqual(refused.aborts, [])
  deepEqual((await meter(fail, { begunEarly: true })).aborts, ['engine_error'])
  deepEqual((await meter(fail, { begunEarly: true, left: true })).aborts, [])
})
