import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { callerAnswerHeaders, engineRequestHeaders, isEncoded, isEventStream } from './headers.ts'

const request = { requestId: 'r-1', engineApiKey: undefined, bodyBytes: 12, stream: false }

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

test('only type and length of an answer pass, whatever else the engine or its ingress sends', () => {
  const names = fc.constantFrom('server', 'set-cookie', 'connection', 'transfer-encoding', 'x-request-id', 'location')
  const anyHeaders = fc.dictionary(fc.oneof(names, fc.string()), fc.oneof(fc.string(), fc.array(fc.string())))
  fc.assert(
    fc.property(anyHeaders, (others) => {
      const headers = { ...others, 'content-type': 'application/json', 'content-length': '5' }
      deepEqual(callerAnswerHeaders(headers), { 'content-type': 'application/json', 'content-length': '5' })
    }),
  )
})

test('a header that is absent or came twice does not pass', () => {
  deepEqual(callerAnswerHeaders({}), {})
  deepEqual(callerAnswerHeaders({ 'content-length': ['5', '6'] }), {})
})

test('isEventStream() knows the type with parameters and in any case, and no other type', () => {
  for (const type of ['text/event-stream', 'text/event-stream; charset=utf-8', 'Text/Event-Stream'])
    equal(isEventStream({ 'content-type': type }), true, type)
  for (const type of ['application/json', 'text/event-streams', 'x-text/event-stream', ''])
    equal(isEventStream({ 'content-type': type }), false, type)
  equal(isEventStream({}), false)
})

test('isEncoded() finds every coding but identity', () => {
  for (const coding of ['gzip', 'br', 'identity, gzip']) equal(isEncoded({ 'content-encoding': coding }), true, coding)
  equal(isEncoded({ 'content-encoding': ['gzip'] }), true)
  equal(isEncoded({ 'content-encoding': 'identity' }), false)
  equal(isEncoded({}), false)
})
