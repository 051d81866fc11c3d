import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { createServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway, LogRecord } from './harness.ts'
import { chatBody, chatPath, endPair, startPair } from './wire.ts'

/** What vLLM, llama.cpp, Ollama and a Traefik beside them answer, and no caller may reach. */
const innerPaths: readonly string[] = [
  ...['/ping', '/version', '/load', '/metrics', '/redoc', '/docs/oauth2-redirect', '/invocations', '/tokenize'],
  ...['/detokenize', '/tokenizer_info', '/generative_scoring', '/pooling', '/classify', '/score', '/rerank'],
  ...['/v1/chat/completions/batch', '/v1/chat/completions/render', '/v1/completions/render'],
  ...['/v1/responses', '/v1/responses/1', '/v1/responses/1/cancel', '/v1/messages', '/v1/messages/count_tokens'],
  ...['/cohere/v2/chat', '/inference/v1/generate', '/abort_requests', '/v2/embed', '/v1/score'],
  ...[
    '/v2/rerank',
    '/reranking',
    '/embeddings',
    '/v1/infill',
    '/v1/audio/transcriptions',
    '/v1/audio/translations',
    '/v1/realtime',
  ],
  ...['/v1/load_lora_adapter', '/v1/unload_lora_adapter', '/scale_elastic_ep', '/is_scaling_elastic_ep'],
  ...['/fault_tolerance/apply', '/fault_tolerance/status', '/start_profile', '/stop_profile', '/sleep', '/wake_up'],
  ...['/is_sleeping', '/reset_prefix_cache', '/reset_mm_cache', '/reset_encoder_cache', '/collective_rpc'],
  ...['/server_info', '/pause', '/resume', '/is_paused', '/init_weight_transfer_engine', '/update_weights'],
  ...['/weight_info', '/get_world_size', '/readyz', '/slots', '/props', '/completion', '/api/tags', '/api/generate'],
  ...['/api/rawdata', '/dashboard/', '/api/overview', '/-/echo', '/v1/status', '/debug/pprof/'],
]
const publicPaths = [
  ...[chatPath, '/v1/completions', '/v1/embeddings', '/v1/rerank', '/v1/models'],
  ...['/health', '/ready', '/openapi.json', '/docs'],
]

const encodings: Readonly<Record<string, (path: string) => string>> = {
  'as it is': (path) => path,
  'slash as %2f': (path) => `/${path.slice(1).replaceAll('/', '%2f')}%2f`,
  'all slashes as %2F': (path) => `/%2F${path.slice(1).replaceAll('/', '%2F')}`,
  'double slash first': (path) => `/${path}`,
  'double slash last': (path) => path.replace(/\/([^/]*)$/, '//$1'),
  'trailing slash': (path) => `${path}/`,
  'upper case': (path) => path.toUpperCase(),
  'path parameter': (path) => `${path};x=y`,
  'null byte': (path) => `${path}%00`,
  'dot segment': (path) => `/.${path}`,
  'dots from a public path': (path) => `/v1/models/../..${path}`,
  'encoded dots from a public path': (path) => `/health/%2e%2e${path}`,
  'half encoded dots': (path) => `/v1/models/.%2e/.%2e${path}`,
  'doubly encoded dots': (path) => `/health/%252e%252e${path}`,
  backslash: (path) => `/health\\..${path}`,
  'first letter encoded': (path) => path.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
  'fragment behind a public path': (path) => `/health#${path}`,
  'fragment last': (path) => `${path}#`,
  'encoded query': (path) => `${path}%3Fx=y`,
  'authority in the path': (path) => `//127.0.0.1${path}`,
}
const methods = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS']

