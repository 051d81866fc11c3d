import { mutate } from './malformed.ts'
import type { Plan } from './raw-upstream.ts'
import type { Chance } from './seeded.ts'

/** An answer of an engine that means no good, and what a caller may make of it. */
export interface HostileAnswer extends Plan {
  readonly kind: string
  /** Whether the bytes are as they were meant to be, so that the caller must get them whole. */
  readonly honest: boolean
  readonly stream: boolean
}

interface Context {
  readonly nonce: string
  /** Where a trap listens; nobody may ever come. */
  readonly trap: string
  readonly stream: boolean
  readonly chance: Chance
}

type Ending = Plan['ending']
interface Raw {
  readonly text: string
  readonly ending?: Ending
  readonly endless?: string
  readonly early?: boolean
  readonly honest?: boolean
  /** In one write: what stands behind an answer must be there with it, or the next request is already on its way. */
  readonly atOnce?: boolean
}
type Make = (context: Context) => Raw

const ok = 'HTTP/1.1 200 OK\r\n'
const json = 'content-type: application/json\r\n'
const crlf = '\r\n'

/** A whole chat completion that carries the nonce at its begin and its end. */
export function plainBody(nonce: string): string {
  const choice = { index: 0, message: { role: 'assistant', content: 'x'.repeat(300) }, finish_reason: 'stop' }
  return JSON.stringify({ id: nonce, object: 'chat.completion', choices: [choice], end: nonce })
}

/** A whole stream; the last event before the terminal one is the mark of an answer that was not cut. */
export function streamBody(nonce: string): string {
  const event = (content: string) =>
    `data: ${JSON.stringify({ id: nonce, choices: [{ index: 0, delta: { content } }] })}\n\n`
  const last = { id: nonce, choices: [{ index: 0, delta: { content: `last-${nonce}` }, finish_reason: 'stop' }] }
  return `${event('a')}${event('b'.repeat(200))}data: ${JSON.stringify(last)}\n\ndata: [DONE]\n\n`
}

function bodyOf({ nonce, stream }: Context): string {
  return stream ? streamBody(nonce) : plainBody(nonce)
}

function typeOf({ stream }: Context): string {
  return stream ? 'content-type: text/event-stream; charset=utf-8\r\n' : json
}

function chunks(text: string): string {
  const pieces = text.match(/[\s\S]{1,150}/g) ?? []
  return pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')
}

/** An honest answer with `more` headers, or with other framing, or another body. */
function answer(
  context: Context,
  change: { status?: string; more?: string; framing?: string; body?: string } = {},
): string {
  const body = bodyOf(context)
  const framing = context.stream ? 'transfer-encoding: chunked\r\n' : `content-length: ${body.length}\r\n`
  const framed = context.stream ? `${chunks(body)}0\r\n\r\n` : body
  return `${change.status ?? ok}${typeOf(context)}${change.framing ?? framing}${change.more ?? ''}${crlf}${change.body ?? framed}`
}

const inChunks = (context: Context, body: string): string =>
  answer(context, { framing: 'transfer-encoding: chunked\r\n', body })

