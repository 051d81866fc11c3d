import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type ApiOptions, createApi, normalizeBaseUrl } from './api.ts'
import { ApiError, type FailureKind } from './failure.ts'

it('a base URL is completed by /v1 where it has no path, and keeps the path it has', () => {
  assert.equal(normalizeBaseUrl(' http://127.0.0.1:8080 '), 'http://127.0.0.1:8080/v1')
  assert.equal(normalizeBaseUrl('https://host.example/v1/'), 'https://host.example/v1')
  assert.equal(normalizeBaseUrl('https://host.example/openai/v1'), 'https://host.example/openai/v1')
  assert.equal(normalizeBaseUrl('host.example'), 'https://host.example/v1')
  for (const bad of ['', 'ftp://host.example', 'javascript:alert(1)', 'http://']) {
    assert.equal(normalizeBaseUrl(bad), undefined, bad)
  }
})

it('a failed call is told apart by what else is known', async () => {
  const probeAnswers = (answers: boolean) => (url: unknown, init?: RequestInit) =>
    answers && init?.mode === 'no-cors'
      ? Promise.resolve(new Response(String(url)))
      : Promise.reject(new TypeError('x'))
  const kindOf = async (baseUrl: string, options: Partial<ApiOptions>): Promise<FailureKind | undefined> => {
    const api = createApi({
      fetch: probeAnswers(false),
      pageUrl: 'https://page.example/',
      allowedOrigins: undefined,
      isOnline: () => true,
      ...options,
    })
    const error = await api
      .listModels({ baseUrl, key: '' }, AbortSignal.timeout(5000))
      .catch((thrown: unknown) => thrown)
    return error instanceof ApiError ? error.failure.kind : undefined
  }
  const url = 'https://gateway.example/v1'
  assert.equal(await kindOf(url, {}), 'unreachable')
  assert.equal(await kindOf(url, { fetch: probeAnswers(true) }), 'cors')
  assert.equal(await kindOf(url, { isOnline: () => false }), 'offline')
  assert.equal(await kindOf('http://127.0.0.1:1', { isOnline: () => false }), 'unreachable')
  assert.equal(await kindOf('http://gateway.example', {}), 'mixed_content')
  assert.equal(await kindOf(url, { allowedOrigins: ['https://other.example'] }), 'blocked_by_page')
  assert.equal(
    await kindOf('https://page.example/v1', { allowedOrigins: [], fetch: probeAnswers(true) }),
    'unreachable',
  )
  assert.equal(await kindOf('::', {}), 'bad_address')
})

it('a refusal without a key says that one is missing, not that it is wrong', async () => {
  const api = createApi({
    fetch: () => Promise.resolve(new Response('{"error":{"code":"missing_api_key"}}', { status: 401 })),
    pageUrl: 'https://page.example/',
    allowedOrigins: undefined,
    isOnline: () => true,
  })
  const kindWith = (key: string) =>
    api
      .listModels({ baseUrl: 'https://gateway.example', key }, AbortSignal.timeout(5000))
      .catch((error: unknown) => (error instanceof ApiError ? error.failure.kind : error))
  assert.equal(await kindWith(''), 'key_missing')
  assert.equal(await kindWith('hk_1'), 'key_rejected')
})

it('models that do other work than chatting are not offered; of servers that do not say, all are', async () => {
  const data = [
    { id: 'talker', hearth: { task: 'chat' } },
    { id: 'vectors', hearth: { task: 'embed' } },
    { id: 'judge', hearth: { task: 'rerank' } },
    { id: 'of another server' },
  ]
  const api = createApi({
    fetch: () => Promise.resolve(Response.json({ object: 'list', data })),
    pageUrl: 'https://page.example/',
    allowedOrigins: undefined,
    isOnline: () => true,
  })
  const ids = await api.listModels({ baseUrl: 'https://gateway.example', key: '' }, AbortSignal.timeout(5000))
  assert.deepEqual(ids, ['talker', 'of another server'])
})