const spoofs: readonly Readonly<Record<string, string>>[] = [
  ...[
    '203.0.113.7',
    '127.0.0.1',
    '203.0.113.7, 10.0.0.1',
    '::1',
    '[2001:db8::7]:443',
    'unknown',
    '_hidden',
    "' or 1=1",
  ],
  ...['203.0.113.7,'.repeat(50), '127.0.0.1, 203.0.113.7:99999'],
]
  .map((value): Record<string, string> => ({ 'X-Forwarded-For': value }))
  .concat(
    ['for=203.0.113.7', 'for="[::1]:1";proto=https;host=evil.example', 'for=127.0.0.1, for=203.0.113.7'].map(
      (value) => ({ Forwarded: value }),
    ),
    ['X-Real-IP', 'True-Client-IP', 'CF-Connecting-IP', 'X-Client-IP', 'X-Cluster-Client-IP', 'Fastly-Client-IP'].map(
      (name) => ({ [name]: '203.0.113.7' }),
    ),
    [{ 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'gopher', 'X-Forwarded-Port': '1' }],
    [{ 'Tailscale-User-Login': 'root@example.com' }],
  )

interface Said {
  readonly status: number
  readonly text: string
  readonly requestId: string
}

describe('closed doors', () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({}))
  })
  after(async () => {
    agent.destroy()
    await endPair({ engine, gateway })
  })

  /** One request with a valid key; the target goes out letter by letter. */
  const say = async (method: string, path: string, headers: Record<string, string> = {}, body = ''): Promise<Said> => {
    const all = { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json', ...headers }
    const length = { 'content-length': String(Buffer.byteLength(body)) }
    const outgoing = request({
      agent,
      host: '127.0.0.1',
      port: gateway.port,
      method,
      path,
      headers: { ...all, ...length },
    })
    outgoing.end(body)
    const [incoming] = await once(outgoing, 'response')
    incoming.setEncoding('utf8')
    let text = ''
    for await (const part of incoming) text += String(part)
    return { status: incoming.statusCode, text, requestId: incoming.headers['x-request-id'] }
  }
  const recordOf = async (requestId: string) =>
    withoutChance(await gateway.waitForLog((record) => record['requestId'] === requestId, `the record ${requestId}`))

  it('lets no path of an engine, however it is written, with no method, come near the engine', async (t) => {
    assert.ok(innerPaths.length >= 55 && Object.keys(encodings).length >= 12)
    const targets = Object.entries(encodings).flatMap(([, encode]) =>
      [...innerPaths, ...publicPaths].map(encode).filter((target) => !publicPaths.includes(target)),
    )
    const work = targets.flatMap((target) => methods.map((method): [string, string] => [method, target]))
    const total = work.length
    const seen = new Map<number, number>()
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (let next = work.pop(); next !== undefined; next = work.pop()) {
          const [method, target] = next
          const { status, text } = await say(method, target, {}, method === 'POST' ? chatBody() : '')
          seen.set(status, (seen.get(status) ?? 0) + 1)
          const wanted = target.includes('\\') ? 400 : 404
          assert.ok(status === wanted && text.includes('"code":'), `${method} ${target}: ${status} ${text}`)
        }
      }),
    )
    const { requests, socketsTotal } = engine.counts()
    t.diagnostic(
      `${innerPaths.length} + ${publicPaths.length} paths × ${Object.keys(encodings).length} encodings × ${methods.length} methods: ` +
        `${total} requests, ${JSON.stringify(Object.fromEntries(seen))}, ${requests} at the engine`,
    )
    assert.ok(total >= 3_300)
    assert.deepEqual([requests, socketsTotal], [0, 0])
  })

  it('takes nobody for somebody else: what a caller says of its address is neither logged nor used nor passed on', async () => {
    assert.ok(spoofs.length >= 20, `${spoofs.length} shapes`)
    const tries: readonly (readonly [string, string, Record<string, string>, string])[] = [
      ['POST', chatPath, {}, chatBody()],
      ['GET', '/v1/models', { authorization: 'Bearer hk_wrong' }, ''],
      ['GET', '/nowhere', {}, ''],
    ]
    const outcomes = new Map<string, Set<string>>()
    for (const spoof of [{}, ...spoofs])
      for (const [method, path, headers, body] of tries) {
        const { status, text, requestId } = await say(method, path, { ...headers, ...spoof }, body)
        const record = await recordOf(requestId)
        const known = outcomes.get(path) ?? new Set()
        outcomes.set(path, known.add(JSON.stringify([status, status === 200 ? '' : text, record])))
      }
    assert.deepEqual(
      [...outcomes.values()].map(({ size }) => size),
      [1, 1, 1],
      JSON.stringify([...outcomes.values()].map((all) => [...all])),
    )
    const heads = new Set(engine.requests.map(({ headers }) => JSON.stringify(Object.keys(headers).sort())))
    assert.equal(heads.size, 1)
    assert.doesNotMatch(
      JSON.stringify([gateway.logs(), engine.requests.map(({ rawHeaders }) => rawHeaders)]),
      /203\.0\.113|evil\.example/,
    )
  })

  it('lets no caller choose where a request goes, by header, query or body', async (t) => {
    let callers = 0
    const trap = createServer((socket) => {
      callers += 1
      socket.destroy()
    }).listen(0, '127.0.0.1')
    await once(trap, 'listening')
    const address = trap.address()
    const port = typeof address === 'object' ? address?.port : undefined
    try {
      const spellings = overrides(`127.0.0.1:${port}`)
      assert.ok(spellings.length >= 25)
      const before = engine.counts().requests
      for (const { headers = {}, query = '', body = {} } of spellings) {
        const { status, text } = await say('POST', `${chatPath}${query}`, headers, chatBody(body))
        assert.equal(status, 200, text)
      }
      const arrived = engine.requests.slice(before)
      assert.deepEqual([...new Set(arrived.map(({ method, path }) => `${method} ${path}`))], [`POST ${chatPath}`])
      assert.equal(new Set(arrived.map(({ headers }) => headers.host)).size, 1)
      assert.equal(arrived.length, spellings.length)
      assert.doesNotMatch(
        JSON.stringify(arrived.map(({ rawHeaders }) => rawHeaders)),
        new RegExp(`127\\.0\\.0\\.1:${port}\\b`),
      )
      assert.equal(callers, 0)
      t.diagnostic(`${spellings.length} spellings, ${callers} effects`)
    } finally {
      trap.close()
      await once(trap, 'close')
    }
  })
})

