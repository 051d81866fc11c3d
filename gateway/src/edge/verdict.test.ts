import { deepEqual, equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { headersMax, judgeRequest, type RawHead } from './verdict.ts'

const plain: RawHead = { method: 'POST', url: '/v1/models', httpVersion: '1.1', rawHeaders: ['Host', 'a:80'] }
const codeOf = (change: Partial<RawHead>, ...more: string[]) =>
  judgeRequest({ ...plain, rawHeaders: [...plain.rawHeaders, ...more], ...change })?.code

test('a plain head has no refusal, on both versions of HTTP/1', () => {
  equal(judgeRequest(plain), undefined)
  equal(codeOf({ httpVersion: '1.0', rawHeaders: [] }), undefined)
  equal(codeOf({}, 'transfer-encoding', 'chunked', 'expect', '100-Continue', 'cookie', 'a', 'cookie', 'b'), undefined)
})

test('each rule has its code', () => {
  deepEqual(
    [
      codeOf({ method: 'CONNECT' }),
      codeOf({ url: '*' }),
      codeOf({ url: 'http://a/v1/models' }),
      codeOf({ url: '/v1\\models' }),
      codeOf({ url: '/v1/m\u00f6dels' }),
      codeOf({ httpVersion: '2.0' }),
      codeOf({ rawHeaders: [] }),
      codeOf({}, 'host', 'a:80'),
      codeOf({}, 'x_y', '1'),
      codeOf({}, 'AUTHORIZATION', 'x', 'authorization', 'x'),
      codeOf({}, 'content-length', '1, 1'),
      codeOf({}, 'content-length', '+1'),
      codeOf({}, 'transfer-encoding', 'gzip'),
      codeOf({}, 'transfer-encoding', 'chunked', 'content-length', '1'),
      codeOf({ httpVersion: '1.0' }, 'transfer-encoding', 'chunked'),
      codeOf({}, 'trailer', 'x'),
      codeOf({}, 'expect', 'y 100-continue'),
    ],
    [...Array<string>(6).fill('bad_request_line'), ...Array<string>(10).fill('bad_header'), 'expectation_failed'],
  )
})

test(`${headersMax} headers are read, and not one more`, () => {
  const others = (count: number) => Array.from({ length: count }, (_, at) => [`x-${at}`, '1']).flat()
  equal(codeOf({}, ...others(headersMax - 1)), undefined)
  equal(codeOf({}, ...others(headersMax)), 'too_many_headers')
})

test('a host is a name or an address with an optional port that exists', () => {
  const judged = (host: string) => codeOf({ rawHeaders: ['host', host] })
  for (const host of ['a', 'A.b-c_d.example', '127.0.0.1:1', '[::1]', '[fe80::1]:65535']) equal(judged(host), undefined)
  for (const host of [
    '',
    'a:',
    'a:0',
    'a:65536',
    'a:123456',
    'a/',
    'a?',
    'a#',
    'a@b',
    'a\\',
    'a b',
    '127.1',
    '0x7f000001',
    '2130706433',
    '017700000001',
    '[::ffff:127.0.0.1]',
    'a,b',
    '[::1',
    '::1',
  ])
    equal(judged(host), 'bad_header', host)
})

test('any head gets a verdict, whose text repeats no value', () => {
  const value = fc.stringMatching(/^[!-~]{1,20}$/).map((text) => `SECRET${text}`)
  const names = fc.constantFrom(
    'host',
    'Host',
    'expect',
    'te',
    'transfer-encoding',
    'content-length',
    'authorization',
    'x_',
  )
  const headers = fc.array(fc.tuple(names, value), { maxLength: 6 }).map((pairs) => pairs.flat())
  fc.assert(
    fc.property(fc.string(), fc.string(), headers, (method, url, rawHeaders) => {
      const refusal = judgeRequest({ method, url, httpVersion: '1.1', rawHeaders })
      match(refusal?.message ?? 'None.', /^(?!.*SECRET)[A-Z].*\.$/)
    }),
  )
})
