import { deepEqual, equal, ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Capture, loadCaptures } from '../../test/fake-captures.ts'
import { type ErrorCode, errorBody, errorHeaders, errorTable, type HearthError } from '../errors.ts'
import { fromEngine, fromErrorEvent } from './engine-error.ts'

/** One error as an engine says it, and what must come of it. */
interface ErrorCase {
  readonly status: number
  readonly contentType?: string
  readonly inStream?: boolean
  readonly body: unknown
  readonly code: ErrorCode
  readonly says?: string
  readonly hides?: string
  readonly param?: string
}

const folder = join(import.meta.dirname, '../../test/fixtures/engine-errors')
const names = { model: 'public', served: '/models/inner' }
const captures = await loadCaptures()

/** What becomes of each captured refusal of vLLM 0.32; the words that the caller reads are in it. */
const ofCapture: Readonly<Record<string, readonly [ErrorCode, string?]>> = {
  'err-aspect': ['invalid_request', 'Failed to apply Qwen2_5_VLProcessor'],
  'err-bad-base64': ['invalid_request', 'Non-base64 digit found'],
  'err-bad-image': ['invalid_request', 'cannot identify image file'],
  'err-bad-json': ['invalid_request', 'body.15: JSON decode error'],
  'err-chat-template': ['invalid_request', 'Chat template is passed with request'],
  'err-embeddings': ['engine_error'],
  'err-empty-messages': ['invalid_request', 'Provide at least one message.'],
  'err-file-image': ['engine_error'],
  'err-greedy-n': ['invalid_request', 'n must be 1 when using greedy sampling, got 2.'],
  'err-http-image': ['engine_error'],
  'err-image-too-long': ['context_length_exceeded', 'Input length (15326) exceeds'],
  'err-json-schema-bad': ['invalid_request', 'Invalid type: nosuch'],
  'err-max-tokens-0': ['invalid_request', 'max_tokens must be at least 1, got 0.'],
  'err-max-tokens-too-big': ['invalid_request', 'max_model_len=4096'],
  'err-messages-type': ['invalid_request', 'body.messages: Input should be a valid list'],
  'err-method': ['engine_error'],
  'err-missing-messages': ['invalid_request', 'body.messages: Field required'],
  'err-n-0': ['invalid_request', 'n must be at least 1, got 0.'],
  'err-n-20000': ['invalid_request', 'n must be at most 16384'],
  'err-no-body': ['invalid_request', 'body: Field required'],
  'err-stop-5': ['invalid_request', 'List should have at most 4 items after validation, not 5'],
  'err-stream-options-without-stream': ['invalid_request', 'Stream options can only be defined'],
  'err-temperature': ['invalid_request', 'temperature must be in [0, 2], got 5.0.'],
  'err-temperature-neg': ['invalid_request', 'temperature must be non-negative'],
  'err-too-long': ['context_length_exceeded', 'maximum context length is 4096 tokens'],
  'err-too-many-images': ['invalid_request', 'At most 4 image(s)'],
  'err-tools-auto': ['invalid_request', '"auto" tool choice requires'],
  'err-top-logprobs': ['invalid_request', 'max allowed: 20'],
  'err-top-p': ['invalid_request', 'top_p must be in (0, 1], got 2.0.'],
  'err-unknown-model': ['engine_error'],
  'err-unknown-route': ['engine_error'],
  'err-wrong-content-type': ['invalid_request', "Only 'application/json' is allowed"],
  'engine-dies-nonstream': ['engine_error'],
}

test('every captured refusal of a real vLLM becomes the code and the words of the table', () => {
  const found = [...captures].filter(([, { status }]) => status >= 400)
  deepEqual(found.map(([name]) => name).sort(), Object.keys(ofCapture).sort())
  for (const [name, capture] of found) {
    const [code, says] = ofCapture[name] ?? []
    const error = ofAnswer(capture)
    holds(name, error, { code, says })
    equal(error.message.includes("'input'"), false, name)
  }
  console.log(`${found.length} captures`)
})

