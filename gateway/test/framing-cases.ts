import { chatBody, chatPath } from './wire.ts'

/** One request, byte by character, and the statuses that its answers may have; 0 stands for none at all. */
export interface FramingCase {
  readonly name: string
  readonly text: string
  readonly statuses: readonly number[]
}

/** The parts of a chat request that a case changes. */
export interface Parts {
  readonly line: string
  readonly host: string
  readonly framing: string
  readonly extra: string
  readonly body: string
}

const te = 'Transfer-Encoding: chunked\r\n'
const body = chatBody()

/** A chat request with a key in which `change` replaces lines or the body. */
export function chatText(key: string, change: Partial<Parts> = {}): string {
  const parts: Parts = {
    line: `POST ${chatPath} HTTP/1.1`,
    host: 'Host: a\r\n',
    framing: `Content-Length: ${body.length}\r\n`,
    extra: '',
    body,
    ...change,
  }
  const fixed = `Authorization: Bearer ${key}\r\nContent-Type: application/json\r\n`
  return `${parts.line}\r\n${parts.host}${fixed}${parts.framing}${parts.extra}\r\n${parts.body}`
}

/** The body in one chunk; `size` and `trailer` are written as they are. */
export function chunked(size = body.length.toString(16), trailer = '', last = '0'): string {
  return `${size}\r\n${body}\r\n${last}\r\n${trailer}\r\n`
}

type Change = Partial<Parts>
type Row = readonly [name: string, change: Change | string, statuses: readonly number[]]

const lengths: readonly Row[] = (
  [
    ['a length with a plus', '+3'],
    ['a length in hex', '0x3'],
    ['a negative length', '-1'],
    ['an empty length', ''],
    ['a length twice in one line', '3, 3'],
    ['a length with a word behind it', '3 x'],
    ['a length with an exponent', '1e1'],
    ['a length with an underscore', '1_0'],
    ['a length with a point', '3.0'],
    ['a length beyond 64 bits', '99999999999999999999'],
    ['a length with a NUL', '3\0'],
    ['a length with a vertical tab', '\x0b3'],
    ['a length in quotes', '"3"'],
    ['a length in Arabic digits', '\xd9\xa3'],
  ] as const
).map(([name, value]) => [name, { framing: `Content-Length: ${value}\r\n` }, [400]])

const framings: readonly Row[] = [
  ['a length that nobody would read', { framing: 'Content-Length: 999999999999\r\n' }, [413]],
  ['a length with leading zeros', { framing: `Content-Length: 000${body.length}\r\n` }, [200, 400]],
  ['the same length twice', { framing: `Content-Length: ${body.length}\r\n`.repeat(2) }, [400]],
  ['two lengths', { framing: 'Content-Length: 5\r\nContent-Length: 6\r\n' }, [400]],
  ['two lengths, one with a space before the colon', { extra: 'Content-Length : 5\r\n' }, [400]],
  ['a length and chunks', { extra: te, body: chunked() }, [400]],
  ['chunks and a length', { framing: te, extra: 'Content-Length: 5\r\n', body: chunked() }, [400]],
  ['a length with an underscore in its name', { extra: 'Content_Length: 5\r\n' }, [400]],
  ['a length shorter than the body', { framing: 'Content-Length: 5\r\n' }, [400]],
  ['a length longer than the body', { framing: `Content-Length: ${body.length + 9}\r\n` }, [0, 400]],
  ['neither length nor chunks', { framing: '' }, [400]],
  ['a length that Connection names', { extra: 'Connection: content-length\r\n' }, [200]],
  ['chunks on HTTP/1.0', { line: `POST ${chatPath} HTTP/1.0`, framing: te, body: chunked() }, [400]],
  ['keep-alive on HTTP/1.0', { line: `POST ${chatPath} HTTP/1.0`, extra: 'Connection: keep-alive\r\n' }, [200]],
  ['a request hidden behind a length of nothing', hiddenRequest(), [400, 404]],
]

const codings: readonly Row[] = (
  [
    ['a coding that ends in chunked', 'xchunked'],
    ['chunked, then identity', 'chunked, identity'],
    ['identity', 'identity'],
    ['gzip, then chunked', 'gzip, chunked'],
    ['chunked twice', 'chunked, chunked'],
    ['chunked in upper case', 'CHUNKED'],
    ['chunked with a parameter', 'chunked;x=y'],
    ['chunked in quotes', '"chunked"'],
    ['chunked behind a vertical tab', '\x0bchunked'],
    ['chunked before a NUL', 'chunked\0'],
    ['chunked before a space without break', 'chunked\xa0'],
    ['chunked on a folded line', '\r\n chunked'],
    ['an empty coding', ''],
    ['a comma before chunked', ',chunked'],
  ] as const
).map(([name, value]) => [name, { framing: `Transfer-Encoding: ${value}\r\n`, body: chunked() }, [400]])

