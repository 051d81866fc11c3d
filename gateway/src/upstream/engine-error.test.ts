import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { captureOf, loadCaptures } from '../../test/fake-captures.ts'
import { errorBody, errorTable, HearthError } from '../errors.ts'
import { fromEngine } from './engine-error.ts'

const captures = await loadCaptures()

function captured(name: string): HearthError {
  const { status, headers, body } = captureOf(captures, name)
  const contentType = headers.find(([header]) => header.toLowerCase() === 'content-type')?.[1] ?? ''
  return fromEngine({ status, contentType, body: Buffer.from(body) })
}

function said(status: number, document: unknown, contentType = 'application/json'): HearthError {
  const text = typeof document === 'string' ? document : JSON.stringify(document)
  return fromEngine({ status, contentType, body: Buffer.from(text) })
}

test('what a real engine says of a bad request keeps its words and its field', () => {
  const error = captured('err-temperature')
  const { message, param } = JSON.parse(captureOf(captures, 'err-temperature').body).error
  deepEqual([error.code, error.message, error.param ?? null], ['invalid_request', message, param])
})

test('a real conversation that is too long is context_length_exceeded, with the numbers', () => {
  const error = captured('err-too-long')
  deepEqual([error.code, error.param], ['context_length_exceeded', 'input_tokens'])
  match(error.message, /maximum context length is 4096 tokens/)
})

test('every captured 400 of a real engine is the fault of the caller, and none is lost to the table text', () => {
  for (const [name, { status }] of captures) {
    if (status !== 400) continue
    const error = captured(name)
    equal(error.status, 400, name)
    ok(error.message !== errorTable.invalid_request.text, name)
  }
})

test('the other wordings of "too long" are context_length_exceeded as well', () => {
  for (const message of [
    'the request exceeds the available context size, try increasing it',
    'request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it',
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    'The decoder prompt (length 5000) is longer than the maximum model length of 4096.',
    "Requested token count exceeds the model's maximum context length of 4096 tokens.",
    'Input length (5000 tokens) exceeds the maximum allowed length (4096 tokens).',
  ])
    equal(said(400, { error: { message } }).code, 'context_length_exceeded', message)
})

test('a bad request that merely speaks of a context is not too long', () => {
  for (const message of ['context must be a list', 'The picture exceeds the size of 10 MB', 'Input is empty'])
    equal(said(400, { error: { message } }).code, 'invalid_request', message)
})

test('a real engine whose queue is full is queue_full', () => {
  const text = readFileSync(new URL('../../test/fixtures/vllm/err-queue-full.txt', import.meta.url), 'utf8')
  const body = /'(\{"error".*?\}\})'/.exec(text)?.[1] ?? ''
  match(body, /currently busy/)
  equal(said(503, body).code, 'queue_full')
  equal(said(429, { error: { message: 'slow down' } }).code, 'queue_full')
})

test('an ingress that speaks for a missing engine is engine_unreachable', () => {
  for (const status of [404, 502, 503, 504]) equal(said(status, 'Bad Gateway', 'text/plain').code, 'engine_unreachable')
})

test('an engine that is still loading is engine_unreachable', () => {
  equal(said(503, { error: { message: 'Loading model', type: 'unavailable_error' } }).code, 'engine_unreachable')
})

test('every other failure of an engine is engine_error, with what it is about in the log alone', () => {
  for (const status of [404, 409, 500, 501, 502, 507]) {
    const error = said(status, { error: { message: 'CUDA error on node gpu-7.home.internal' } })
    deepEqual([error.code, error.message], ['engine_error', errorTable.engine_error.text], String(status))
    match(error.detail ?? '', new RegExp(`^The engine answered ${status} with \\d+ bytes \\(CUDA\\)$`))
    equal(errorBody(error).includes('gpu-7'), false)
  }
})

test('the three shapes of an error body are read', () => {
  for (const document of [
    { error: { message: 'so it is' } },
    { error: 'so it is' },
    { detail: 'so it is' },
    { message: 'so it is' },
  ])
    equal(said(422, document).message, 'so it is', JSON.stringify(document))
})