for (const file of readdirSync(folder)) {
  test(`what engines say becomes one shape: ${file}`, () => {
    const cases: ErrorCase[] = JSON.parse(readFileSync(join(folder, file), 'utf8'))
    for (const {
      status,
      contentType = 'application/json',
      inStream = false,
      body,
      code,
      says,
      hides,
      param,
    } of cases) {
      const text = typeof body === 'string' ? body : JSON.stringify(body)
      const what = `${status} ${text.slice(0, 200)}`
      const error = inStream
        ? fromErrorEvent(Buffer.from(`data: ${text}\n\n`), names)
        : fromEngine({ status, contentType, body: Buffer.from(text) }, names)
      holds(what, error, { code, says })
      if (param !== undefined) equal(error.param, param, what)
      if (hides !== undefined) equal(error.message.includes(hides), false, what)
      if (!inStream) continue
      const before = fromEngine({ status, contentType, body: Buffer.from(text) }, names)
      deepEqual([error.code, error.message], [before.code, before.message], what)
    }
    console.log(`${cases.length} errors`)
  })
}

test('an error event is read in every form of event, and one that cannot be read is engine_error', () => {
  const body = '{"error":{"message":"The request queue is full.","code":503}}'
  for (const event of [
    `data: ${body}\n\n`,
    `data:${body}\r\n\r\n`,
    `event: error\ndata: ${body}\n\n`,
    `id: 1\ndata: ${body.slice(0, 1)}\ndata: ${body.slice(1)}\n\n`,
    `error: ${body}\n\n`,
    `event: error\rdata: ${body}\r\r`,
    `data: ${body.replace('The', '\u2028The')}\n\n`,
  ])
    equal(fromErrorEvent(Buffer.from(event)).code, 'queue_full', event)
  for (const event of [
    '',
    'data: \n\n',
    'event: error\n\n',
    'data: {"error"\n\n',
    'event: error\ndata: boom\n\n',
    'data: {"error":null}\n\n',
  ])
    equal(fromErrorEvent(Buffer.from(event)).code, 'engine_error', event)
  ok(
    fromErrorEvent(Buffer.from(`data: {"error":{"message":"${'x'.repeat(100_000)}","code":400}}\n\n`)).code in
      errorTable,
  )
})

test('a key that the engine refuses is never told as the key of the caller, and says how to mend it', () => {
  for (const status of [401, 403]) {
    const error = fromEngine({ status, contentType: 'application/json', body: Buffer.from('{"error":"Unauthorized"}') })
    equal(error.status, 502)
    equal(errorHeaders(error)['x-should-retry'], 'false')
    ok(errorTable.engine_key_refused.fix.includes('HEARTH_ENGINE_API_KEY'))
    equal(/key/i.test(error.message), false)
  }
})

test('what an engine echoes is cut, however it is quoted', () => {
  for (const [message, wanted] of [
    [
      "1 validation error:\n  {'type': 'a', 'loc': 'body.x', 'msg': \"it's wrong\", 'input': 'SECRET', 'ctx': {}}",
      "body.x: it's wrong",
    ],
    ["x 'input': 'SECRET'", 'x'],
    [`cannot identify b'\\x89PNG${'\\x00'.repeat(20)}' at all`, 'cannot identify … at all'],
    [`cannot identify b'\\x89PNG${'\\x00'.repeat(5_000)}`, 'cannot identify …'],
    ["{'loc': ('body', 'x', 0), 'msg': 'a', 'input': {'loc': 'SECRET'}}", 'body.x.0: a'],
  ] as const) {
    const body = Buffer.from(JSON.stringify({ error: { message } }))
    equal(fromEngine({ status: 400, contentType: 'application/json', body }).message.trim(), wanted)
  }
})

function ofAnswer({ status, headers, body }: Capture): HearthError {
  const contentType = headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? ''
  return fromEngine({ status, contentType, body: Buffer.from(body) }, names)
}

function holds(
  what: string,
  error: HearthError,
  { code, says }: { code?: string | undefined; says?: string | undefined },
) {
  equal(error.code, code, what)
  const public_ = errorBody(error)
  ok(public_.length < 4096, what)
  equal(public_.includes('/models/'), false, what)
  if (says === undefined) equal(error.message, errorTable[error.code].text, what)
  else ok(error.message.includes(says), `${what}: ${error.message}`)
  if (error.status === 429 || error.status === 503) ok(errorHeaders(error)['retry-after'] !== undefined, what)
}
