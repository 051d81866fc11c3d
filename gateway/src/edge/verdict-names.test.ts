import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { judgeRequest } from './verdict.ts'

const judge = (...rawHeaders: string[]) => judgeRequest({ method: 'GET', url: '/', httpVersion: '1.1', rawHeaders })
const withHost = (...more: string[]) => judge('host', 'a', ...more)

test('each header that one reader takes first and another last may stand once', () => {
  const names = [
    ...['host', 'content-length', 'transfer-encoding', 'content-type', 'content-encoding', 'expect', 'origin'],
    ...['authorization', 'proxy-authorization', 'user-agent', 'referer', 'from', 'date', 'max-forwards', 'range'],
    ...['if-modified-since', 'if-unmodified-since', 'if-range', 'content-range', 'content-location', 'upgrade'],
    ...['access-control-request-method', 'access-control-request-headers', 'x-request-id'],
  ]
  for (const name of names) {
    const refusal = judge(...(name === 'host' ? [] : ['host', 'a']), name, '1', name.toUpperCase(), '1')
    deepEqual(refusal, { code: 'bad_header', message: `The header "${name}" stands more than once.` })
  }
})

test('headers that are lists may stand more often', () => {
  for (const name of ['accept', 'cookie', 'via', 'x-own']) equal(withHost(name, '1', name, '2'), undefined)
})

test('100 headers are read, the 101st is refused', () => {
  const others = (count: number) => Array.from({ length: count }, (_, at) => [`x-${at}`, '1']).flat()
  equal(withHost(...others(99)), undefined)
  deepEqual(withHost(...others(100)), {
    code: 'too_many_headers',
    message: 'The request has more than 100 headers.',
  })
})

test('a length has one to fifteen digits', () => {
  for (const length of ['0', '7', '123456789012345']) equal(withHost('content-length', length), undefined, length)
  for (const length of ['', '-1', '1.5', '1e3', '0x10', '1234567890123456', 'abc'])
    equal(withHost('content-length', length)?.message, 'The header "content-length" is no number.', length)
})

test('every character of a header name counts, at every place', () => {
  for (const name of ['a_b', '_ab', 'ab_', 'a.b', 'a~', '!', ''])
    equal(withHost(name, '1')?.message, 'A header has a name with other characters than letters, digits and "-".', name)
  for (const name of ['a', 'A9-z', '-']) equal(withHost(name, '1'), undefined, name)
})

test('a port is one that exists, whatever stands before it', () => {
  for (const host of ['a:1', 'a:65535', '127.0.0.1:80', '[::1]:80']) equal(judge('host', host), undefined, host)
  for (const host of ['a:0', 'a:00', 'a:65536', 'a:99999']) equal(judge('host', host)?.code, 'bad_header', host)
  for (const host of ['a:', 'a:1x', 'x a:1', 'a:123456', '[::1', ']', '[g]', ''])
    equal(judge('host', host)?.message, 'The header "host" is no name or address with an optional port.', host)
})
