import type { ErrorCode } from '../errors.ts'

/** One request head as it came, before anything has merged, dropped or rewritten a part of it. */
export interface RawHead {
  readonly method: string
  readonly url: string
  readonly httpVersion: string
  /** Names and values in turn, as sent. */
  readonly rawHeaders: readonly string[]
}

/** Why a head is refused. `message` is public and repeats nothing of the request but header names. */
export interface Refusal {
  readonly code: Extract<ErrorCode, 'bad_request_line' | 'bad_header' | 'too_many_headers' | 'expectation_failed'>
  readonly message: string
}

type Values = ReadonlyMap<string, readonly string[]>
type Rule = (head: RawHead, values: Values) => Refusal | undefined

export const headersMax = 100
const headerName = /^[A-Za-z0-9-]+$/
const hostAndPort = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?$/
const portMax = 65_535
/** Headers of which Node keeps the first, the last or all: whoever reads the other one decides something else. */
const single = new Set([
  ...['host', 'content-length', 'transfer-encoding', 'content-type', 'content-encoding', 'expect', 'origin'],
  ...['authorization', 'proxy-authorization', 'user-agent', 'referer', 'from', 'date', 'max-forwards', 'range'],
  ...['if-modified-since', 'if-unmodified-since', 'if-range', 'content-range', 'content-location', 'upgrade'],
  ...['access-control-request-method', 'access-control-request-headers', 'x-request-id'],
])

/** In order: what is found first is what the caller is told. */
const rules: readonly Rule[] = [
  ({ rawHeaders }) =>
    rawHeaders.length / 2 <= headersMax
      ? undefined
      : { code: 'too_many_headers', message: `The request has more than ${headersMax} headers.` },
  ({ url }) =>
    url.startsWith('/') ? undefined : badLine('The target of the request must be a path that begins with "/".'),
  ({ url }) =>
    /[^!-~]|\\/.test(url) ? badLine('The target of the request has a character that must be encoded.') : undefined,
  ({ method }) => (method === 'CONNECT' ? badLine('No tunnels are opened here.') : undefined),
  ({ httpVersion }) =>
    httpVersion === '1.1' || httpVersion === '1.0' ? undefined : badLine('Only HTTP/1.1 and HTTP/1.0 are spoken here.'),
  (_, values) => {
    const odd = [...values.keys()].find((name) => !headerName.test(name))
    return odd === undefined
      ? undefined
      : badHeader('A header has a name with other characters than letters, digits and "-".')
  },
  (_, values) => {
    const twice = [...values].find(([name, all]) => single.has(name) && all.length > 1)
    return twice === undefined ? undefined : badHeader(`The header "${twice[0]}" stands more than once.`)
  },
  judgeHost,
  judgeFraming,
  (_, values) => (values.has('trailer') ? badHeader('Trailers are not read here.') : undefined),
  (_, values) => {
    const expect = values.get('expect')?.[0]
    return expect === undefined || expect.toLowerCase() === '100-continue'
      ? undefined
      : { code: 'expectation_failed', message: 'The only expectation that is met here is "100-continue".' }
  },
]

/**
 * Refuses what two readers of HTTP could understand in two ways, or what we would rather not read at all; the rest is
 * undefined. Node's parser has accepted the bytes by then, so this knows only what that lets pass.
 */
export function judgeRequest(head: RawHead): Refusal | undefined {
  const values = valuesByName(head.rawHeaders)
  for (const rule of rules) {
    const refusal = rule(head, values)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

function judgeHost({ httpVersion }: RawHead, values: Values): Refusal | undefined {
  const host = values.get('host')?.[0]
  if (host === undefined) return httpVersion === '1.0' ? undefined : badHeader('The header "host" is missing.')
  const found = hostAndPort.exec(host)
  if (found === null || !isPlainName(host))
    return badHeader('The header "host" is no name or address with an optional port.')
  return found[1] !== undefined && (Number(found[1]) > portMax || Number(found[1]) === 0)
    ? badHeader('The header "host" has a port that does not exist.')
    : undefined
}

/** Whether a reader of URLs takes the name as it is written: `127.1` and `0x7f000001` mean another one to it. */
function isPlainName(host: string): boolean {
  const name = host.replace(/:\d+$/, '').toLowerCase()
  return URL.parse(`http://${host}/`)?.hostname === name
}

function judgeFraming({ httpVersion }: RawHead, values: Values): Refusal | undefined {
  const encoding = values.get('transfer-encoding')?.[0]
  const length = values.get('content-length')?.[0]
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return badHeader('The header "content-length" is no number.')
  if (encoding === undefined) return undefined
  if (httpVersion === '1.0') return badHeader('HTTP/1.0 has no "transfer-encoding".')
  if (encoding !== 'chunked') return badHeader('The header "transfer-encoding" must be exactly "chunked".')
  return length === undefined ? undefined : badHeader('There is a "transfer-encoding" and a "content-length".')
}

function valuesByName(rawHeaders: readonly string[]): Values {
  const values = new Map<string, string[]>()
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase()
    const value = rawHeaders[at + 1] ?? ''
    const known = values.get(name)
    if (known === undefined) values.set(name, [value])
    else known.push(value)
  }
  return values
}

function badLine(message: string): Refusal {
  return { code: 'bad_request_line', message }
}

function badHeader(message: string): Refusal {
  return { code: 'bad_header', message }
}