const chunks: readonly Row[] = [
  ['a chunk size with 0x', { framing: te, body: chunked(`0x${body.length.toString(16)}`) }, [400]],
  ['a negative chunk size', { framing: te, body: chunked('-1') }, [400]],
  ['no chunk size', { framing: te, body: chunked('') }, [400]],
  ['a chunk size with an underscore', { framing: te, body: chunked('1_0') }, [400]],
  ['a chunk size with a plus', { framing: te, body: chunked('+5') }, [400]],
  ['a chunk size behind a space', { framing: te, body: chunked(` ${body.length.toString(16)}`) }, [400]],
  ['a chunk size before a space', { framing: te, body: chunked(`${body.length.toString(16)} `) }, [200, 400]],
  ['a chunk size beyond 64 bits', { framing: te, body: chunked('fffffffffffffffff') }, [400]],
  ['a chunk larger than may be read', { framing: te, body: `fffffffff\r\n${'x'.repeat(50)}` }, [0, 400, 413]],
  ['a chunk extension', { framing: te, body: chunked(`${body.length.toString(16)};a=b`) }, [200, 400]],
  ['20 KB of chunk extension', { framing: te, body: chunked(`1;${'x'.repeat(20_000)}`) }, [400, 413]],
  ['a bare LF in a chunk extension', { framing: te, body: chunked('1;a\nb') }, [400]],
  ['a bare CR in a chunk extension', { framing: te, body: chunked('1;a\rb') }, [400]],
  ['a chunk that ends in LF', { framing: te, body: `1\r\n{\n0\r\n\r\n` }, [400]],
  ['a chunk size that ends in LF', { framing: te, body: `1\n{\r\n0\r\n\r\n` }, [400]],
  ['a chunk without an end', { framing: te, body: `1\r\n{x\r\n0\r\n\r\n` }, [400]],
  ['chunks without the last one', { framing: te, body: `${body.length.toString(16)}\r\n${body}\r\n` }, [0, 400]],
  ['a last chunk of many zeros', { framing: te, body: chunked(undefined, '', '0'.repeat(15)) }, [200, 400]],
  ['a trailer', { framing: te, body: chunked(undefined, 'x: y\r\n') }, [400]],
  ['a trailer that is a length', { framing: te, body: chunked(undefined, 'Content-Length: 5\r\n') }, [400]],
  ['an announced trailer', { framing: `${te}Trailer: x\r\n`, body: chunked() }, [400]],
  ['a trailer named __proto__', { framing: te, body: chunked(undefined, '__proto__: y\r\n') }, [400]],
  ['chunks framed twice', { framing: te.repeat(2), body: chunked() }, [400]],
]

const lines: readonly Row[] = [
  ['a lower-case method', { line: `post ${chatPath} HTTP/1.1` }, [400]],
  ['an unknown method', { line: `FLY ${chatPath} HTTP/1.1` }, [400]],
  ['TRACE', { line: `TRACE ${chatPath} HTTP/1.1` }, [405]],
  ['CONNECT', { line: 'CONNECT a:443 HTTP/1.1' }, [400]],
  ['OPTIONS *', { line: 'OPTIONS * HTTP/1.1' }, [400]],
  ['a target *', { line: 'POST * HTTP/1.1' }, [400]],
  ['an absolute target', { line: `POST http://a${chatPath} HTTP/1.1` }, [400]],
  ['an absolute target elsewhere', { line: 'POST http://evil/metrics HTTP/1.1' }, [400]],
  ['an absolute target of another scheme', { line: `POST gopher://a${chatPath} HTTP/1.1` }, [400]],
  ['a target without its slash', { line: `POST v1/models HTTP/1.1` }, [400]],
  ['no target', { line: 'POST HTTP/1.1' }, [400]],
  ['two spaces before the target', { line: `POST  ${chatPath} HTTP/1.1` }, [200, 400]],
  ['a tab before the target', { line: `POST\t${chatPath} HTTP/1.1` }, [400]],
  ['no version', { line: `POST ${chatPath}` }, [400]],
  ['HTTP/0.9', { line: `POST ${chatPath} HTTP/0.9` }, [400]],
  ['HTTP/1.2', { line: `POST ${chatPath} HTTP/1.2` }, [400, 505]],
  ['HTTP/2.0', { line: `POST ${chatPath} HTTP/2.0` }, [400, 505]],
  ['http/1.1 in lower case', { line: `POST ${chatPath} http/1.1` }, [400]],
  ['a word behind the version', { line: `POST ${chatPath} HTTP/1.1 x` }, [400]],
  ['a space before the method', { line: ` POST ${chatPath} HTTP/1.1` }, [400]],
  ['an empty line before the request', { line: `\r\nPOST ${chatPath} HTTP/1.1` }, [200, 400]],
  ['dots in the path', { line: `POST /v1/x/..${chatPath} HTTP/1.1` }, [404]],
  ['encoded dots in the path', { line: `POST /v1/%2e%2e/metrics HTTP/1.1` }, [404]],
  ['an encoded slash in the path', { line: 'POST /v1%2fchat/completions HTTP/1.1' }, [404]],
  ['a fragment', { line: `POST ${chatPath}#x HTTP/1.1` }, [404]],
  ['a backslash', { line: `POST /v1\\chat/completions HTTP/1.1` }, [400]],
  ['a NUL in the path', { line: `POST ${chatPath}\0 HTTP/1.1` }, [400]],
  ['a letter beyond ASCII in the path', { line: `POST ${chatPath}\xe9 HTTP/1.1` }, [400]],
  ['a target of 20 KB', { line: `POST ${chatPath}?${'x'.repeat(20_000)} HTTP/1.1` }, [414, 431]],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
  ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', [0, 400]],
  ['nothing but line ends', '\r\n'.repeat(200), [0, 400]],
]

