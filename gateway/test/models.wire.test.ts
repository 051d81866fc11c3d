/** GET /v1/models: from the config, whether or not the home is awake, and nothing of the engines in it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { z } from 'zod'
import { nowMs } from './deadline.ts'
import { startEngine } from './fake-engine.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { startRawUpstream } from './raw-upstream.ts'
import { adminPort, metricOf, summarise } from './watch.ts'
import { chat, chatBody, chatPath, model, withPair } from './wire.ts'

const vision = { coordinates: 'relative-1000', factor: 32, minPixels: 4096, maxPixels: 2_000_000, maxSide: 1280 }
const asks = 100
const modelSchema = z.looseObject({
  created: z.int(),
  hearth: z.looseObject({
    contextTokens: z.int().nullable(),
    vision: z.unknown(),
    state: z.string(),
    stateCode: z.string().nullable(),
    stateAgeMs: z.int().nullable(),
  }),
})

const get = (gateway: Gateway, path: string) =>
  fetch(gateway.url + path, { headers: { authorization: `Bearer ${gateway.key}` } })

async function modelOf(gateway: Gateway, name: string = model) {
  const answer = await get(gateway, `/v1/models/${encodeURIComponent(name)}`)
  assert.equal(answer.status, 200)
  return modelSchema.parse(await answer.json())
}

async function timeOf(gateway: Gateway, path: string): Promise<number> {
  const startedMs = nowMs()
  const answer = await get(gateway, path)
  await answer.text()
  assert.equal(answer.status, 200)
  return nowMs() - startedMs
}

describe('with the home switched off', () => {
  it('the models are answered from the config as quickly as /health, and no engine is dialled', async () => {
    // Takes connections and never says a word.
    await using home = await startRawUpstream(() => undefined)
    const models = Array.from({ length: 20 }, (_, index) => ({
      id: `model-${index}`,
      engine: 'gpu',
      context: 4096,
      vision,
    }))
    const engines = [{ name: 'gpu', url: home.url, kind: 'vllm' }]
    await using gateway = await startGateway({ config: { engines, models, timeouts: { probeMs: 100 } } })
    const [health, list, one]: number[][] = [[], [], []]
    // In turns, so that what else the machine does meets all of them.
    for (let turn = 0; turn < asks; turn += 1) {
      health?.push(await timeOf(gateway, '/health'))
      list?.push(await timeOf(gateway, '/v1/models'))
      one?.push(await timeOf(gateway, '/v1/models/model-7'))
    }
    const admin = await adminPort(gateway)
    const dials = () => metricOf(admin, 'hearth_connect_attempts_total')
    assert.deepEqual([home.connections(), await dials()], [0, 0])
    const [ofHealth, ofList, ofOne] = [summarise(health ?? []), summarise(list ?? []), summarise(one ?? [])]
    for (const { p50 } of [ofList, ofOne]) assert.ok(p50 < Math.max(100, 5 * ofHealth.p50), `${p50} ms`)
    // The same home as one that is asked: this is what an answer that looks would take.
    const asked = await get(gateway, '/ready')
    assert.deepEqual([asked.status, home.connections(), await dials()], [503, 1, 1])
    const { hearth } = await modelOf(gateway, 'model-3')
    assert.deepEqual([hearth.state, hearth.stateCode], ['unreachable', 'engine_timeout'])
    assert.equal(home.connections(), 1)
    const said = ({ p50, max }: typeof ofList) => `p50 ${p50} ms, max ${max} ms`
    console.log(`/health ${said(ofHealth)}; 20 models ${said(ofList)}; one ${said(ofOne)}; 0 of ${2 * asks} dialled`)
    await assertNothingLeft(gateway)
  })
})

describe('a model', () => {
  const modelConfig = { aliases: ['seer', 'eye'], context: 8192, vision, reasoning: 'tags' }

  it('says what it does, how it sees, how much it reads, and is found by each of its names', () =>
    withPair({ modelConfig }, async ({ gateway }) => {
      const { created, ...said } = await modelOf(gateway)
      assert.deepEqual(said, {
        id: model,
        object: 'model',
        owned_by: 'hearth',
        max_model_len: 8192,
        hearth: {
          task: 'chat',
          aliases: ['seer', 'eye'],
          contextTokens: 8192,
          reasoning: 'tags',
          vision,
          state: 'unknown',
          stateCode: null,
          stateAgeMs: null,
        },
      })
      assert.ok(Number.isSafeInteger(created))
      const list = await get(gateway, '/v1/models')
      assert.equal(list.headers.get('cache-control'), 'no-store')
      const { data } = z.object({ data: z.array(modelSchema) }).parse(await list.json())
      assert.deepEqual(data, [{ created, ...said }])
      for (const name of ['seer', 'eye']) assert.deepEqual(await modelOf(gateway, name), data[0])
    }))

  it('without vision and context says null, and has no max_model_len', () =>
    withPair({}, async ({ gateway }) => {
      const said = await modelOf(gateway)
      assert.deepEqual([said.hearth.vision, said.hearth.contextTokens, 'max_model_len' in said], [null, null, false])
    }))

  it('has the state that its last request met, and how long that is ago', () =>
    withPair({}, async ({ engine, gateway }) => {
      const stateOf = async () => {
        const { hearth } = await modelOf(gateway)
        return [hearth.state, hearth.stateCode, Number.isSafeInteger(hearth.stateAgeMs)]
      }
      assert.deepEqual(await stateOf(), ['unknown', null, false])
      const startedMs = nowMs()
      assert.equal((await chat(gateway)).status, 200)
      assert.deepEqual(await stateOf(), ['ready', null, true])
      const { hearth } = await modelOf(gateway)
      assert.ok((hearth.stateAgeMs ?? Number.NaN) <= nowMs() - startedMs, `${hearth.stateAgeMs} ms`)
      engine.script({ cut: { how: 'rst', at: 'head' } })
      assert.equal((await chat(gateway)).status, 502)
      assert.deepEqual(await stateOf(), ['unreachable', 'engine_died', true])
      // What the caller does wrong says nothing about the engine.
      engine.script({ error: { status: 400, body: 'object' } })
      assert.equal((await chat(gateway)).status, 400)
      assert.deepEqual(await stateOf(), ['unreachable', 'engine_died', true])
      assert.equal((await get(gateway, '/v1/models/absent')).status, 404)
      const before = engine.requests.length
      assert.equal((await get(gateway, '/v1/models')).status, 200)
      assert.equal(engine.requests.length, before)
    }))
})

/** Letters that stand in the inner name, url, served name and road of the engine, and nowhere else. */
const inner = /inner-secret|secret-path|SECRETPATH/i