interface Override {
  readonly headers?: Record<string, string>
  readonly query?: string
  readonly body?: object
}

function overrides(authority: string): Override[] {
  const url = `http://${authority}/v1`
  const header = (name: string, value: string): Override => ({ headers: { [name]: value } })
  return [
    ...['Host', 'X-Forwarded-Host', 'X-Host', 'X-Forwarded-Server', 'X-HTTP-Host-Override'].map((name) =>
      header(name, authority),
    ),
    ...['X-Upstream', 'X-Api-Base', 'X-Base-Url', 'X-Backend', 'X-Engine', 'X-Target-Url', 'X-Litellm-Api-Base'].map(
      (name) => header(name, url),
    ),
    header('Forwarded', `host=${authority}`),
    header('X-Original-URL', '/metrics'),
    header('X-Rewrite-URL', '/metrics'),
    header('X-HTTP-Method-Override', 'DELETE'),
    header('X-Data-Parallel-Rank', '7'),
    header('X-Portkey-Custom-Host', url),
    ...['api_base', 'base_url', 'url', 'upstream', 'host', 'engine', 'target'].map((name) => ({
      query: `?${name}=${encodeURIComponent(url)}`,
    })),
    { query: `?@${authority}` },
    { query: `?model=other&stream=true` },
    ...['api_base', 'base_url', 'custom_llm_provider'].map((name) => ({ body: { [name]: url } })),
    { body: { extra_body: { api_base: url }, litellm_params: { api_base: url }, user_config: { base_url: url } } },
  ]
}

/** A record without what differs from one request to the next by nature. */
function withoutChance(record: LogRecord): Record<string, unknown> {
  const chance = /^(time|message|httpRequest|requestId|reused|ms|.*Ms|logging\.googleapis\.com\/.*)$/
  return Object.fromEntries(Object.entries(record).filter(([name]) => !chance.test(name)))
}
