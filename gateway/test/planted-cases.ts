import { crc32 } from 'node:zlib'
import { plant } from './canaries.ts'
import type { Behaviour } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import type { RawRequest } from './raw-client.ts'
import { chatPath, model } from './wire.ts'

/** Each canary of one caller, by the place where it is planted. */
export const planted = new Set<string>()
const put = (place: string): string => {
  planted.add(place)
  return plant(place)
}

/** What the operator's own environment holds. */
export const plantedEnv = {
  HEARTH_ENGINE_API_KEY: put('engine-key'),
  OPENAI_API_KEY: put('foreign-env'),
  TS_AUTHKEY: `tskey-auth-${put('tailscale-key')}`,
  DATABASE_URL: `postgres://u:${put('database-password')}@127.0.0.1/x`,
}

/** A picture with a canary in its text chunk. */
function picture(place: string): string {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    sum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, sum])
  }
  const size = Buffer.from([0, 0, 0, 8, 0, 0, 0, 8, 8, 2, 0, 0, 0])
  const bytes = Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    ...[chunk('IHDR', size), chunk('tEXt', Buffer.from(`Comment\0${put(place)}`))],
    ...[chunk('IDAT', Buffer.from(put(`${place}-data`))), chunk('IEND', Buffer.alloc(0))],
  ])
  return `data:image/png;base64,${bytes.toString('base64')}`
}

/** A chat request with something planted wherever a caller may write. */
function fullChat(): Record<string, unknown> {
  const call = { name: put('call-name'), arguments: JSON.stringify({ secret: put('call-arguments') }) }
  const tool = { name: put('tool-name'), description: put('tool-description') }
  const parameters = { type: 'object', properties: { [put('tool-property')]: { description: put('tool-parameter') } } }
  return {
    model,
    messages: [
      { role: 'system', content: put('system-prompt') },
      { role: 'user', name: put('user-name'), content: [{ type: 'text', text: put('user-prompt') }] },
      { role: 'user', content: [{ type: 'image_url', image_url: { url: picture('picture') } }] },
      {
        role: 'assistant',
        content: put('assistant-text'),
        tool_calls: [{ id: put('call-id'), type: 'function', function: call }],
      },
      { role: 'tool', tool_call_id: plant('call-id'), content: put('tool-result') },
    ],
    tools: [{ type: 'function', function: { ...tool, parameters } }],
    stop: [put('stop-words')],
    user: put('user-field'),
    metadata: { [put('metadata-name')]: put('metadata-value') },
    response_format: {
      type: 'json_schema',
      json_schema: { name: put('schema-name'), schema: { title: put('schema') } },
    },
    [put('unknown-field')]: put('unknown-value'),
    safety_identifier: put('safety-identifier'),
    prompt_cache_key: put('cache-key'),
  }
}

const headersOf = (key: string): Record<string, string> => ({
  authorization: `Bearer ${key}`,
  'content-type': `application/json; x="${put('content-type')}"`,
  cookie: `session=${put('cookie')}`,
  'user-agent': put('user-agent'),
  referer: `https://a.example/${put('referer')}`,
  origin: `https://${put('origin').toLowerCase()}.example`,
  'x-forwarded-for': put('forwarded-for'),
  'x-request-id': put('request-id'),
  traceparent: `00-${put('traceparent')}`,
  tracestate: `vendor=${put('tracestate')}`,
  'x-cloud-trace-context': put('cloud-trace'),
  baggage: `secret=${put('baggage')}`,
  [put('header-name')]: put('header-value'),
})
const query = `?key=${put('query')}`

/** How far a request can come, each with the fields of its record that are known there first. */
export const steps = {
  begun: ['requestId', 'outcome', 'status', 'ms'],
  routed: ['route'],
  keyed: ['keyId'],
  read: ['bytesIn'],
  chosen: ['model', 'engine', 'stream'],
  looked: ['pictures', 'picturePixels', 'pictureBytes'],
  queued: ['queueMs'],
  connected: ['connectMs', 'reused'],
  answered: ['firstByteMs', 'tokensEstimated'],
} as const