it('no answer, header or description holds the engine’s name, its address or its own name of a model', async () => {
  await using engine = await startEngine({ models: ['/models/secret-path/Qwen.gguf'] })
  const url = engine.url.replace('127.0.0.1', 'localhost')
  await using gateway = await startGateway({
    config: {
      engines: [{ name: 'inner-secret', url, kind: 'vllm' }],
      models: [
        {
          id: 'public',
          engine: 'inner-secret',
          served: '/models/secret-path/Qwen.gguf',
          aliases: ['other'],
          vision: {},
        },
        { id: 'gone', engine: 'inner-secret', served: '/models/secret-path/no-such' },
        { id: 'vectors', engine: 'inner-secret', served: '/models/secret-path/Qwen.gguf', task: 'embed' },
      ],
    },
  })
  const post = (path: string, body: object) => {
    const headers = { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' }
    return fetch(gateway.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
  }
  const talk = (fields: object) => post(chatPath, { ...JSON.parse(chatBody()), model: 'public', ...fields })
  const answers: [what: string, status: number, answer: () => Promise<Response>][] = [
    ['/v1/models', 200, () => get(gateway, '/v1/models')],
    ['/v1/models/{id}', 200, () => get(gateway, '/v1/models/other')],
    ['its inner name', 404, () => get(gateway, '/v1/models/%2Fmodels%2Fno')],
    ['/openapi.json', 200, () => get(gateway, '/openapi.json')],
    ['/docs', 200, () => get(gateway, '/docs')],
    ['/ready', 200, () => get(gateway, '/ready')],
    ['a chat', 200, () => talk({})],
    ['a stream', 200, () => talk({ stream: true, stream_options: { include_usage: true } })],
    ['vectors', 200, () => post('/v1/embeddings', { model: 'vectors', input: 'a' })],
    ['a model that the engine lacks', 502, () => talk({ model: 'gone' })],
    ['a stream of it', 502, () => talk({ model: 'gone', stream: true })],
    ['too long a prompt', 400, () => talk({ messages: [{ role: 'user', content: 'word '.repeat(20_000) }] })],
    ['an unknown model', 404, () => talk({ model: 'absent' })],
  ]
  for (const [what, status, ask] of answers) {
    const answer = await ask()
    const text = await answer.text()
    const all = `${JSON.stringify([...answer.headers])}\n${text}`
    const at = all.search(inner)
    assert.equal(at, -1, `${what}: …${all.slice(Math.max(0, at - 80), at + 80)}…`)
    assert.equal(all.includes(`localhost:${engine.port}`) || all.includes(`:${engine.port}`), false, what)
    assert.equal(answer.status, status, `${what}: ${text.slice(0, 300)}`)
  }
  console.log(`0 of ${answers.length} answers name what is inside`)
  await assertNothingLeft(gateway, engine)
})
