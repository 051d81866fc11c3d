import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  describe,
  type ErrorCode,
  errorBody,
  errorEvent,
  errorHeaders,
  errorTable,
  fixOf,
  HearthError,
  isErrorCode,
  toHearthError,
} from './errors.ts'

const codes = Object.keys(errorTable).filter(isErrorCode)
const anyCode = fc.constantFrom(...codes)
const failureModes = new URL('../../docs/failure-modes.md', import.meta.url)
const sidecarCodes = new URL('../sidecar/internal/codes/codes.go', import.meta.url)
test('docs/failure-modes.md has exactly one heading for each code of the table', () => {
  const headings = [...readFileSync(failureModes, 'utf8').matchAll(/^### `([a-z0-9_]+)`/gm)].map(([, code]) => code)
  deepEqual(headings.toSorted(), codes.toSorted())
})

test('the codes of the sidecar and those of the table are the same, but for two that only the gateway can know', () => {
  const said = [...readFileSync(sidecarCodes, 'utf8').matchAll(/Code\s*=\s*"(mesh_\w+)"/g)].map(([, code]) => code)
  const onlyHere = ['mesh_sidecar_down', 'mesh_early_bytes']
  deepEqual([...said, ...onlyHere].toSorted(), codes.filter((code) => code.startsWith('mesh_')).toSorted())
})

test('every code of the road tells the operator what to do, and never the caller', () => {
  for (const code of codes.filter((code) => code === 'ingress_down' || code.startsWith('mesh_'))) {
    const fix = fixOf(code) ?? ''
    match(fix, /^[A-Z].{10,}\.$/, code)
    equal(errorBody(new HearthError(code)).includes(fix), false, code)
  }
  equal(fixOf('invalid_request'), undefined)
})

test('every 429 and 503 says when to try again, within a minute', () => {
  for (const code of codes) {
    const { status } = errorTable[code]
    const after = errorHeaders(new HearthError(code))['retry-after']
    if (status === 429 || status === 503) ok(Number(after) >= 1 && Number(after) <= 60, `${code}: ${after}`)
    else if (after !== undefined) equal(code, 'mesh_dial_timeout')
  }
})

test('a failure that another try cannot help tells SDKs not to retry', () => {
  for (const code of codes) {
    const headers = errorHeaders(new HearthError(code))
    const { status } = errorTable[code]
    // What SDKs repeat by themselves, unless they are told not to.
    const isRepeated = status >= 500 || status === 408
    equal(headers['x-should-retry'], isRepeated && headers['retry-after'] === undefined ? 'false' : undefined, code)
  }
  equal(errorHeaders(new HearthError('deadline_exceeded'))['x-should-retry'], 'false')
})

test('every status is one of the documented set', () => {
  const documented = [400, 401, 404, 405, 408, 413, 415, 417, 429, 431, 499, 500, 502, 503, 504]
  for (const code of codes) ok(documented.includes(errorTable[code].status), `${code}: ${errorTable[code].status}`)
})

test('every code is snake_case, and its type is the one that its status stands for', () => {
  for (const code of codes) {
    match(code, /^[a-z]+(_[a-z]+)*$/)
    const { status, type } = errorTable[code]
    const byStatus: Readonly<Record<number, string>> = { 401: 'authentication_error', 429: 'rate_limit_error' }
    equal(type, byStatus[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error'), code)
  }
})

test('no public text names a host, an address or a port, and each is a sentence', () => {
  for (const code of codes) {
    const { text } = errorTable[code]
    match(text, /^[A-Z].*\.$/, code)
    const inner = /:\/\/|localhost|\bts\.net\b|:\d{2,5}\b|\d+\.\d+\.\d+\.\d+|[a-z]\.(com|net|org|dev|internal|local)\b/
    equal(inner.test(text), false, `${code}: ${text}`)
    equal(text.split(/[\s()"]+/).filter((word) => isIP(word) !== 0).length, 0, code)
  }
})

test('errorBody() is the four fields of an OpenAI error, whatever the message holds', () => {
  fc.assert(
    fc.property(anyCode, fc.string({ unit: 'binary' }), fc.option(fc.string()), (code, message, param) => {
      const error = new HearthError(code, { message, param: param ?? undefined, detail: 'inner words' })
      const body: unknown = JSON.parse(errorBody(error))
      const { type } = errorTable[code]
      deepEqual(body, { error: { message: message.toWellFormed(), type, param, code } })
    }),
  )
})

test('errorEvent() is one SSE event of one data line, whatever the message holds', () => {
  fc.assert(
    fc.property(anyCode, fc.string({ unit: 'binary' }), (code, message) => {
      const event = errorEvent(new HearthError(code, { message: `a\n\ndata: [DONE]\r\n${message}` }))
      const [name, data, ...rest] = event.split(/\r\n|\r|\n/)
      deepEqual([name, data?.startsWith('data: {"error":'), rest], ['event: error', true, ['', '']])
    }),
  )
})

test('errorHeaders() says who made the error', () => {
  equal(errorHeaders(new HearthError('queue_full'))['x-hearth-error-source'], 'gateway')
  equal(errorHeaders(new HearthError('queue_full', { source: 'engine' }))['x-hearth-error-source'], 'engine')
})

test('a HearthError keeps its cause, its detail and its own message apart', () => {
  const cause = new Error('connect ECONNREFUSED 10.0.0.7:80')
  const error = new HearthError('engine_unreachable', { cause, detail: 'ECONNREFUSED' })
  deepEqual([error.cause, error.detail, error.status], [cause, 'ECONNREFUSED', 503])
  equal(error.message, errorTable.engine_unreachable.text)
  equal(errorBody(error).includes('10.0.0.7'), false)
})

test('toHearthError() passes our errors through and hides every other thrown value', () => {
  const own = new HearthError('draining')
  equal(toHearthError(own), own)
  for (const thrown of [new TypeError('at /srv/secret.ts:1'), 'at /srv/secret.ts:1', undefined, null, 7]) {
    const error = toHearthError(thrown)
    deepEqual([error.code, error.cause, error.detail], ['internal_error', thrown, describe(thrown)])
    notEqual(errorBody(error).includes('secret'), true)
  }
})

test('isErrorCode() knows the codes of the table and nothing that objects inherit', () => {
  const strangers: unknown[] = ['toString', '__proto__', 'constructor', 'hasOwnProperty', '', undefined, 7, {}]
  const known: ErrorCode[] = ['mesh_refused', 'queue_full']
  deepEqual([...strangers, ...known].filter(isErrorCode), known)
})

test('describe() tells the whole chain of causes in one line', () => {
  const error = new Error('outer', { cause: new TypeError('inner', { cause: 'the root' }) })
  equal(describe(error), 'Error: outer ← TypeError: inner ← the root')
})

test('an error that quotes its input is told without it', () => {
  for (const text of ['secret', '{"a":secret-of-somebody-that-is-long-enough-to-be-cut}', '"secret\n"']) {
    let thrown: unknown
    try {
      JSON.parse(text)
    } catch (error) {
      thrown = error
    }
    equal(describe(new Error('outer', { cause: thrown })).includes('secre'), false)
    match(describe(thrown), /^SyntaxError: /)
  }
  const refused = new TypeError("The argument 'path' must be a string. Received 'secret'")
  equal(describe(refused), "TypeError: The argument 'path' must be a string")
})