const heads: readonly Row[] = [
  ['two hosts', { host: 'Host: a\r\nHost: a\r\n' }, [400]],
  ['no host', { host: '' }, [400]],
  ['a host with a path', { host: 'Host: a/#\r\n' }, [400]],
  ['a host with a query', { host: 'Host: a/?\r\n' }, [400]],
  ['two hosts in one line', { host: 'Host: a, b\r\n' }, [400]],
  ['a host that a URL would read as another', { host: 'Host: 127.1\r\n' }, [400]],
  ['an address as one number', { host: 'Host: 2130706433\r\n' }, [400]],
  ['a host with a user', { host: 'Host: x@a\r\n' }, [400]],
  ['a host with a space', { host: 'Host: a b\r\n' }, [400]],
  ['a space before a colon', { extra: 'X-A : b\r\n' }, [400]],
  ['a folded header', { extra: 'X-A: b\r\n c\r\n' }, [400]],
  ['a folded first header', { host: ' Host: a\r\nHost: a\r\n' }, [400]],
  ['a header without a colon', { extra: 'X-A\r\n' }, [400]],
  ['a header without a name', { extra: ': b\r\n' }, [400]],
  ['a bare LF', { extra: 'X-A: b\nX-C: d\r\n' }, [400]],
  ['a bare CR', { extra: 'X-A: b\rX-C: d\r\n' }, [400]],
  ['a NUL in a value', { extra: 'X-A: b\0c\r\n' }, [400]],
  ['a NUL in a name', { extra: 'X\0A: b\r\n' }, [400]],
  ['an escape in a value', { extra: 'X-A: \x1b[2J\r\n' }, [400]],
  ['bytes beyond ASCII in a value', { extra: 'X-A: \xff\xfe\r\n' }, [200]],
  ['a stray CR before the end', { extra: 'X-A: b\r\n\rX' }, [400]],
  ['a header named __proto__', { extra: '__proto__: x\r\n' }, [400]],
  ['headers named as what objects inherit', { extra: 'constructor: x\r\ntoString: y\r\nhasOwnProperty: z\r\n' }, [200]],
  ['a name with an underscore', { extra: 'X_Request_Id: x\r\n' }, [400]],
  ['a name with a point', { extra: 'X.A: x\r\n' }, [400]],
  ['an authorization twice', { extra: 'Authorization: Bearer x\r\n' }, [400]],
  ['a forwarded-for twice', { extra: 'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 127.0.0.1\r\n' }, [200]],
  ['101 headers', { extra: names(101) }, [431]],
  ['1500 headers in few bytes', { extra: 'a:\r\n'.repeat(1_500) }, [431]],
  ['a header of 20 KB', { extra: `X-A: ${'b'.repeat(20_000)}\r\n` }, [431]],
  ['a name of 20 KB', { extra: `${'X'.repeat(20_000)}: b\r\n` }, [431]],
  ['an odd expectation', { extra: 'Expect: y 100-continue\r\n' }, [417]],
  ['an empty expectation', { extra: 'Expect:\r\n' }, [417]],
  ['an expectation that is met', { extra: 'Expect: 100-continue\r\n' }, [200]],
  ['a body that is compressed', { extra: 'Content-Encoding: gzip\r\n' }, [415]],
  ['an upgrade to a web socket', { extra: 'Connection: Upgrade\r\nUpgrade: websocket\r\n' }, [200, 400]],
  [
    'an upgrade to HTTP/2',
    { extra: 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n' },
    [200, 400],
  ],
  ['a connection that names what we set', { extra: 'Connection: X-Request-Id, authorization\r\n' }, [200]],
  ['a head that never ends', `GET /health HTTP/1.1\r\nHost: a\r\nX-A: b`, [0, 400]],
]

/** Every hand-written case, for a caller with this key. */
export function framingCases(key: string): readonly FramingCase[] {
  return [...lengths, ...framings, ...codings, ...chunks, ...lines, ...heads].map(([name, change, statuses]) => ({
    name,
    text: typeof change === 'string' ? change.replaceAll('{key}', key) : chatText(key, change),
    statuses,
  }))
}

function hiddenRequest(): Change {
  return { framing: 'Content-Length: 0\r\n', body: 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n' }
}

function names(count: number): string {
  return Array.from({ length: count }, (_, at) => `X-N-${at}: 1\r\n`).join('')
}
