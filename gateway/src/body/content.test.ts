import { deepEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { HearthError } from '../errors.ts'
import { readFields } from './fields.ts'
import { parseSpan, unsupportedContent } from './scan.ts'

const picture = 'data:image/png;base64,AAAA'

function picturesOf(...content: readonly unknown[]): readonly string[] {
  const bytes = Buffer.from(JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] }))
  return readFields(bytes).pictures.map((span) => String(parseSpan(bytes, span)))
}

function refusedAs(code: string, words = /./) {
  return (error: unknown) =>
    error instanceof HearthError && error.code === code && error.param === 'messages' && words.test(error.message)
}

test('a picture is found as a string and as an object with a url, at any depth', () => {
  deepEqual(picturesOf({ type: 'input_image', image_url: picture }), [picture])
  deepEqual(picturesOf({ image_url: { detail: 'low', url: picture } }, { input_image: { url: `${picture}BB` } }), [
    picture,
    `${picture}BB`,
  ])
  deepEqual(picturesOf({ type: 'text', text: [[{ image_url: picture }]] }), [picture])
})

test('a picture whose url is written with escapes is one all the same', () => {
  for (const url of ['data:image\\/png;base64,AA\\/A', '\\u0064ata:\\u0069mage\\u002fpng;base64,AAAA']) {
    const text = `{"model":"m","messages":[{"image_url":"${url}"}]}`
    deepEqual(
      readFields(Buffer.from(text)).pictures.map(({ start, end }) => text.slice(start, end)),
      [`"${url}"`],
    )
  }
  for (const url of ['da\\ta:image/png;base64,AAAA', '\\u0068ttp://x/'])
    throws(
      () => readFields(Buffer.from(`{"model":"m","messages":[{"image_url":"${url}"}]}`)),
      refusedAs('remote_picture'),
    )
})

test('words about pictures, and schemas of tools, are no pictures', () => {
  deepEqual(picturesOf({ type: 'text', text: '"image_url": "http://x"' }), [])
  const tools = [{ type: 'function', function: { parameters: { properties: { image_url: { type: 'string' } } } } }]
  deepEqual(readFields(Buffer.from(JSON.stringify({ model: 'm', tools }))).pictures, [])
})

test('a picture without one url that is a string is refused', () => {
  for (const value of [
    null,
    7,
    [],
    [picture],
    {},
    { url: null },
    { url: { url: picture } },
    { inner: { url: picture } },
  ])
    throws(() => picturesOf({ image_url: value }), refusedAs('invalid_request', /wants one url/), JSON.stringify(value))
  const twice = `{"model":"m","messages":[{"image_url":{"url":"${picture}","url":"http://x"}}]}`
  throws(() => readFields(Buffer.from(twice)), refusedAs('invalid_request', /wants one url/))
})

test('a url that is not a picture in itself is refused with how to send one', () => {
  for (const url of [
    'http://169.254.169.254/latest',
    'https://x/y.png',
    'file:///etc/passwd',
    ' data:image/png;base64,AAAA',
    'DATA:image/png;base64,AAAA',
    'data:text/html,x',
    'data:',
    '',
  ]) {
    throws(
      () => picturesOf({ type: 'image_url', image_url: { url } }),
      refusedAs('remote_picture', /data:image\/png/),
      url,
    )
    throws(() => picturesOf({ type: 'text', text: 'x' }, { image_url: url }), refusedAs('remote_picture'), url)
  }
})

test('parts other than texts and pictures are refused by their key and by their type', () => {
  for (const name of unsupportedContent) {
    throws(() => picturesOf({ [name]: 'x' }), refusedAs('unsupported_content', new RegExp(name)), name)
    throws(() => picturesOf({ type: name }), refusedAs('unsupported_content', new RegExp(name)), name)
  }
  for (const type of ['hologram', 'x'.repeat(100), 7, null])
    throws(() => picturesOf({ type }), refusedAs('unsupported_content'), String(type))
  const escaped = '{"model":"m","messages":[{"content":[{"type":"video\\u005furl"}]}]}'
  throws(() => readFields(Buffer.from(escaped)), refusedAs('unsupported_content', /video_url/))
})
