import assert from 'node:assert/strict'
import { it } from 'node:test'
import { readPageConfig } from './config.ts'

const pageUrl = 'https://page.example/ui/'
const read = (body: unknown, status = 200) =>
  readPageConfig(() => Promise.resolve(new Response(JSON.stringify(body), { status })), pageUrl)

it('the first address is the default, and the origins of all may be called', async () => {
  const config = await read({ apiBaseUrls: ['https://a.example', 'http://b.example:8080/v1'], defaultModel: 'small' })
  assert.deepEqual(config, {
    baseUrl: 'https://a.example/v1',
    defaultModel: 'small',
    allowedOrigins: ['https://a.example', 'http://b.example:8080'],
  })
})

it('* allows any address and is none itself', async () => {
  assert.deepEqual(await read({ apiBaseUrls: ['*'] }), {
    baseUrl: 'https://page.example/v1',
    defaultModel: '',
    allowedOrigins: undefined,
  })
  assert.equal((await read({ apiBaseUrls: ['*', 'https://a.example'] })).baseUrl, 'https://a.example/v1')
})

it('without a config the page talks to the server it came from', async () => {
  const own = { baseUrl: 'https://page.example/v1', defaultModel: '', allowedOrigins: undefined }
  assert.deepEqual(await read({}, 404), own)
  assert.deepEqual(await readPageConfig(() => Promise.reject(new TypeError('x')), pageUrl), own)
})
