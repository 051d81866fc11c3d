import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { ApiDocument } from '../src/routes/openapi.ts'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { findMisfits, type Resolve } from './json-schema-check.ts'
import { endPair, model, startPair } from './wire.ts'

const origin = 'https://page.example'
const models = [
  { id: 'private-talker', engine: 'inner-engine', served: model },
  { id: 'private-vectors', engine: 'inner-engine', served: model, task: 'embed' },
  { id: 'private-judge', engine: 'inner-engine', served: model, task: 'rerank' },
]

describe('the description of the API', () => {
  let engine: FakeEngine
  let gateway: Gateway
  let document: ApiDocument
  let page: string
  before(async () => {
    ;({ engine, gateway } = await startPair({
      keys: ['private-key'],
      engineConfig: { name: 'inner-engine' },
      sections: { models, cors: { origins: [origin] } },
    }))
    document = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as ApiDocument
    page = await (await fetch(`${gateway.url}/docs`)).text()
  })
  after(() => endPair({ engine, gateway }))

  const resolve: Resolve = (reference) => document.components.schemas[reference.split('/').at(-1) ?? ''] ?? {}
  const operations = () =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
    )
  const ask = (path: string, method: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json', origin }
    return fetch(gateway.url + path.replace('{id}', 'private-talker'), {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body).replace('MODEL', 'private-talker') }),
    })
  }

  it('is open to everybody, as JSON and as a page, and cannot be taken for anything else', async () => {
    for (const [path, type] of [
      ['/openapi.json', 'application/json; charset=utf-8'],
      ['/docs', 'text/html; charset=utf-8'],
    ]) {
      const answer = await fetch(gateway.url + path)
      assert.equal(answer.status, 200)
      assert.equal(answer.headers.get('content-type'), type)
      assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
      await answer.text()
    }
  })

  it('names no engine, address, model or key', () => {
    for (const text of [JSON.stringify(document), page])
      for (const inner of [
        'inner-engine',
        'private',
        model,
        '127.0.0.1',
        'localhost',
        String(engine.port),
        gateway.key,
      ])
        assert.ok(!text.includes(inner), inner)
  })

  it('is a page that runs nothing, loads nothing and links to nothing but itself', async () => {
    const { headers } = await fetch(`${gateway.url}/docs`)
    const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? ''
    const hash = createHash('sha256').update(style).digest('base64')
    assert.equal(
      headers.get('content-security-policy'),
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    )
    assert.equal(headers.get('referrer-policy'), 'no-referrer')
    assert.doesNotMatch(
      page,
      /<script|<link|<img|<iframe|<base|<form|\s(on\w+|style|src|srcset)=|url\(|@import|https?:/i,
    )
    const links = [...page.matchAll(/href="([^"]*)"/g)].map((found) => found[1] ?? '')
    const ids = new Set([...page.matchAll(/ id="([^"]*)"/g)].map((found) => `#${found[1]}`))
    assert.ok(links.length > 100)
    assert.deepEqual(
      links.filter((link) => link !== '/openapi.json' && !ids.has(link)),
      [],
    )
  })

  it('has examples that work, and each answer is of the shape that is described', async () => {
    for (const { path, method, operation } of operations()) {
      const answer = await ask(path, method, operation.requestBody?.content['application/json']?.example)
      const text = await answer.text()
      assert.equal(answer.status, 200, `${path}: ${text}`)
      const { content = {}, headers = {} } = operation.responses['200'] ?? {}
      const type = answer.headers.get('content-type')?.split(';')[0] ?? ''
      const schema = content[type]?.schema
      assert.ok(schema, `${path}: ${type}`)
      if (type === 'application/json') assert.deepEqual(findMisfits(schema, JSON.parse(text), resolve), [], path)
      for (const name of Object.keys(headers))
        assert.ok(answer.headers.has(name) || name === 'x-hearth-dropped-fields', `${path}: ${name}`)
    }
  })

  it('describes the chunks of a stream, and what stands between them', async () => {
    let chunks = 0
    for (const { path, method, operation } of operations()) {
      const stream = operation.responses['200']?.content?.['text/event-stream']
      if (stream === undefined) continue
      const example = operation.requestBody?.content['application/json']?.example
      const body = { ...Object(example), stream: true, stream_options: { include_usage: true } }
      const answer = await ask(path, method, body)
      for (const event of (await answer.text()).split('\n\n').filter((text) => text.startsWith('data: {'))) {
        assert.deepEqual(findMisfits(stream.schema, JSON.parse(event.slice(6)), resolve), [], `${path}: ${event}`)
        chunks += 1
      }
      for (const word of ['[DONE]', 'comment', 'heartbeat', 'event: error', 'server-timing'])
        assert.ok(resolve(stream.schema.$ref ?? '').description?.includes(word), word)
    }
    assert.ok(chunks > 4, String(chunks))
  })

  it('describes the errors that come, status by status', async () => {
    const wrong = { model: 'private-talker', nonsense: 1 }
    for (const { path, method, operation } of operations()) {
      if (operation.security.length === 0) continue
      const keyless = await fetch(gateway.url + path.replace('{id}', 'any'), { method })
      const answers = [keyless, ...(method === 'POST' ? [await ask(path, method, wrong)] : [])]
      for (const answer of answers) {
        const { content = {}, headers = {} } = operation.responses[answer.status] ?? {}
        const schema = content['application/json']?.schema
        assert.ok(schema, `${path}: ${answer.status}`)
        assert.deepEqual(findMisfits(schema, await answer.json(), resolve), [], path)
        for (const name of Object.keys(headers)) assert.ok(answer.headers.has(name), `${path}: ${name}`)
      }
    }
  })

  it('names no header that a page of another origin could not read', async () => {
    const answer = await ask('/v1/models', 'GET')
    await answer.text()
    const exposed = (answer.headers.get('access-control-expose-headers') ?? '').split(', ')
    assert.deepEqual(
      Object.keys(document.components.headers).filter((name) => !exposed.includes(name)),
      [],
    )
  })
})
