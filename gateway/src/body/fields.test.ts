import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HearthError } from '../errors.ts'
import { allowedFields, forbiddenFields } from './chat-fields.data.ts'
import { readFields } from './fields.ts'

function refusedAs(code: string, param?: string, words = /./) {
  return (error: unknown) =>
    error instanceof HearthError && error.code === code && error.param === param && words.test(error.message)
}

test('readFields() finds the model, its bytes, the stream flag and the pictures of a body', () => {
  const part = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }
  const bytes = Buffer.from(
    JSON.stringify({ messages: [{ role: 'user', content: [part, part] }], model: 'a/b', stream: true }),
  )
  const { model, modelSpan, stream, pictures } = readFields(bytes)
  deepEqual([model, stream], ['a/b', true])
  deepEqual(
    pictures.map(({ start, end }) => bytes.toString('utf8', start, end)),
    [part, part].map(({ image_url }) => JSON.stringify(image_url.url)),
  )
  equal(bytes.toString('utf8', modelSpan.start, modelSpan.end), '"a/b"')
})

test('stream that is absent, null or false means a plain answer', () => {
  for (const body of ['{"model":"m"}', '{"model":"m","stream":null}', '{"stream":false,"model":"m"}'])
    equal(readFields(Buffer.from(body)).stream, false, body)
})

test('any model name comes out as it went in, beside any other keys', () => {
  const others = fc.dictionary(
    fc.string().filter((key) => !(allowedFields.has(key) || forbiddenFields.has(key) || key === '__proto__')),
    fc.jsonValue(),
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.boolean(), others, (name, stream, rest) => {
      const { model, stream: read } = readFields(Buffer.from(JSON.stringify({ ...rest, model: name, stream })))
      deepEqual([model, read], [name.toWellFormed(), stream])
    }),
  )
})

test('a body without a model is refused by the name of the field', () => {
  throws(() => readFields(Buffer.from('{}')), refusedAs('invalid_request', 'model', /"model" is missing; wants the id/))
})

test('a model that is no text is refused with its value', () => {
  for (const [body, shown] of [
    ['{"model":7}', /"model" is 7;/],
    ['{"model":null}', /"model" is null;/],
    ['{"model":""}', /"model" is "";/],
    ['{"model":["a"]}', /"model" is \["a"\];/],
  ] as const)
    throws(() => readFields(Buffer.from(body)), refusedAs('invalid_request', 'model', shown), body)
})

test('a stream that is neither true nor false is refused with its value', () => {
  for (const value of ['"true"', '1', '{}', '[]'])
    throws(
      () => readFields(Buffer.from(`{"model":"m","stream":${value}}`)),
      refusedAs('invalid_request', 'stream', /wants true or false/),
      value,
    )
})

test('a long wrong value is cut in the message', () => {
  const body = Buffer.from(JSON.stringify({ model: ['x'.repeat(10_000)] }))
  throws(
    () => readFields(body),
    (error) => error instanceof HearthError && error.message.length < 200,
  )
})

test('what is no JSON is refused as invalid_json', () => {
  for (const body of ['', '{"model":', '[]', '{"model":"a","model":"b"}'])
    throws(() => readFields(Buffer.from(body)), refusedAs('invalid_json'), body)
})

const fieldsOf = (more: object) => readFields(Buffer.from(JSON.stringify({ model: 'm', ...more })))
const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)])

test('fields that reach into the engine are refused by their name', () => {
  for (const name of [...forbiddenFields, 'guided_json', 'guided_anything'])
    throws(() => fieldsOf({ [name]: null }), refusedAs('forbidden_field', name), name)
  throws(
    () => readFields(Buffer.from('{"model":"m","ch\\u0061t_template":"x"}')),
    refusedAs('forbidden_field', 'chat_template'),
  )
})

test('of the template only the two switches may be set, to true or false', () => {
  fieldsOf({ chat_template_kwargs: { enable_thinking: false, thinking: true } })
  fieldsOf({ chat_template_kwargs: null })
  throws(
    () => fieldsOf({ chat_template_kwargs: { chat_template: '{{ x }}' } }),
    refusedAs('forbidden_field', 'chat_template_kwargs.chat_template'),
  )
  throws(
    () => fieldsOf({ chat_template_kwargs: { thinking: 'yes' } }),
    refusedAs('invalid_request', 'chat_template_kwargs.thinking', /wants true or false/),
  )
  throws(() => fieldsOf({ chat_template_kwargs: [] }), refusedAs('invalid_request', 'chat_template_kwargs'))
})

test('values at their bounds pass, and beyond them are refused with what is wanted', () => {
  fieldsOf({ n: 4, stop: ['a', 'b', 'c', 'd'], top_logprobs: 20, tools: nested(32), response_format: null })
  fieldsOf({ n: null, stop: 'a', top_logprobs: 0 })
  for (const [field, value, words] of [
    ['n', 5, /is 5; wants a whole number from 1 to 4/],
    ['n', 0, /wants a whole number/],
    ['n', 1.5, /wants a whole number/],
    ['n', '2', /wants a whole number/],
    ['stop', ['a', 'b', 'c', 'd', 'e'], /at most 4 strings/],
    ['stop', [1], /at most 4 strings/],
    ['top_logprobs', 21, /from 0 to 20/],
    ['tools', nested(33), /at most 32 levels/],
    ['structured_outputs', { json: nested(32) }, /at most 32 levels/],
    ['response_format', { a: 'x'.repeat(64 * 1024) }, /wants at most 65536/],
    ['logit_bias', 'x'.repeat(64 * 1024), /wants at most 65536/],
  ] as const)
    throws(() => fieldsOf({ [field]: value }), refusedAs('invalid_request', field, words), field)
})

test('unknown fields are dropped by name, some silently, and the names fit a header', () => {
  const { dropped, cuts } = fieldsOf({
    ignore_eos: true,
    user: 'me',
    metadata: {},
    store: true,
    service_tier: 'auto',
    x: 1,
  })
  deepEqual(dropped, ['ignore_eos', 'x'])
  equal(cuts.length, 1)
  const strange = fieldsOf({ 'a,b\r\nc é😀': 1, '': 2, ['y'.repeat(100)]: 3 }).dropped
  deepEqual(strange, ['a?b??c????', '?', 'y'.repeat(64)])
  equal(fieldsOf(Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`x${index}`, 1]))).dropped.length, 16)
})
