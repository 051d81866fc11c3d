import assert from 'node:assert/strict'
import { it } from 'node:test'
import { errorTable } from '../../gateway/src/errors.ts'
import { classifyRefusal, classifyStreamError, type FailureKind } from './failure.ts'
import { pickLocale } from './strings.ts'

const body = (code: string | number | null, message = 'm', param: string | null = null): string =>
  JSON.stringify({ error: { message, type: 't', param, code } })
const kindOf = (status: number, text: string): FailureKind => classifyRefusal(status, new Headers(), text).kind

it('each refusal becomes the failure that a person can act on', () => {
  const cases: readonly [status: number, text: string, kind: FailureKind][] = [
    [401, body('invalid_api_key'), 'key_rejected'],
    [403, body('model_not_allowed'), 'key_forbidden'],
    [404, body('model_not_found'), 'model_not_found'],
    [404, body(404, 'The model `x` does not exist.', 'model'), 'model_not_found'],
    [404, '{"detail":"Not Found"}', 'wrong_address'],
    [405, '', 'wrong_address'],
    [400, body('model_has_no_vision'), 'model_has_no_vision'],
    [400, body('context_length_exceeded'), 'context_full'],
    [400, body(400, "This model's maximum context length is 4096 tokens."), 'context_full'],
    [400, body(400, 'the request exceeds the available context size'), 'context_full'],
    [400, body('bad_json'), 'bad_request'],
    [413, '', 'too_large'],
    [429, body('rate_limited'), 'rate_limited'],
    [503, body('mesh_peer_offline'), 'unavailable'],
    [504, body('deadline_exceeded'), 'timed_out'],
    [500, '<html>', 'broken'],
    [502, '', 'broken'],
  ]
  for (const [status, text, kind] of cases) assert.equal(kindOf(status, text), kind, `${status} ${text}`)
})

/** Refusals of a request that no page can send: the words of the gateway beside the plain ones are all there is to say. */
const notOfPages = new Set([
  ...['invalid_request', 'invalid_json', 'malformed_request', 'bad_request_line', 'bad_header'],
  ...['encoded_body', 'expectation_failed', 'too_many_headers', 'client_gone'],
])

it('each code of the gateway that a page can meet has words of its own', () => {
  const { failure } = pickLocale(['en']).strings
  let judged = 0
  for (const [code, { status }] of Object.entries(errorTable)) {
    const kind = kindOf(status, body(code))
    assert.equal(kind === 'bad_request', notOfPages.has(code), `${code}: ${kind}`)
    assert.match(failure[kind].title, /^\p{L}.{8,}[^.]$/u, code)
    assert.match(failure[kind].hint, /^\p{L}.{8,}$/u, code)
    judged += 1
  }
  console.log(`${judged} codes judged`)
})

it('what can be done about a refusal is told apart by its code, of pictures above all', () => {
  const { failure } = pickLocale(['en']).strings
  const codes = Object.keys(errorTable).filter((code) => /picture|content|vision|field|task|context/.test(code))
  const titles = codes.map((code) => failure[kindOf(400, body(code))].title)
  // The two codes of fields are one matter to a person.
  assert.equal(new Set(titles).size, codes.length - 1, titles.join('; '))
  assert.equal(kindOf(400, body('constructor')), 'bad_request')
})

it('the gateway’s words, code and request id are kept', () => {
  const failure = classifyRefusal(502, new Headers({ 'x-request-id': 'req_1' }), body('engine_reset', 'Hung up.'))
  assert.deepEqual(failure, {
    kind: 'broken',
    status: 502,
    code: 'engine_reset',
    message: 'Hung up.',
    requestId: 'req_1',
  })
})

it('a wait is read from Retry-After only where trying again helps', () => {
  const wait = (status: number, headers: Record<string, string>) =>
    classifyRefusal(status, new Headers(headers), '').retryAfterS
  assert.equal(wait(503, { 'retry-after': '12' }), 12)
  assert.equal(wait(429, { 'retry-after': '0' }), 0)
  assert.equal(wait(429, { 'retry-after': 'soon' }), undefined)
  assert.equal(wait(503, { 'retry-after': '5', 'x-should-retry': 'false' }), undefined)
  assert.equal(wait(401, { 'retry-after': '5' }), undefined)
  assert.equal(wait(503, {}), undefined)
})

it('an error of the stream keeps its code and words', () => {
  const failure = classifyStreamError({ message: 'Stopped.', code: 'engine_reset', param: undefined })
  assert.deepEqual(failure, { kind: 'stream_error', code: 'engine_reset', message: 'Stopped.' })
})
