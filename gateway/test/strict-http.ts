import { fail, ok } from 'node:assert/strict'

/** One answer as RFC 9112 reads it, without any of the leniency of real clients. */
export interface StrictAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
  /** Whether the body is there to the end that its framing announces. */
  readonly whole: boolean
}

const statusLine = /^HTTP\/1\.1 (\d{3}) [\t\x20-\x7e\x80-\xff]*$/
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t\x20-\x7e\x80-\xff]*?)[\t ]*$/
const chunkLine = /^([0-9a-f]{1,8})$/i

/**
 * Reads everything that came over one connection as HTTP/1.1 answers; throws an AssertionError at the first byte that is
 * none. Only the last answer may be broken off, and after it nothing may stand.
 */
export function readAnswers(bytes: Buffer): StrictAnswer[] {
  const answers: StrictAnswer[] = []
  for (let at = 0; at < bytes.length; ) {
    const headEnd = bytes.indexOf('\r\n\r\n', at, 'latin1')
    // A head that was cut is a visibly broken answer.
    if (headEnd < 0) return [...answers, { status: 0, headers: new Map(), body: bytes.subarray(at), whole: false }]
    const { status, headers } = readHead(bytes.toString('latin1', at, headEnd))
    const bodyAt = headEnd + 4
    const { body, end } = readBody(bytes, bodyAt, status, headers)
    answers.push({ status, headers, body, whole: end !== undefined })
    if (end === undefined) return answers
    at = end
  }
  return answers
}

/** The final answers among them, without the interim ones. */
export function finalAnswers(bytes: Buffer): StrictAnswer[] {
  return readAnswers(bytes).filter(({ status }) => status === 0 || status >= 200)
}

function readHead(text: string): { status: number; headers: Map<string, string> } {
  const [first = '', ...lines] = text.split('\r\n')
  const status = Number(statusLine.exec(first)?.[1] ?? fail(`no status line: ${JSON.stringify(first)}`))
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name = '', value = ''] = headerLine.exec(line) ?? fail(`no header: ${JSON.stringify(line)}`)
    ok(!headers.has(name.toLowerCase()), `the header ${name} came twice`)
    headers.set(name.toLowerCase(), value)
  }
  return { status, headers }
}

function readBody(
  bytes: Buffer,
  at: number,
  status: number,
  headers: ReadonlyMap<string, string>,
): { body: Buffer; end: number | undefined } {
  const length = headers.get('content-length')
  const coding = headers.get('transfer-encoding')
  if (status < 200 || status === 204 || status === 304) {
    ok(length === undefined && coding === undefined, `a ${status} announces a body`)
    return { body: Buffer.alloc(0), end: at }
  }
  ok(length === undefined || coding === undefined, 'an answer with two framings')
  if (coding !== undefined) {
    ok(coding === 'chunked', `the transfer coding ${coding}`)
    return readChunks(bytes, at)
  }
  if (length === undefined) fail('an answer that does not say where it ends')
  ok(/^\d{1,15}$/.test(length), `the length ${length}`)
  const end = at + Number(length)
  return { body: bytes.subarray(at, end), end: end <= bytes.length ? end : undefined }
}

function readChunks(bytes: Buffer, start: number): { body: Buffer; end: number | undefined } {
  const chunks: Buffer[] = []
  const broken = () => ({ body: Buffer.concat(chunks), end: undefined })
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at, 'latin1')
    if (lineEnd < 0) {
      ok(bytes.length - at < 12, 'a chunk begins with no size')
      return broken()
    }
    const line = bytes.toString('latin1', at, lineEnd)
    const size = Number.parseInt(chunkLine.exec(line)?.[1] ?? fail(`no size of a chunk: ${JSON.stringify(line)}`), 16)
    const end = lineEnd + 2 + size
    chunks.push(bytes.subarray(lineEnd + 2, end))
    if (bytes.length < end + 2) return broken()
    ok(bytes.toString('latin1', end, end + 2) === '\r\n', 'a chunk longer than its size, or a trailer')
    at = end + 2
    if (size === 0) return { body: Buffer.concat(chunks), end: at }
  }
}
