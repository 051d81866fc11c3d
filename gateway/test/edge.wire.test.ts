import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { waitUntil } from './deadline.ts'
import type { FakeEngine } from './fake-engine.ts'
import { png } from './fake-pictures.ts'
import { createKey, type Gateway } from './harness.ts'
import { exchangeRaw, openRaw } from './raw-client.ts'
import { assertError, chat, chatBody, chatPath, endPair, largeBody, model, rawHeaders, startPair } from './wire.ts'

const origin = 'http://127.0.0.1:8501'
const bodyBytesMax = 1024 * 1024

const picture = `data:image/png;base64,${png(8, 8).toString('base64')}`

describe('the edge', () => {
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({
      sections: {
        models: [
          { id: model, engine: 'gpu', context: 4096 },
          { id: 'public-name', engine: 'gpu', served: model, aliases: ['gpt-4o'] },
          { id: 'seer', engine: 'gpu', served: model, vision: {} },
        ],
        cors: { origins: [origin] },
        limits: { bodyBytesMax },
        timeouts: { bodyIdleMs: 300 },
      },
    }))
  })
  after(async () => {
    await endPair({ engine, gateway })
  })

  const withKey = (path: string, init: RequestInit = {}) =>
    fetch(gateway.url + path, { ...init, headers: { authorization: `Bearer ${gateway.key}`, ...init.headers } })
  const nothingReached = async (send: () => Promise<void>) => {
    const before = engine.counts().requests
    await send()
    assert.equal(engine.counts().requests, before, 'a refused request reached the engine')
  }

  it('refuses a request without a key, and one with a wrong key, in the one error shape', () =>
    nothingReached(async () => {
      await assertError(await fetch(`${gateway.url}/v1/models`), 401, 'missing_api_key')
      const wrong = gateway.key.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'))
      await assertError(
        await withKey('/v1/models', { headers: { authorization: `Bearer ${wrong}` } }),
        401,
        'invalid_api_key',
      )
    }))

  it('answers 401 before it has read a byte of the body', async () => {
    await using client = await openRaw(gateway.port)
    await client.write(`POST ${chatPath} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n`)
    const head = await client.readHead()
    assert.equal(head.status, 401)
  })

  it('refuses unknown routes, also those that only normalise to a known one', () =>
    nothingReached(async () => {
      for (const path of ['/', '/v1', '/metrics', '/v1/models/', '/V1/models'])
        await assertError(await withKey(path), 404, 'unknown_route')
      for (const path of [
        '//v1/models',
        '/v1/%6dodels',
        '/v1/./models',
        '/v1/x/../models',
        '/v1%2fmodels',
        '/v1/models%00',
      ]) {
        const { head } = await exchangeRaw(gateway.port, { path, headers: rawHeaders(gateway) })
        assert.equal(head.status, 404, path)
      }
    }))

  it('names the methods of a route in answer to a wrong one', async () => {
    const response = await withKey('/v1/models', { method: 'DELETE' })
    assert.equal(response.headers.get('allow'), 'GET')
    await assertError(response, 405, 'method_not_allowed')
  })

  it('refuses a broken body, a missing model, an unknown model and a stream flag that is none, naming the field', () =>
    nothingReached(async () => {
      await assertError(await chat(gateway, {}, { body: '{"model":' }), 400, 'invalid_json')
      assert.equal(
        (await assertError(await chat(gateway, { model: undefined }), 400, 'invalid_request'))['param'],
        'model',
      )
      assert.equal(
        (await assertError(await chat(gateway, { stream: 'yes' }), 400, 'invalid_request'))['param'],
        'stream',
      )
      assert.equal(
        (await assertError(await chat(gateway, { model: 'gpt-5' }), 404, 'model_not_found'))['param'],
        'model',
      )
    }))

  it('tells a caller that a model reads no pictures, and how to get one that does', () =>
    nothingReached(async () => {
      const content = [{ type: 'image_url', image_url: { url: picture } }]
      const error = await assertError(
        await chat(gateway, { messages: [{ role: 'user', content }] }),
        400,
        'model_has_no_vision',
      )
      assert.match(String(error['message']), /--engine URL/)
    }))

  it('lets a picture pass to a model that reads pictures', async () => {
    const content = [
      { type: 'text', text: 'What is it?' },
      { type: 'image_url', image_url: { url: picture } },
    ]
    engine.script({ tokens: ['a cup'] })
    const response = await chat(gateway, { model: 'seer', messages: [{ role: 'user', content }] })
    assert.equal(response.status, 200, await response.text())
  })

  it('refuses compressed bodies and bodies over the limit, announced or not', () =>
    nothingReached(async () => {
      const encoded = await withKey(chatPath, {
        method: 'POST',
        body: chatBody(),
        headers: { 'content-encoding': 'gzip' },
      })
      await assertError(encoded, 415, 'encoded_body')
      const large = largeBody(bodyBytesMax)
      const announced = await exchangeRaw(gateway.port, { path: chatPath, headers: rawHeaders(gateway), body: large })
      assert.equal(announced.head.status, 413)
      await using client = await openRaw(gateway.port)
      const head = Object.entries(rawHeaders(gateway)).map(([name, value]) => `${name}: ${value}\r\n`)
      await client.write(`POST ${chatPath} HTTP/1.1\r\nHost: x\r\n${head.join('')}Transfer-Encoding: chunked\r\n\r\n`)
      await client.write(`${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`).catch(() => {})
      assert.equal((await client.readHead()).status, 413)
    }))

  it('gives up on a body that stops arriving', async () => {
    await using client = await openRaw(gateway.port)
    const head = Object.entries(rawHeaders(gateway)).map(([name, value]) => `${name}: ${value}\r\n`)
    await client.write(`POST ${chatPath} HTTP/1.1\r\nHost: x\r\n${head.join('')}Content-Length: 100\r\n\r\n{"model":`)
    assert.equal((await client.readHead()).status, 408)
  })

  it('lists its models from the config without asking the engine', () =>
    nothingReached(async () => {
      const body = JSON.parse(await (await withKey('/v1/models')).text())
      assert.deepEqual(
        body.data.map(({ id }: { id: string }) => id),
        [model, 'public-name', 'seer'],
      )
      assert.equal(body.data[0].max_model_len, 4096)
      assert.doesNotMatch(JSON.stringify(body), /127\.0\.0\.1|"served"/)
    }))

  it("renames a model to the engine's own name and changes no other byte", async () => {
    const body = `{ "messages" : [{"role":"user","content":"h\\u00e9llo 😀"}],\n"model":"gpt-4o" }`
    assert.equal((await chat(gateway, {}, { body })).status, 200)
    const { cache_salt: _, ...received } = Object(engine.requests.at(-1)?.json)
    assert.deepEqual(received, JSON.parse(body.replace('gpt-4o', model)))
  })

  it("tells the engine none of the caller's headers", async () => {
    const response = await chat(
      gateway,
      {},
      {
        headers: {
          authorization: `Bearer ${gateway.key}`,
          cookie: 'a=b',
          'x-request-id': 'mine',
          'x-forwarded-for': '1.2.3.4',
          'tailscale-user-login': 'me',
          'x-vllm-priority': '1',
        },
      },
    )
    assert.equal(response.status, 200)
    const { headers } = engine.requests.at(-1) ?? {}
    assert.deepEqual(Object.keys(headers ?? {}).sort(), [
      'accept',
      'accept-encoding',
      'connection',
      'content-length',
      'content-type',
      'host',
      'traceparent',
      'x-request-id',
    ])
    assert.equal(headers?.['x-request-id'], response.headers.get('x-request-id'))
    assert.equal(headers?.['accept-encoding'], 'identity')
  })

  it("passes only listed headers of the engine's answer", async () => {
    engine.script({
      headers: [
        ['server', 'secret/1.0'],
        ['set-cookie', 'a=b'],
        ['x-request-id', 'theirs'],
      ],
    })
    const response = await chat(gateway)
    assert.equal(response.status, 200)
    assert.deepEqual([...response.headers.keys()].sort(), [
      'cache-control',
      'connection',
      'content-length',
      'content-type',
      'date',
      'keep-alive',
      'server-timing',
      'vary',
      'x-content-type-options',
      'x-request-id',
    ])
  })

  it('opens itself to the pages of the listed origins and to no others', async () => {
    const preflight = (from: string) => fetch(gateway.url + chatPath, { method: 'OPTIONS', headers: { origin: from } })
    const allowed = await preflight(origin)
    assert.equal(allowed.status, 204)
    assert.equal(allowed.headers.get('access-control-allow-origin'), origin)
    assert.match(allowed.headers.get('access-control-allow-headers') ?? '', /authorization.*x-stainless-lang/)
    const refused = await preflight('https://evil.example')
    assert.equal(refused.status, 405)
    assert.equal(refused.headers.get('access-control-allow-origin'), null)
    const answer = await withKey('/v1/models', { headers: { origin } })
    assert.match(answer.headers.get('access-control-expose-headers') ?? '', /x-request-id/)
  })

  it('puts CORS headers on streams and errors too', async () => {
    const headers = { authorization: `Bearer ${gateway.key}`, origin }
    const stream = await chat(gateway, { stream: true }, { headers })
    assert.equal(stream.headers.get('access-control-allow-origin'), origin)
    await stream.text()
    const error = await chat(gateway, { model: 'none' }, { headers })
    assert.equal(error.headers.get('access-control-allow-origin'), origin)
    await error.text()
  })

  it('follows the keys file: a new key works, a revoked one stops', async () => {
    const fresh = await createKey('second', gateway.keysFile)
    const statusOf = async () => (await withKey('/v1/models', { headers: { authorization: `Bearer ${fresh}` } })).status
    await waitUntil(async () => (await statusOf()) === 200, 5_000, 'the new key works')
    const cli = process.env['HEARTH_TEST_CLI'] ?? 'gateway/src/cli/main.ts'
    const id = fresh.split('_')[1] ?? ''
    await promisify(execFile)(process.execPath, [cli, 'keys', 'revoke', id], {
      env: { ...process.env, HEARTH_KEYS_FILE: gateway.keysFile },
    })
    await waitUntil(async () => (await statusOf()) === 401, 5_000, 'the revoked key stops')
    assert.equal((await withKey('/v1/models')).status, 200)
  })

  it('writes one record a request, and in it neither key nor words', async () => {
    const canary = 'canary-5f1c'
    const response = await chat(gateway, { messages: [{ role: 'user', content: canary }] })
    const id = response.headers.get('x-request-id')
    await response.text()
    const record = await gateway.waitForLog(({ requestId }) => requestId === id, 'the record of the request')
    assert.equal(record['outcome'], 'ok')
    assert.equal(record['model'], model)
    assert.equal(typeof record['firstByteMs'], 'number')
    assert.equal(gateway.logs().filter(({ requestId }) => requestId === id).length, 1)
    const everything = JSON.stringify(gateway.logs())
    for (const secret of [canary, gateway.key, gateway.key.split('_')[2] ?? 'none'])
      assert.ok(!everything.includes(secret))
  })

  it('says ready when the engine answers through the road, and why not when it does not', async () => {
    const ready = await fetch(`${gateway.url}/ready`)
    assert.equal(ready.status, 200, await ready.text())
  })
})