/** One way in which a request ends. */
export interface Case {
  readonly request: (gateway: Gateway) => RawRequest
  readonly behaviour?: Behaviour
  readonly status: number
  readonly outcome: string
  readonly severity?: 'WARNING'
  /** How far it came. */
  readonly step: keyof typeof steps
  /** What else is known of it. */
  readonly more?: readonly ('detail' | 'fix')[]
}

/** Sends a full request. */
export const send = (
  more: Partial<RawRequest> = {},
  change: (chat: Record<string, unknown>) => object = (chat) => chat,
) => {
  return (gateway: Gateway): RawRequest => {
    const body = JSON.stringify(change(fullChat()))
    return { method: 'POST', path: chatPath + query, headers: headersOf(gateway.key), body, ...more }
  }
}
export const streamed = (chat: Record<string, unknown>) => ({ ...chat, stream: true })
export const says = { tokens: ['one ', put('engine-answer'), ' two'] }
const error = (status: number, place: string): Behaviour => ({
  error: {
    status,
    body: 'object',
    message: `CUDA out of memory at ${put(place)}`,
    headers: [['x-engine', put('engine-header')]],
  },
})
const raw = (body: string, type = 'application/json') =>
  `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\nserver: ${put('engine-server')}\r\n\r\n${body}`
const otherKey = `hk_ABCDEFGHIJ_${put('wrong-key').replace('-', '')}`

