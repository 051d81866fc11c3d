import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import OpenAI from 'openai'
import { z } from 'zod'
import { callerRoutes } from '../src/routes/routes.data.ts'
import type { FakeEngine } from './fake-engine.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { exchangeRaw, openRaw } from './raw-client.ts'
import { assertError, endPair, model, readEvents, startPair } from './wire.ts'

const origin = 'https://page.example'
const models = [
  { id: 'Org/talker:7b', engine: 'gpu', served: model, aliases: ['gpt-4o'], context: 4096 },
  { id: 'hidden', engine: 'gpu', served: model },
  { id: 'plain-talker', engine: 'plain', served: model },
  { id: 'bge-base', engine: 'gpu', served: model, task: 'embed' },
  { id: 'bge-large', engine: 'gpu', served: model, task: 'embed' },
  { id: 'bge-reranker', engine: 'gpu', served: model, task: 'rerank' },
]
const keys = [
  'test',
  'strict --strict-fields',
  'narrow --models Org/talker:7b,bge-large',
  'talking --models Org/talker:7b',
]
const posts = callerRoutes.filter(({ method }) => method === 'POST').map(({ path }) => path)
const bodies: Readonly<Record<string, object>> = {
  '/v1/chat/completions': { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hello' }] },
  '/v1/completions': { model: 'gpt-4o', prompt: 'Hello' },
  '/v1/embeddings': { model: 'bge-base', input: 'Hello' },
  '/v1/rerank': { model: 'bge-reranker', query: 'Hello', documents: ['Hello', 'Bye'] },
}
const bodyOf = (path: string) => bodies[path] ?? {}

describe('the routes', () => {
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({
      keys,
      sections: { models, cors: { origins: [origin] } },
      engines: ['plain'],
    }))
  })
  after(() => endPair({ engine, gateway }))

  const send = (path: string, body: object | string = bodyOf(path), key = 'test', init: RequestInit = {}) =>
    fetch(gateway.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.keys[key]}`, 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...init,
    })
  const get = (path: string, key = 'test') =>
    fetch(gateway.url + path, { headers: { authorization: `Bearer ${gateway.keys[key]}` } })
  /** The bytes of a GET as they are, which fetch would tidy up. */
  const getRaw = (path: string, key = 'test') =>
    exchangeRaw(gateway.port, { method: 'GET', path, headers: { authorization: `Bearer ${gateway.keys[key]}` } })
  /** The head of the answer alone: to HEAD nothing follows it. */
  const askRaw = async (method: string, path: string) => {
    await using client = await openRaw(gateway.port)
    await client.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    return await client.readHead()
  }
  const nothingReached = async (use: () => Promise<unknown>) => {
    // GET /ready asks the engine for its models, and nothing else of it.
    const work = () => engine.requests.filter(({ method }) => method === 'POST').length
    const before = work()
    await use()
    assert.equal(work(), before, 'a refused request reached the engine')
  }
  const jsonOf = async (answer: Response) => {
    const text = await answer.text()
    assert.equal(answer.status, 200, text)
    return JSON.parse(text)
  }
  const received = async (path: string, body: object, key = 'test') => {
    await jsonOf(await send(path, body, key))
    const last = engine.requests.at(-1)
    assert.equal(last?.path, path)
    return z.record(z.string(), z.unknown()).parse(last?.json)
  }

  describe('all of them', () => {
    it('want a key where the list says so, before anything of the body is read', () =>
      nothingReached(async () => {
        for (const { method, path, key } of callerRoutes) {
          const answer = await fetch(gateway.url + path.replace('{id}', 'hidden'), { method })
          if (key) await assertError(answer, 401, 'missing_api_key')
          else assert.equal(await answer.text().then(() => answer.ok || path === '/ready'), true, path)
        }
      }))

    it('answer their own method only and name it, HEAD and unheard-of methods included', () =>
      nothingReached(async () => {
        for (const { method, path } of callerRoutes) {
          for (const other of ['HEAD', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'TRACE']) {
            if (other === method) continue
            const answer = await askRaw(other, path.replace('{id}', 'gpt-4o'))
            assert.equal(answer.status, 405, `${other} ${path}`)
            assert.equal(answer.headers.find(([name]) => name === 'allow')?.[1], method)
          }
        }
      }))

    it('are found letter by letter: what lies beside them is not there', () =>
      nothingReached(async () => {
        let tried = 0
        for (const { path } of callerRoutes) {
          if (path.includes('{')) continue
          const near = [`${path}/`, `/${path}`, path.toUpperCase(), path.replace('/', '/./'), `${path}%20`, `${path};a`]
          for (const other of [...near, path.replace(/.$/, (last) => `%${last.charCodeAt(0).toString(16)}`)]) {
            assert.equal((await getRaw(other)).head.status, 404, other)
            tried += 1
          }
        }
        for (const path of [
          '/metrics',
          '/v1/responses',
          '/v1/score',
          '/rerank',
          '/v2/rerank',
          '/v1/completions/render',
        ])
          await assertError(await get(path), 404, 'unknown_route')
        console.log(`${tried} paths beside the routes`)
      }))

    it('open themselves to the pages of listed origins, each with its own method', async () => {
      for (const { method, path } of callerRoutes) {
        const headers = { origin, 'access-control-request-method': method }
        const preflight = await fetch(gateway.url + path.replace('{id}', 'any'), { method: 'OPTIONS', headers })
        assert.equal(preflight.status, 204, path)
        assert.equal(preflight.headers.get('access-control-allow-methods'), method)
        assert.equal(preflight.headers.get('access-control-allow-origin'), origin)
      }
    })

    it('count under their names of the list, whatever path was asked for', async () => {
      const answer = await get('/v1/models/SECRET-model-name')
      const id = answer.headers.get('x-request-id')
      await assertError(answer, 404, 'model_not_found')
      const record = await gateway.waitForLog(({ requestId }) => requestId === id, 'the record of the request')
      assert.equal(record['route'], '/v1/models/{id}')
      assert.ok(!JSON.stringify(record).includes('SECRET'))
    })
  })

  describe('models', () => {
    it('are listed for each key as far as it may use them, with what they do', async () => {
      const idsFor = async (key: string) =>
        (await jsonOf(await get('/v1/models', key))).data.map((one: { id: string }) => one.id)
      assert.deepEqual(
        await idsFor('test'),
        models.map(({ id }) => id),
      )
      assert.deepEqual(await idsFor('narrow'), ['Org/talker:7b', 'bge-large'])
      const { data } = await jsonOf(await get('/v1/models', 'narrow'))
      assert.deepEqual([data[0].hearth.task, data[0].hearth.aliases], ['chat', ['gpt-4o']])
      assert.equal(data[1].hearth.task, 'embed')
    })

    it('are shown one by one, by each of their names and however a client writes it', async () => {
      const spellings = ['Org/talker:7b', 'Org%2Ftalker%3A7b', 'Org%2Ftalker:7b', 'gpt-4o', 'gpt-4o?x=1']
      for (const spelling of spellings) {
        const { head, text } = await getRaw(`/v1/models/${spelling}`)
        assert.equal(head.status, 200, spelling)
        const [wanted] = (await jsonOf(await get('/v1/models'))).data
        // The age of what is known of its engine goes on between two questions.
        const { stateAgeMs } = wanted.hearth
        const said = JSON.parse(text)
        assert.deepEqual({ ...said, hearth: { ...said.hearth, stateAgeMs } }, wanted)
      }
      const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 })
      assert.equal((await client.models.retrieve('Org/talker:7b')).id, 'Org/talker:7b')
    })

    it('do not tell whether they exist: hidden and absent ones get one answer, with a key and without', () =>
      nothingReached(async () => {
        const answers = new Set<string>()
        for (const name of ['hidden', 'absent', 'ORG/talker:7b', 'Org/talker:7b/', 'a/b/c', 'Org%2Ftalker']) {
          for (const method of ['GET', 'DELETE']) {
            const path = `/v1/models/${name}`
            const headers = { authorization: `Bearer ${gateway.keys['narrow']}` }
            const { head, text } = await exchangeRaw(gateway.port, { method, path, headers })
            const keyless = await exchangeRaw(gateway.port, { method, path })
            const names = head.headers.map(([header]) => header).join()
            answers.add([method, head.status, keyless.head.status, names, text, keyless.text].join(' '))
          }
        }
        const [get_, delete_, ...more] = [...answers].sort().reverse()
        assert.deepEqual(more, [])
        assert.match(get_ ?? '', /^GET 404 401 .*model_not_found.*missing_api_key/)
        assert.match(delete_ ?? '', /^DELETE 405 405 /)
      }))

    it('are no route where no configuration could give a model that name', () =>
      nothingReached(async () => {
        for (const path of [
          '',
          '..',
          '.%2e/x',
          '/x',
          'Org%2ftalker:7b',
          '%4frg/talker:7b',
          '%00',
          'a;b',
          'a%2e%2e%5Cb',
        ]) {
          for (const answer of [await getRaw(`/v1/models/${path}`), await getRaw(`/v1/models/${path}`, 'none')]) {
            assert.equal(answer.head.status, 404, path)
            assert.match(answer.text, /unknown_route/, path)
          }
        }
      }))
  })

  describe('completions', () => {
    it('answer the openai package plainly and as a stream', async () => {
      const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 })
      const request = { model: 'Org/talker:7b', prompt: 'Once upon a time', max_tokens: 5 }
      const plain = await client.completions.create(request)
      assert.equal(plain.choices[0]?.text, 'Hello from the scripted engine')
      assert.equal(plain.object, 'text_completion')
      let text = ''
      for await (const chunk of await client.completions.create({ ...request, stream: true })) {
        text += chunk.choices[0]?.text ?? ''
      }
      assert.equal(text, 'Hello from the scripted engine')
    })

    it('relay a stream event by event, before the engine has written the next one', async () => {
      engine.script({ on: '/v1/completions', tokens: ['one', 'two', 'three'], stall: { afterEvents: 1 } })
      const answer = await send('/v1/completions', { ...bodyOf('/v1/completions'), stream: true })
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = (await reader?.read())?.value ?? ''
      assert.equal(readEvents(text).data.length, 1, text)
      engine.release()
      for (let piece = await reader?.read(); piece?.done === false; piece = await reader?.read()) text += piece.value
      assert.equal(readEvents(text).data.length, 3)
      assert.equal(readEvents(text).done, true)
    })

    it('end a stream that the engine broke off in one error event and no [DONE]', async () => {
      engine.script({ on: '/v1/completions', tokens: 4, noDone: true })
      const answer = await send('/v1/completions', { ...bodyOf('/v1/completions'), stream: true })
      const { errors, done } = readEvents(await answer.text())
      assert.deepEqual([errors.map((error) => error['code']), done], [['engine_died'], false])
    })

    it('free the engine when the caller leaves', async () => {
      const before = engine.counts().aborts
      engine.script({ on: '/v1/completions', forever: true })
      const leave = new AbortController()
      const body = JSON.stringify({ ...bodyOf('/v1/completions'), stream: true })
      const answer = await send('/v1/completions', body, 'test', { signal: leave.signal })
      await answer.body?.getReader().read()
      leave.abort()
      await engine.waitFor(({ aborts, running }) => aborts === before + 1 && running === 0, 'the engine is told')
    })
  })

  describe('embeddings', () => {
    it('take input, one text or several, and answer in order', async () => {
      const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 })
      const { data } = await client.embeddings.create({ model: 'bge-base', input: ['aaa', 'bbb'], dimensions: 2 })
      assert.deepEqual(
        data.map(({ embedding }) => [...embedding]),
        [
          [97 / 256, 97 / 256],
          [98 / 256, 98 / 256],
        ],
      )
      assert.deepEqual(
        data.map(({ index }) => index),
        [0, 1],
      )
    })

    it('take texts alone, as the first model for vectors that the key may use, and the engine gets input', async () => {
      assert.deepEqual(await received('/v1/embeddings', { texts: ['a', 'b'] }), { model, input: ['a', 'b'] })
      const used = async (key: string) => {
        const answer = await send('/v1/embeddings', { texts: ['a'] }, key)
        await jsonOf(answer)
        const id = answer.headers.get('x-request-id')
        const record = await gateway.waitForLog(({ requestId }) => requestId === id, 'the record of the request')
        return record['model']
      }
      assert.deepEqual([await used('test'), await used('narrow')], ['bge-base', 'bge-large'])
    })

    it('are refused clearly where the key may use no model for them', () =>
      nothingReached(async () => {
        const error = await assertError(
          await send('/v1/embeddings', { texts: ['a'] }, 'talking'),
          400,
          'invalid_request',
        )
        assert.equal(error['param'], 'model')
        assert.match(String(error['message']), /no model for \/v1\/embeddings that this key may use/)
        await assertError(await send('/v1/embeddings', bodyOf('/v1/embeddings'), 'talking'), 404, 'model_not_found')
      }))
  })

  it('rerank puts the documents in order, with and without a model, as texts or as objects', async () => {
    const query = { query: 'warm gpu', documents: ['cats sleep', { text: 'the gpu is warm' }], top_n: 1 }
    for (const body of [query, { ...query, model: 'bge-reranker' }]) {
      const { results } = await jsonOf(await send('/v1/rerank', body))
      assert.deepEqual(
        results.map((one: { index: number }) => one.index),
        [1],
      )
    }
    assert.deepEqual(await received('/v1/rerank', query), {
      model,
      ...query,
      documents: ['cats sleep', 'the gpu is warm'],
    })
  })

  it('a model on a route that is not for it is refused with the route that is', () =>
    nothingReached(async () => {
      const tasks: Readonly<Record<string, string>> = {
        'gpt-4o': '/v1/chat/completions',
        'bge-base': '/v1/embeddings',
        'bge-reranker': '/v1/rerank',
      }
      let refused = 0
      for (const path of posts) {
        for (const [name, right] of Object.entries(tasks)) {
          if (right === path || (name === 'gpt-4o' && path === '/v1/completions')) continue
          const error = await assertError(await send(path, { ...bodyOf(path), model: name }), 400, 'wrong_task')
          assert.equal(error['message'], `The model "${name}" does not answer here. Send it to POST ${right}.`)
          assert.equal(error['param'], 'model')
          refused += 1
        }
      }
      assert.equal(refused, 8)
    }))

  it('a model that the key may not use does not exist, on any route, whatever it does', () =>
    nothingReached(async () => {
      for (const path of posts) {
        const answers = await Promise.all(
          ['hidden', 'bge-reranker', 'absent'].map(async (name) =>
            (await send(path, { ...bodyOf(path), model: name }, 'talking')).text(),
          ),
        )
        assert.equal(new Set(answers).size, 1, path)
        assert.match(answers[0] ?? '', /model_not_found/)
      }
    }))

  it('what the engine says of a wrong request reaches the caller in the one shape, on every route', async () => {
    for (const path of posts) {
      engine.script({ on: path, error: { status: 400, body: 'object', message: 'Too many of them.' } })
      const error = await assertError(await send(path), 400, 'invalid_request')
      assert.equal(error['message'], 'Too many of them.')
      engine.script({ on: path, error: { status: 500, body: 'html' } })
      await assertError(await send(path), 502, 'engine_error')
    }
  })

  describe('a key with strict fields', () => {
    it('has unknown fields refused on every route, where another key has them dropped and named', async () => {
      for (const path of posts) {
        const body = { ...bodyOf(path), wished_for: 1 }
        await nothingReached(async () => {
          const error = await assertError(await send(path, body, 'strict'), 400, 'unknown_field')
          assert.match(String(error['message']), /wished_for/)
        })
        const answer = await send(path, body)
        await jsonOf(answer)
        assert.equal(answer.headers.get('x-hearth-dropped-fields'), 'wished_for')
        assert.ok(!('wished_for' in Object(engine.requests.at(-1)?.json)))
      }
    })
  })

  describe('the salt of the engine’s cache', () => {
    const saltOf = async (path: string, key: string, fields: object = {}) =>
      (await received(path, { ...bodyOf(path), ...fields }, key))['cache_salt']

    it('is one for each key: the same each time, another for another key, and nothing of the key itself', async () => {
      const paths = ['/v1/chat/completions', '/v1/completions']
      const salts = new Map<string, Set<unknown>>()
      for (const key of ['test', 'strict', 'narrow']) {
        const found = new Set<unknown>()
        for (const path of [...paths, ...paths]) found.add(await saltOf(path, key))
        salts.set(key, found)
      }
      const all = [...salts.values()].flatMap((of) => [...of])
      assert.equal(new Set(all).size, 3)
      assert.equal(all.length, 3)
      for (const salt of all) assert.match(String(salt), /^[0-9a-f]{64}$/)
    })

    it('is the same on another instance with the same keys', async () => {
      const salt = await saltOf('/v1/completions', 'narrow')
      const config = {
        engines: [{ name: 'gpu', url: engine.url, kind: 'sglang' }],
        models: [
          { id: 'gpt-4o', engine: 'gpu', served: model },
          { id: 'Org/talker:7b', engine: 'gpu', served: model },
        ],
      }
      const env = { HEARTH_HOST: '127.0.0.1', HEARTH_KEYS_FILE: gateway.keysFile }
      const other = await startGateway({ config, env, keys: [] })
      const headers = { authorization: `Bearer ${gateway.keys['narrow']}` }
      const body = JSON.stringify({ model: 'Org/talker:7b', prompt: 'Hello' })
      await jsonOf(await fetch(`${other.url}/v1/completions`, { method: 'POST', headers, body }))
      assert.equal(Object(engine.requests.at(-1)?.json).cache_salt, salt)
      await assertNothingLeft(other)
    })

    it('cannot be chosen by the caller', () =>
      nothingReached(async () => {
        for (const path of posts) {
          const error = await assertError(
            await send(path, { ...bodyOf(path), cache_salt: 'mine' }),
            400,
            'forbidden_field',
          )
          assert.equal(error['param'], 'cache_salt')
        }
      }))

    it('is told to no engine that does not know it, and not where nothing is cached', async () => {
      assert.equal(await saltOf('/v1/chat/completions', 'test', { model: 'plain-talker' }), undefined)
      assert.equal(await saltOf('/v1/embeddings', 'test'), undefined)
      assert.equal(await saltOf('/v1/rerank', 'test'), undefined)
    })

    it('is in no log and in no answer, not even where the engine repeats what it was sent', async () => {
      const salt = String(await saltOf('/v1/completions', 'test'))
      const message = `1 validation error: {'input': {'cache_salt': '${salt}'}}`
      engine.script({ on: '/v1/completions', error: { status: 400, body: 'object', message } })
      const refused = await (await send('/v1/completions')).text()
      assert.match(refused, /1 validation error/)
      engine.script({ on: '/v1/completions', error: { status: 500, body: 'object', message } })
      const failed = await (await send('/v1/completions')).text()
      const everything = JSON.stringify(gateway.logs()) + gateway.stderr() + refused + failed
      assert.ok(!everything.includes(salt))
    })
  })
})
