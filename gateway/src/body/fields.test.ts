import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HearthError } from '../errors.ts'
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
  deepEqual([model, stream, pictures], ['a/b', true, 2])
  equal(bytes.toString('utf8', modelSpan.start, modelSpan.end), '"a/b"')
})

test('stream that is absent, null or false means a plain answer', () => {
  for (const body of ['{"model":"m"}', '{"model":"m","stream":null}', '{"stream":false,"model":"m"}'])
    equal(readFields(Buffer.from(body)).stream, false, body)
})

test('any model name comes out as it went in, beside any other keys', () => {
  const others = fc.dictionary(
    fc.string().filter((key) => !['model', 'stream', '__proto__'].includes(key)),
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