/** Every way in which a request can end, that one test can reach within a second. */
export const cases: Readonly<Record<string, Case>> = {
  'an answer': { step: 'answered', request: send(), status: 200, behaviour: says, outcome: 'ok' },
  'a stream': { step: 'answered', request: send({}, streamed), status: 200, behaviour: says, outcome: 'ok' },
  'an odd reason to stop': {
    step: 'answered',
    request: send(),
    status: 200,
    behaviour: { ...says, finish: put('finish-reason') },
    outcome: 'ok',
  },
  'a stream that dies': {
    step: 'answered',
    severity: 'WARNING',
    more: ['detail'],
    ...{ request: send({}, streamed), status: 200, outcome: 'engine_died' },
    behaviour: { ...says, cut: { how: 'rst', at: 700 } },
  },
  'an error that echoes': {
    step: 'connected',
    more: ['detail'],
    request: send(),
    status: 400,
    behaviour: error(400, 'engine-echo'),
    outcome: 'invalid_request',
  },
  'a failure that echoes': {
    step: 'connected',
    severity: 'WARNING',
    more: ['detail'],
    request: send(),
    status: 502,
    behaviour: error(500, 'engine-failure'),
    outcome: 'engine_error',
  },
  'an engine that is full': {
    step: 'connected',
    severity: 'WARNING',
    more: ['detail'],
    request: send(),
    status: 503,
    behaviour: error(503, 'engine-full'),
    outcome: 'engine_unreachable',
  },
  'a refused key of the engine': {
    step: 'connected',
    severity: 'WARNING',
    more: ['detail', 'fix'],
    request: send(),
    status: 502,
    behaviour: error(401, 'engine-refusal'),
    outcome: 'engine_key_refused',
  },
  'an error in a stream': {
    step: 'answered',
    severity: 'WARNING',
    more: ['detail'],
    ...{ request: send({}, streamed), status: 200, outcome: 'engine_error' },
    behaviour: {
      raw: raw(`data: ${JSON.stringify({ error: { message: put('engine-event') } })}\n\n`, 'text/event-stream'),
    },
  },
  'an answer of another type': {
    step: 'connected',
    severity: 'WARNING',
    more: ['detail'],
    ...{ request: send(), status: 502, outcome: 'engine_bad_answer' },
    behaviour: { raw: raw(put('engine-html'), `text/${put('engine-type')}`) },
  },
  'a redirect': {
    step: 'connected',
    severity: 'WARNING',
    more: ['detail'],
    ...{ request: send(), status: 502, outcome: 'engine_bad_answer' },
    behaviour: { redirect: { status: 302, location: `http://${put('engine-location')}/` } },
  },
  'bytes that are no HTTP': {
    step: 'connected',
    severity: 'WARNING',
    more: ['detail'],
    ...{ request: send(), status: 502, outcome: 'engine_bad_answer' },
    behaviour: { raw: `${put('engine-bytes')}\r\n\r\n` },
  },
  'nobody at home': {
    step: 'queued',
    severity: 'WARNING',
    more: ['detail'],
    request: send({}, (chat) => ({ ...chat, model: 'away' })),
    status: 503,
    outcome: 'engine_unreachable',
  },
  'no key': {
    step: 'routed',
    request: (gateway) => ({ ...send()(gateway), headers: { cookie: put('cookie') } }),
    status: 401,
    outcome: 'missing_api_key',
  },
  'a wrong key': {
    step: 'routed',
    request: () => ({ method: 'POST', path: chatPath, headers: headersOf(otherKey), body: '' }),
    status: 401,
    outcome: 'invalid_api_key',
  },
  'a key of another kind': {
    step: 'routed',
    request: () => ({ method: 'POST', path: chatPath, headers: { authorization: `Basic ${put('basic')}` }, body: '' }),
    ...{ status: 401, outcome: 'invalid_api_key' },
  },
  'no JSON': { step: 'read', request: send({ body: `{"${put('broken-json')}` }), status: 400, outcome: 'invalid_json' },
  'a wrong type': {
    step: 'read',
    request: send({}, (chat) => ({ ...chat, temperature: put('wrong-type') })),
    status: 400,
    outcome: 'invalid_request',
  },
  'a model that is not there': {
    step: 'read',
    request: send({}, (chat) => ({ ...chat, model: put('model') })),
    status: 404,
    outcome: 'model_not_found',
  },
  'a broken picture': {
    step: 'chosen',
    ...{ status: 400, outcome: 'bad_picture' },
    request: send({}, (chat) =>
      withPicture(chat, `data:image/png;base64,${Buffer.from(put('no-picture')).toString('base64')}AA`),
    ),
  },
  'a picture elsewhere': {
    step: 'read',
    ...{ status: 400, outcome: 'remote_picture' },
    request: send({}, (chat) => withPicture(chat, `https://${put('picture-host')}/${put('file-name')}.png`)),
  },
  'an unknown path': {
    step: 'begun',
    request: (gateway) => ({ ...send()(gateway), path: `/v1/${put('path')}/${gateway.key}${query}` }),
    status: 404,
    outcome: 'unknown_route',
  },
  'another method': {
    step: 'routed',
    request: (gateway) => ({ ...send()(gateway), method: 'DELETE' }),
    status: 405,
    outcome: 'method_not_allowed',
  },
  'a compressed body': {
    step: 'keyed',
    request: (gateway) => ({
      ...send()(gateway),
      headers: { ...headersOf(gateway.key), 'content-encoding': put('coding') },
    }),
    status: 415,
    outcome: 'encoded_body',
  },
  'an odd header': {
    step: 'begun',
    more: ['detail'],
    request: (gateway) => ({
      ...send()(gateway),
      headers: { ...headersOf(gateway.key), [`${put('odd')}_`]: put('odd-value') },
    }),
    status: 400,
    outcome: 'bad_header',
  },
  'an odd expectation': {
    step: 'begun',
    more: ['detail'],
    request: (gateway) => ({ ...send()(gateway), headers: { ...headersOf(gateway.key), expect: put('expectation') } }),
    status: 417,
    outcome: 'expectation_failed',
  },
}

function withPicture(chat: Record<string, unknown>, url: string): object {
  return { ...chat, messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] }
}
