import { deepEqual, equal } from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { withDeadline } from '../../test/deadline.ts'
import { HearthError } from '../errors.ts'
import { classify } from './classify.ts'

const direct = { answered: false, viaMesh: false }
const mesh = { answered: false, viaMesh: true }

function failure(code: string, message = 'inner words'): Error {
  return Object.assign(new Error(message), { code })
}

function codeFor(code: string, state = direct): string {
  return classify(failure(code), state).code
}

test('a HearthError passes through as it is', () => {
  const own = new HearthError('mesh_peer_offline')
  equal(classify(own, direct), own)
})

test('a dial that did not get through is engine_unreachable', () => {
  for (const code of [
    'ECONNREFUSED',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ETIMEDOUT',
    'UND_ERR_CONNECT_TIMEOUT',
  ])
    deepEqual([codeFor(code), codeFor(code, mesh)], ['engine_unreachable', 'engine_unreachable'], code)
})

test('a network that breaks in the middle of an answer is engine_died: the engine was reached', () => {
  const codes = [
    'ETIMEDOUT',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ECONNRESET',
    'EPIPE',
    'UND_ERR_SOCKET',
    'HPE_INVALID_EOF_STATE',
  ]
  for (const code of codes)
    for (const viaMesh of [true, false]) equal(codeFor(code, { answered: true, viaMesh }), 'engine_died', code)
})

test('a connection that closes before the head is ingress_down behind the mesh and engine_died beside us', () => {
  for (const code of ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])
    deepEqual([codeFor(code, mesh), codeFor(code, direct)], ['ingress_down', 'engine_died'], code)
})

test('an answer whose length does not fit is engine_died', () => {
  equal(codeFor('UND_ERR_RES_CONTENT_LENGTH_MISMATCH', { answered: true, viaMesh: true }), 'engine_died')
})

test('before the head a length that does not fit, and an assertion of the client, are bytes that make no sense', () => {
  for (const code of ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'ERR_ASSERTION'])
    deepEqual([codeFor(code), codeFor(code, mesh)], ['engine_bad_answer', 'engine_bad_answer'], code)
  equal(codeFor('ERR_ASSERTION', { answered: true, viaMesh: false }), 'engine_died')
})

test('the two deadlines of an answer have their own codes', () => {
  deepEqual(
    [codeFor('UND_ERR_HEADERS_TIMEOUT'), codeFor('UND_ERR_BODY_TIMEOUT', { answered: true, viaMesh: true })],
    ['engine_timeout', 'engine_stalled'],
  )
})

test('an answer that is no HTTP is engine_bad_answer', () => {
  for (const code of ['HPE_INVALID_CONSTANT', 'HPE_HEADER_OVERFLOW', 'UND_ERR_HEADERS_OVERFLOW'])
    equal(codeFor(code, mesh), 'engine_bad_answer', code)
})

test('TLS that breaks after the handshake is named by whether the engine had begun to answer', () => {
  for (const code of [
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'EPROTO',
    'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
  ])
    deepEqual(
      [codeFor(code, mesh), codeFor(code, direct), codeFor(code, { answered: true, viaMesh: true })],
      ['engine_tls_failed', 'engine_tls_failed', 'engine_died'],
    )
})

test('what has no name is a bug of ours and keeps its cause', () => {
  for (const thrown of [new TypeError('x'), failure('UND_ERR_INVALID_ARG'), 'text', undefined, null, { code: 7 }]) {
    const error = classify(thrown, direct)
    deepEqual([error.code, error.cause], ['internal_error', thrown])
  }
})

test('the text of an error decides nothing and is never public', () => {
  const codes = fc.constantFrom('ECONNREFUSED', 'UND_ERR_SOCKET', 'HPE_INVALID_URL', 'EWHATEVER')
  const words = fc.oneof(fc.constantFrom('connect ECONNRESET 10.0.0.7:80', 'UND_ERR_BODY_TIMEOUT'), fc.string())
  fc.assert(
    fc.property(codes, words, (code, message) => {
      const error = classify(failure(code, message), mesh)
      equal(error.code, codeFor(code, mesh))
      equal(error.message, new HearthError(error.code).message)
      equal(error.detail, code)
    }),
  )
})

test('the error that Node throws for a closed port is engine_unreachable', async () => {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  // `localhost` may be two addresses: then the error is an AggregateError, which carries the code too.
  const socket = connect(port, 'localhost')
  const refused = Promise.withResolvers<Error>()
  socket.once('error', refused.resolve)
  equal(classify(await withDeadline(refused.promise, 2000, 'a refusal'), direct).code, 'engine_unreachable')
})
