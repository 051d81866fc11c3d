import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import OpenAI from 'openai'
import { type FakeEngine, startEngine } from './fake-engine.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { openRaw } from './raw-client.ts'
import { assertError, chat, chatPath, model } from './wire.ts'

const origin = 'https://page.example'
/** What a browser sends across origins without asking. */
const unasked = new Set(['accept', 'accept-language', 'content-language', 'user-agent'])

describe('CORS', () => {
  let engine: FakeEngine
  let gateway: Gateway
  let closed: Gateway
  before(async () => {
    engine = await startEngine()
    const config = {
      engines: [{ name: 'gpu', url: engine.url, kind: 'vllm' }],
      models: [{ id: model, engine: 'gpu' }],
    }
    const env = { HEARTH_HOST: '127.0.0.1' }
    gateway = await startGateway({ config: { ...config, cors: { origins: [origin] } }, env })
    closed = await startGateway({ config, env })
  })
  after(async () => {
    try {
      await assertNothingLeft(gateway, engine)
      await assertNothingLeft(closed, engine)
    } finally {
      await engine.close()
    }
  })

  const preflight = (at: Gateway, path: string, from = origin) =>
    fetch(at.url + path, { method: 'OPTIONS', headers: { origin: from, 'access-control-request-method': 'POST' } })
  const namesIn = (response: Response, header: string) => (response.headers.get(header) ?? '').split(', ')

  it('lets no page in by default', async () => {
    const refused = await preflight(closed, chatPath)
    await assertError(refused, 405, 'method_not_allowed')
    const answer = await chat(closed, {}, { headers: { authorization: `Bearer ${closed.key}`, origin } })
    assert.equal(answer.status, 200)
    await answer.text()
    const opened = [...refused.headers.keys(), ...answer.headers.keys()].filter((name) =>
      /^access-|^timing-/.test(name),
    )
    assert.deepEqual(opened, [])
  })

  it('allows every header that the OpenAI SDK sends', async () => {
    const sent = new Set<string>()
    const recording: typeof fetch = (input, init) => {
      for (const name of new Headers(init?.headers).keys()) sent.add(name)
      return fetch(input, init)
    }
    const client = new OpenAI({
      baseURL: `${gateway.url}/v1`,
      apiKey: gateway.key,
      organization: 'o',
      project: 'p',
      fetch: recording,
    })
    await client.chat.completions.create({ model, messages: [{ role: 'user', content: 'Say something.' }] })
    await client.chat.completions.stream({ model, messages: [{ role: 'user', content: 'Again.' }] }).finalContent()
    await client.models.list()
    const allowed = new Set(namesIn(await preflight(gateway, chatPath), 'access-control-allow-headers'))
    assert.ok(sent.size >= 10, [...sent].join())
    assert.deepEqual(
      [...sent].filter((name) => !allowed.has(name) && !unasked.has(name)),
      [],
    )
  })

  it('lets pages read what they need to try again, to report and to measure', async () => {
    const answer = await chat(gateway, {}, { headers: { authorization: `Bearer ${gateway.key}`, origin } })
    await answer.text()
    const exposed = namesIn(answer, 'access-control-expose-headers')
    for (const name of ['x-request-id', 'retry-after', 'x-should-retry', 'server-timing', 'x-hearth-error-source'])
      assert.ok(exposed.includes(name), name)
    assert.ok(exposed.includes('x-ratelimit-remaining-tokens'))
    assert.equal(answer.headers.get('timing-allow-origin'), origin)
    assert.equal(answer.headers.get('vary'), 'origin')
  })

  it('answers a preflight for a path that is not there with 404', async () => {
    for (const path of ['/metrics', '/v1', '/v1/responses', '/v1/models/'])
      await assertError(await preflight(gateway, path), 404, 'unknown_route')
  })

  it('takes an origin letter by letter', async () => {
    for (const other of ['null', `${origin}.evil.example`, `${origin}:8443`, 'http://page.example', `${origin}/`]) {
      const answer = await preflight(gateway, chatPath, other)
      await assertError(answer, 405, 'method_not_allowed')
      assert.equal(answer.headers.get('access-control-allow-origin'), null, other)
      assert.equal(answer.headers.get('timing-allow-origin'), null, other)
    }
  })

  it('lets a listed page read why the front door refused it, and no other page', async () => {
    const many = Array.from({ length: 101 }, (_, at) => `X-${at}: 1\r\n`).join('')
    const body = 'Transfer-Encoding: chunked\r\n\r\nzz\r\n'
    const refusals: readonly (readonly [number, string])[] = [
      [431, `${many}\r\n`],
      [400, 'x_y: 1\r\n\r\n'],
      [417, 'Expect: x\r\n\r\n'],
      [400, `Authorization: Bearer ${gateway.key}\r\n${body}`],
    ]
    for (const [status, rest] of refusals)
      for (const [from, opened] of [
        [origin, origin],
        ['https://evil.example', undefined],
        [`${origin}\r\nOrigin: ${origin}`, undefined],
      ]) {
        await using client = await openRaw(gateway.port)
        await client.write(`POST ${chatPath} HTTP/1.1\r\nHost: a\r\nOrigin: ${from}\r\n${rest}`)
        const head = await client.readHead()
        assert.ok(head.status === status || opened === undefined, `${head.status} to ${rest.slice(0, 40)}`)
        assert.equal(head.header('access-control-allow-origin'), opened)
        assert.equal(head.header('vary'), 'origin')
        assert.match(head.header('access-control-expose-headers') ?? '', opened === undefined ? /^$/ : /x-request-id/)
      }
  })
})