/** The kinds of hostile answers, each by what is wrong with it. */
const kinds: Readonly<Record<string, Make>> = {
  'nothing wrong': (c) => ({ text: answer(c), ending: 'keep', honest: true }),
  'nothing wrong, and closed': (c) => ({ text: answer(c, { more: 'connection: close\r\n' }), honest: true }),
  'nothing wrong, in chunks': (c) => ({
    text: inChunks(c, `${chunks(bodyOf(c))}0\r\n\r\n`),
    ending: 'keep',
    honest: true,
  }),
  'interim answers first': (c) => ({
    text: `HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${answer(c)}`,
    ending: 'keep',
  }),
  'the same length twice': (c) => ({
    text: answer(c, { framing: `content-length: ${bodyOf(c).length}\r\n`.repeat(2), body: bodyOf(c) }),
  }),
  'two lengths': (c) => ({
    text: answer(c, { framing: `content-length: 5\r\ncontent-length: ${bodyOf(c).length}\r\n`, body: bodyOf(c) }),
  }),
  'two lengths in a line': (c) => ({ text: answer(c, { framing: 'content-length: 5, 5\r\n', body: bodyOf(c) }) }),
  'a length that is none': (c) => ({
    text: answer(c, {
      framing: `content-length: ${c.chance.pick(['+5', '-1', '0x10', '1e2', '', '5 5', '99999999999999999999'])}\r\n`,
      body: bodyOf(c),
    }),
  }),
  'chunks and a length': (c) => ({
    text: answer(c, {
      framing: `content-length: ${c.chance.pick([5, bodyOf(c).length])}\r\ntransfer-encoding: chunked\r\n`,
      body: `${chunks(bodyOf(c))}0\r\n\r\n`,
    }),
  }),
  'another transfer coding': (c) => ({
    text: answer(c, {
      framing: `transfer-encoding: ${c.chance.pick(['gzip', 'gzip, chunked', 'identity', 'xchunked', 'chunked, chunked'])}\r\n`,
      body: `${chunks(bodyOf(c))}0\r\n\r\n`,
    }),
  }),
  'too short for its length': (c) => ({
    text: answer(c, { framing: `content-length: ${bodyOf(c).length + 50}\r\n`, body: bodyOf(c) }),
  }),
  'too long for its length': (c) => ({
    text: answer(c, { framing: `content-length: ${bodyOf(c).length}\r\n`, body: `${bodyOf(c)}late-${c.nonce}` }),
    atOnce: true,
    ending: 'keep',
  }),
  'no end but that of its connection': (c) => ({ text: answer(c, { framing: '', body: bodyOf(c) }) }),
  'no end but that of its connection, cut': (c) => ({
    text: answer(c, { framing: '', body: bodyOf(c).slice(0, 150) }),
  }),
  'HTTP/1.0': (c) => ({ text: answer(c, { status: 'HTTP/1.0 200 OK\r\n' }) }),
  'HTTP/0.9': (c) => ({ text: bodyOf(c) }),
  'HTTP/2': (c) => ({ text: `HTTP/2 200\r\n${json}\r\n${bodyOf(c)}` }),
  'a header of 1 MiB': (c) => ({ text: answer(c, { more: `x-a: ${'b'.repeat(1 << 20)}\r\n` }) }),
  'a name of 1 MiB': (c) => ({ text: answer(c, { more: `${'b'.repeat(1 << 20)}: x\r\n` }) }),
  '5,000 headers': (c) => ({
    text: answer(c, { more: Array.from({ length: 5_000 }, (_, at) => `x-${at}: 1\r\n`).join('') }),
  }),
  'an endless header': () => ({ text: `${ok}x-a: `, endless: 'b'.repeat(16_384) }),
  'an endless row of headers': () => ({ text: ok, endless: 'x-a: b\r\n'.repeat(2_000) }),
  'an endless status line': () => ({ text: 'HTTP/1.1 200 ', endless: 'O'.repeat(16_384) }),
  'an endless body': (c) => ({
    text: `${ok}${typeOf(c)}transfer-encoding: chunked\r\n\r\n`,
    endless: `4000\r\ndata: ${'x'.repeat(0x3ff8)}\n\n\r\n`,
  }),
  'an endless event': () => ({
    text: `${ok}content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n`,
    endless: `4000\r\n${'x'.repeat(0x4000)}\r\n`,
  }),
  'an endless chunk extension': (c) => ({
    text: `${ok}${typeOf(c)}transfer-encoding: chunked\r\n\r\n5;`,
    endless: 'x'.repeat(16_384),
  }),
  'endless trailers': (c) => ({
    text: `${inChunks(c, `${chunks(bodyOf(c))}0\r\n`)}`,
    endless: 'x-a: b\r\n'.repeat(2_000),
  }),
  'a body that announces too much': (c) => ({
    text: answer(c, { framing: 'content-length: 99999999999\r\n', body: bodyOf(c) }),
  }),
  'a flood of interim answers': () => ({
    text: '',
    endless: `HTTP/1.1 ${'102 Processing'}\r\nx-a: b\r\n\r\n`.repeat(200),
  }),
  'an interim 100': (c) => ({ text: `HTTP/1.1 100 Continue\r\n\r\n${answer(c)}` }),
  'an upgrade': (c) => ({
    text: `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n${bodyOf(c)}`,
    ending: 'keep',
  }),
  'a redirect': (c) => ({
    text: answer(c, {
      status: `HTTP/1.1 ${c.chance.pick([300, 301, 302, 303, 304, 305, 307, 308, 399])} Moved\r\n`,
      more: `location: ${c.trap}\r\nrefresh: 0; url=${c.trap}\r\n`,
    }),
  }),
  'a coding': (c) => ({
    text: answer(c, {
      more: `Content-Encoding: ${c.chance.pick(['gzip', 'br', 'deflate', 'zstd', 'gzip, br', 'GZIP', 'x-gzip', '', 'compress'])}\r\n`,
    }),
  }),
  'two codings': (c) => ({ text: answer(c, { more: 'content-encoding: identity\r\ncontent-encoding: gzip\r\n' }) }),
  'a type that no model answers with': (c) => ({
    text: answer(c, { status: `${ok}`, framing: `content-length: ${bodyOf(c).length}\r\n`, body: bodyOf(c) }).replace(
      /content-type: [^\r]*/,
      `content-type: ${c.chance.pick(['text/html', 'application/octet-stream', '', 'application/json-seq', 'image/svg+xml'])}`,
    ),
  }),
  'no type': (c) => ({
    text: answer(c, { framing: `content-length: ${bodyOf(c).length}\r\n`, body: bodyOf(c) }).replace(
      /content-type: [^\r]*\r\n/,
      '',
    ),
  }),
  'two types': (c) => ({ text: answer(c, { more: 'content-type: text/html\r\n' }) }),
  'a status of its own': (c) => ({
    text: answer(c, { status: `HTTP/1.1 ${c.chance.pick(['201', '204', '205', '206', '226', '299'])} X\r\n` }),
  }),
  'a status that is none': (c) => ({
    text: answer(c, {
      status: `HTTP/1.1 ${c.chance.pick(['000', '099', '600', '999', '20', '2000', '-200', 'OK'])} X\r\n`,
    }),
  }),
  'an error with words of the inside': (c) => {
    const body = JSON.stringify({
      error: { message: `${c.nonce} at 192.168.7.7 on gpu.tail1.ts.net`, param: 'x'.repeat(500) },
    })
    return {
      text: `HTTP/1.1 ${c.chance.pick([400, 401, 404, 422, 429, 500, 503])} X\r\n${json}content-length: ${body.length}\r\n\r\n${body}`,
      ending: 'keep',
    }
  },
  'an error that never ends': (c) => ({
    text: `HTTP/1.1 ${c.chance.pick([400, 500])} X\r\n${json}transfer-encoding: chunked\r\n\r\n`,
    endless: `4000\r\n${'x'.repeat(0x4000)}\r\n`,
  }),
  'an error that nests without end': () => {
    const body = `{"detail":[{"loc":${'['.repeat(9_000)}1${']'.repeat(9_000)},"msg":{"toString":1}}]}`
    return { text: `HTTP/1.1 422 X\r\n${json}content-length: ${body.length}\r\n\r\n${body}` }
  },
  'a bad size of a chunk': (c) => ({
    text: inChunks(
      c,
      `${c.chance.pick(['zz', '-1', '0x5', '', '+5', 'fffffffffffffffff', '5 5'])}\r\nhello\r\n0\r\n\r\n`,
    ),
  }),
  'a chunk longer than its size': (c) => ({ text: inChunks(c, `5\r\n${bodyOf(c)}\r\n0\r\n\r\n`) }),
  'a chunk shorter than its size': (c) => ({ text: inChunks(c, `fff\r\n${bodyOf(c)}\r\n0\r\n\r\n`) }),
  'chunks without the last one': (c) => ({ text: inChunks(c, chunks(bodyOf(c))) }),
  'chunks that end in LF': (c) => ({ text: inChunks(c, `${chunks(bodyOf(c))}0\r\n\r\n`.replaceAll(crlf, '\n')) }),
  trailers: (c) => ({
    text: inChunks(c, `${chunks(bodyOf(c))}0\r\nx-a: b\r\nset-cookie: a=b\r\n\r\n`),
    ending: 'keep',
  }),
  'a second answer behind it': (c) => ({
    text: answer(c) + answer({ ...c, nonce: `poison-${c.nonce}` }),
    atOnce: true,
    ending: 'keep',
  }),
  'garbage behind it': (c) => ({ text: `${answer(c)}\x00\x01poison-${c.nonce}`, atOnce: true, ending: 'keep' }),
  'garbage before it': (c) => ({ text: `\x16\x03\x01${answer(c)}` }),
  'garbage alone': (c) => ({
    text: Array.from({ length: 400 }, () => String.fromCharCode(c.chance.below(256))).join(''),
  }),
  'a greeting of SSH': () => ({ text: 'SSH-2.0-OpenSSH_9.2\r\n', ending: 'keep' }),
  'nothing at all': () => ({ text: '' }),
  'a cut': (c) => ({
    text: answer(c).slice(0, c.chance.below(answer(c).length)),
    ending: c.chance.pick(['fin', 'rst']),
  }),
  'a cut that leaves the connection open': (c) => ({
    text: answer(c).slice(0, c.chance.below(answer(c).length)),
    ending: 'keep',
  }),
  'an answer before the request ends': (c) => ({
    text: answer(c),
    early: true,
    ending: c.chance.pick(['keep', 'fin', 'rst']),
  }),
  'a header with a break': (c) => ({
    text: answer(c, {
      more: `x-a: ${c.chance.pick(['b\nc: d', 'b\rc: d', 'b\r\n c', 'b\0c', '\x1b[2J', '\xff\xfe'])}\r\n`,
    }),
  }),
  'a space before a colon': (c) => ({ text: answer(c, { more: 'content-length : 5\r\n' }) }),
  'headers that pages obey': (c) => ({
    text: answer(c, {
      more: `set-cookie: a=b\r\nlocation: ${c.trap}\r\nlink: <${c.trap}>; rel=preload\r\naccess-control-allow-origin: *\r\nalt-svc: h2=":1"\r\nclear-site-data: "*"\r\n`,
    }),
    ending: 'keep',
    honest: true,
  }),
  'a stream with an error and [DONE]': (c) => ({
    text: answer(
      { ...c, stream: true },
      { body: `${chunks(`data: {"error":{"message":"at 10.0.0.1"}}\n\ndata: [DONE]\n\n`)}0\r\n\r\n` },
    ),
    ending: 'keep',
  }),
  'a stream that goes on after [DONE]': (c) => ({
    text: `${ok}content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n${chunks(streamBody(c.nonce))}`,
    endless: `${chunks(`data: poison-${c.nonce}\n\n`)}`,
  }),
  'a stream without [DONE]': (c) => ({
    text: answer(
      { ...c, stream: true },
      { body: `${chunks(streamBody(c.nonce).replace('data: [DONE]\n\n', ''))}0\r\n\r\n` },
    ),
    ending: 'keep',
  }),
  'bytes that are no UTF-8': (c) => ({
    text: answer(c).replace('xxx', '\xff\xfe\x80').replace('bbb', '\xff\xfe\x80'),
    ending: 'keep',
  }),
  'bytes changed at random': (c) => ({ text: mutate(answer(c), c.chance), ending: c.chance.pick(['fin', 'keep']) }),
  'bytes changed at random, in chunks': (c) => ({
    text: mutate(inChunks(c, `${chunks(bodyOf(c))}0\r\n\r\n`), c.chance),
    ending: 'fin',
  }),
}