test('a body that cannot be read gives the words of the table', () => {
  for (const body of ['', '<html>', '{"error":{"mess', 'null', '[]', '{"error":{"message":7}}'])
    deepEqual(
      [said(400, body).code, said(400, body).message],
      ['invalid_request', errorTable.invalid_request.text],
      body,
    )
})

test('a picture that the engine echoes reaches neither the caller nor the log', () => {
  const picture = 'iVBORw0KGgo'.repeat(500)
  for (const document of [
    { error: { message: `cannot load data:image/png;base64,${picture} as PNG` } },
    `<p>${picture}</p>`,
  ]) {
    const error = said(400, document)
    equal(/(iVBORw0KGgo){3}/.test(error.message + error.detail), false)
  }
  equal(said(400, { error: { message: `a ${picture} b` } }).message, 'a … b')
})

test('a long message is cut to 2048 characters for the caller, and none of it reaches the log', () => {
  const error = said(400, { error: { message: 'so long '.repeat(10_000) } })
  equal(error.message.length, 2048)
  equal(error.detail?.includes('so long'), false)
})

test('of a failure inside, the words reach neither the caller nor the log, which says what they are about', () => {
  const error = said(500, { error: { message: `${'CUDA out of memory: so long '.repeat(10_000)}` } })
  match(error.detail ?? '', /^The engine answered 500 with \d+ bytes \(out of memory, CUDA\)$/)
  equal(error.message, errorTable.engine_error.text)
})

test("FastAPI's list of problems becomes one text without the values it echoes", () => {
  const detail = [{ loc: ['body', 'messages'], msg: 'Field required', input: { secret: 'prompt' } }]
  equal(said(422, { detail }).message, 'body.messages: Field required')
})

test('whatever an engine answers becomes an error of the table, marked as the engine’s own', () => {
  const bodies = fc.oneof(
    fc.json(),
    fc.string(),
    fc.jsonValue().map((value) => JSON.stringify({ error: value })),
  )
  fc.assert(
    fc.property(
      fc.integer({ min: 400, max: 599 }),
      fc.constantFrom('application/json', 'text/html', ''),
      bodies,
      (...args) => {
        const [status, contentType, text] = args
        const error = fromEngine({ status, contentType, body: Buffer.from(text) })
        ok(error instanceof HearthError && error.code in errorTable)
        equal(error.source, 'engine')
      },
    ),
  )
})

test('a message that almost matches, thousands of times, is judged in no time', () => {
  const message = 'exceeds the available '.repeat(3000)
  const startedAt = performance.now()
  equal(said(400, { error: { message } }).code, 'invalid_request')
  ok(performance.now() - startedAt < 200, `${performance.now() - startedAt} ms`)
})

test('a 400 that nests without end, or brings its own way to become a text, is still one of the caller', () => {
  const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`
  const own = '{"toString":1,"valueOf":{"a":1}}'
  for (const text of [
    `{"detail":[{"loc":${deep},"msg":${deep}}]}`,
    `{"detail":[{"loc":["body",${own}],"msg":${own}}]}`,
    `{"error":{"message":${deep},"param":${deep}}}`,
    `{"error":${own}}`,
    deep,
  ])
    equal(said(400, text).code, 'invalid_request', text.slice(0, 60))
})

test('words of the inside do not reach the caller, nor does a field that is none', () => {
  for (const message of [
    'Cannot connect to host 192.168.1.20:8000',
    'http://vllm.tail1234.ts.net refused',
    'no route to fd7a:115c::1',
    'Traceback (most recent call last):',
    'File "/app/vllm/entrypoints/api.py", line 3',
    'Error: x at /srv/app/node_modules/x.js:1:2',
    'gpu-7.home.internal is gone',
  ])
    equal(said(400, { error: { message } }).message, errorTable.invalid_request.text, message)
  equal(said(400, { error: { message: 'no', param: 'messages[0].content' } }).param, 'messages[0].content')
  equal(said(400, { error: { message: 'no', param: 'x'.repeat(200) } }).param, undefined)
  equal(said(400, { error: { message: 'no', param: '<b>' } }).param, undefined)
})
