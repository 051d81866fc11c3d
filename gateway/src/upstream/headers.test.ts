import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { engineRequestHeaders, isEventStream, problemOfHead } from './headers.ts'

const noTrace = { traceparent: undefined, tracestate: undefined }
const request = { requestId: 'r-1', engineApiKey: undefined, bodyBytes: 12, stream: false, ...noTrace }

test('an engine is told the type, the length, what is accepted and the id, and nothing else', () => {
  deepEqual(engineRequestHeaders(request), {
    'content-type': 'application/json',
    'content-length': '12',
    accept: 'application/json',
    'accept-encoding': 'identity',
    'x-request-id': 'r-1',
  })
})

test('a streaming request asks for an event stream', () => {
  equal(engineRequestHeaders({ ...request, stream: true })['accept'], 'text/event-stream')
})

test('the key of the engine is sent as a bearer, where there is one', () => {
  equal(engineRequestHeaders({ ...request, engineApiKey: 'sk-1' })['authorization'], 'Bearer sk-1')
})

test('the engine is told the trace that the request belongs to', () => {
  const told = engineRequestHeaders({ ...request, traceparent: '00-1-2-01', tracestate: 'a=b' })
  deepEqual([told['traceparent'], told['tracestate']], ['00-1-2-01', 'a=b'])
})

test('isEventStream() knows the type with parameters and in any case, and no other type', () => {
  for (const type of ['text/event-stream', 'text/event-stream; charset=utf-8', 'Text/Event-Stream'])
    equal(isEventStream({ 'content-type': type }), true, type)
  for (const type of ['application/json', 'text/event-streams', 'x-text/event-stream', ''])
    equal(isEventStream({ 'content-type': type }), false, type)
  equal(isEventStream({}), false)
})

const json = { 'content-type': 'application/json', 'content-length': '5' }

test('an answer passes with one framing and a type that a model answers with', () => {
  const { 'content-type': type } = json
  equal(problemOfHead(200, json), undefined)
  equal(
    problemOfHead(200, { 'content-type': 'Application/JSON; charset=utf-8', 'transfer-encoding': 'Chunked' }),
    undefined,
  )
  equal(problemOfHead(200, { ...json, 'content-encoding': 'identity' }), undefined)
  equal(problemOfHead(200, { 'content-type': 'text/event-stream' }), undefined)
  equal(problemOfHead(200, { 'content-type': type }), undefined)
})

test('an error of an engine passes whatever its type, but not with a doubtful end', () => {
  equal(problemOfHead(502, { 'content-type': 'text/html', 'content-length': '5' }), undefined)
  equal(problemOfHead(500, { 'content-length': ['5', '6'] }), 'a length that is no number')
  equal(problemOfHead(500, { 'content-encoding': 'gzip' }), 'a compressed body')
})

test('a redirect is named as one in the log', () => {
  equal(problemOfHead(302, json), 'a redirect (302)')
})

test('what points elsewhere, is compressed, is framed twice or is no answer of a model does not pass', () => {
  const problems = [
    ...[300, 302, 304, 399, 201, 204, 206].map((status) => problemOfHead(status, json)),
    ...['gzip', 'br', 'identity, gzip', '', ['gzip']].map((coding) =>
      problemOfHead(200, { ...json, 'content-encoding': coding }),
    ),
    ...['chunked', 'gzip, chunked', ['chunked', 'chunked']].map((coding) =>
      problemOfHead(200, { ...json, 'transfer-encoding': coding }),
    ),
    ...['', '-1', '+5', '5, 5', '0x5', '1'.repeat(16), ['5', '5']].map((length) =>
      problemOfHead(200, { ...json, 'content-length': length }),
    ),
    ...['text/html', '', 'application/jsonp', 'x/application/json', ['application/json', 'text/html'], undefined].map(
      (type) => problemOfHead(200, { ...json, 'content-type': type }),
    ),
  ]
  deepEqual(
    problems.filter((problem) => problem === undefined),
    [],
  )
})