export const kindNames: readonly string[] = Object.keys(kinds)

/** A hostile answer of a kind, sliced anywhere. */
export function hostileAnswer(kind: string, context: Context): HostileAnswer {
  const raw = kinds[kind]?.(context)
  if (raw === undefined) throw new Error(`no such kind: ${kind}`)
  return {
    kind,
    mark: kind,
    stream: context.stream,
    honest: raw.honest === true,
    writes:
      raw.atOnce === true ? [Buffer.from(raw.text, 'latin1')] : slices(Buffer.from(raw.text, 'latin1'), context.chance),
    ending: raw.ending ?? 'fin',
    ...(raw.endless === undefined ? {} : { endless: Buffer.from(raw.endless, 'latin1') }),
    ...(raw.early === undefined ? {} : { early: raw.early }),
  }
}

/** Whole, in up to eight pieces, or the first bytes one by one. */
function slices(bytes: Buffer, chance: Chance): Buffer[] {
  const way = chance.next()
  if (way < 0.4 || bytes.length < 2) return [bytes]
  const edges =
    way < 0.8 ? Array.from({ length: 7 }, () => chance.below(bytes.length)) : Array.from({ length: 60 }, (_, at) => at)
  const sorted = [...new Set([0, ...edges, bytes.length])]
    .filter((edge) => edge <= bytes.length)
    .sort((one, other) => one - other)
  return sorted.slice(1).map((edge, at) => bytes.subarray(sorted[at], edge))
}
