import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import type { Fields, LogContext } from '../log.ts'
import { requestFields } from './request-fields.data.ts'
import { type Exchange, logRequest, type RequestNotes } from './request-record.ts'

const exchange: Exchange = {
  ...{ method: 'POST', path: '/v1/chat/completions', httpVersion: '1.1', userAgent: 'curl/8.14.1 secret' },
  ...{ status: 200, ms: 1234.5, trace: undefined },
}

/** What is logged of a request. */
function logged(notes: RequestNotes, change: Partial<Exchange> = {}) {
  let all: { message: string; fields: Fields; context: LogContext } = { message: '', fields: {}, context: {} }
  logRequest(
    (_, message, fields = {}, context = {}) => {
      all = { message, fields, context }
    },
    'INFO',
    { ...exchange, ...change },
    notes,
  )
  return all
}

test('a record is told in one line by its method, path, status, model, time and tokens', () => {
  const messageOf = (notes: RequestNotes, change?: Partial<Exchange>) => logged(notes, change).message
  const answer = { outcome: 'ok', model: 'qwen', completionTokens: 143 }
  equal(messageOf(answer), 'POST /v1/chat/completions 200 qwen 1.2 s 143 tokens')
  equal(
    messageOf({ ...answer, outcome: 'engine_died' }),
    'POST /v1/chat/completions 200 engine_died qwen 1.2 s 143 tokens',
  )
  equal(
    messageOf({ outcome: 'unknown_route' }, { path: '/v1/*', status: 404, ms: 2.4 }),
    'POST /v1/* 404 unknown_route 2 ms',
  )
  const unread = { method: undefined, path: undefined, status: 400, ms: 0 }
  equal(messageOf({ outcome: 'malformed_request' }, unread), 'request 400 malformed_request 0 ms')
})

test('a record has the fields of the list in their order, and no other that somebody noted', () => {
  const odd = Object.assign({ outcome: 'ok', requestId: 'id' }, { prompt: 'secret', Authorization: 'secret' })
  const { fields } = logged(odd)
  deepEqual(Object.keys(fields), [...requestFields])
  deepEqual([fields['requestId'], fields['status'], fields['ms']], ['id', 200, 1234.5])
})

test('the exchange is told in the words of Cloud Logging, its sizes as texts', () => {
  deepEqual(logged({ outcome: 'ok', bytesIn: 12, bytesOut: 34 }).context, {
    httpRequest: {
      ...{ requestMethod: 'POST', requestUrl: '/v1/chat/completions', requestSize: '12', status: 200 },
      ...{ responseSize: '34', userAgent: 'curl 8.14.1', latency: '1.234s', protocol: 'HTTP/1.1' },
    },
  })
})
