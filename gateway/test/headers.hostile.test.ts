import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import type { FakeEngine, Received } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { ErrorBodies } from './hygiene.ts'
import { type Chance, chanceFrom, inParallel, seedOf, Tallies } from './seeded.ts'
import { chatBody, chatPath, endPair, startPair } from './wire.ts'

const count = 5_000
const engineKey = 'engine-key-of-this-test'
/** All that an engine is ever told. */
const toEngine = [
  ...[
    'accept',
    'accept-encoding',
    'authorization',
    'connection',
    'content-length',
    'content-type',
    'host',
    'traceparent',
    'x-request-id',
  ],
]
/** All that a caller is ever told, each in the gateway's own words but for type and length. */
const toCaller = new Set([
  ...[
    'content-type',
    'content-length',
    'transfer-encoding',
    'date',
    'connection',
    'keep-alive',
    'vary',
    'cache-control',
  ],
  ...['x-request-id', 'x-content-type-options', 'x-accel-buffering', 'server-timing', 'x-hearth-dropped-fields'],
])

/** What proxies, platforms and engines act upon, and what must never pass from a caller. */
const callerNames: readonly string[] = [
  ...['Cookie', 'X-Request-Id', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'X-Forwarded-Server'],
  ...['X-Forwarded-Port', 'X-Forwarded-Prefix', 'X-Forwarded-Uri', 'X-Real-IP', 'Forwarded', 'Via', 'True-Client-IP'],
  ...['Tailscale-User-Login', 'Tailscale-User-Name', 'Tailscale-Headers-Info', 'Tailscale-Funnel-Request'],
  ...[
    'X-Vllm-Priority',
    'X-Data-Parallel-Rank',
    'Endpoint-Load-Metrics-Format',
    'X-Kv-Transfer-Params',
    'X-Session-Id',
  ],
  ...['X-Stainless-Lang', 'OpenAI-Organization', 'User-Agent', 'Accept-Language', 'Accept', 'Accept-Encoding', 'TE'],
  ...[
    'X-Http-Method-Override',
    'X-Original-URL',
    'X-Rewrite-URL',
    'Proxy-Authorization',
    'Proxy-Connection',
    'X-Api-Key',
  ],
  ...['Traceparent', 'Tracestate', 'B3', 'X-B3-TraceId', 'Baggage', 'X-Cloud-Trace-Context', 'X-Amzn-Trace-Id'],
  ...['Priority', 'Range', 'If-None-Match', 'If-Modified-Since', 'Cache-Control', 'Pragma', 'Origin', 'Referer'],
  ...['Sec-Fetch-Site', 'X-Hearth-Key-Id', 'X-Hearth-Engine', 'X-Accel-Buffering', 'X-Api-Base', 'Api-Key', 'Warning'],
]
/** As above, in a spelling that some readers take for the same name; refused at the door. */
const aliases: readonly string[] = [
  ...[
    'X_Request_Id',
    'X_Forwarded_For',
    'Content_Length',
    'X-Forwarded_For',
    'Tailscale_User_Login',
    'X.Forwarded.For',
  ],
  ...['Authorization_', '_Authorization', 'X-Request-Id~', "X'Request-Id", 'X_Vllm_Priority'],
]
/** What a hop may delete for its neighbour. */
const nominated = [
  ...toEngine,
  'x-hearth-dropped-fields',
  'cookie',
  'x-forwarded-for',
  'transfer-encoding',
  'keep-alive',
]

const engineNames: readonly string[] = [
  ...['Server', 'Set-Cookie', 'X-Request-Id', 'Location', 'Via', 'Alt-Svc', 'Link', 'Refresh', 'X-Powered-By', 'ETag'],
  ...['Access-Control-Allow-Origin', 'Access-Control-Allow-Credentials', 'Timing-Allow-Origin', 'Server-Timing'],
  ...[
    'X-RateLimit-Limit-Requests',
    'Retry-After',
    'X-Should-Retry',
    'X-Hearth-Error-Source',
    'X-Hearth-Dropped-Fields',
  ],
  ...['Content-Disposition', 'Content-Language', 'Content-Location', 'Www-Authenticate', 'X-Accel-Redirect', 'Allow'],
  ...[
    'X-Sendfile',
    'Tailscale-User-Login',
    'X-Vllm-Engine',
    'Endpoint-Load-Metrics',
    'X_Under_Score',
    'Age',
    'Expires',
  ],
  ...['Strict-Transport-Security', 'Clear-Site-Data', 'Content-Security-Policy', 'Cache-Control', 'Vary'],
]

describe('R06 headers', () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  const errors = new ErrorBodies(['canary', 'leak'])
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({
      engineConfig: { capacity: 64 },
      env: { HEARTH_ENGINE_API_KEY: engineKey },
    }))
  })
  after(async () => {
    agent.destroy()
    await endPair({ engine, gateway })
  })

  it(`of ${count} random sets pass neither from caller to engine nor back, and ours are always there`, async () => {
    const seed = seedOf(process.env)
    console.log(`seed ${seed}`)
    const chance = chanceFrom(seed)
    const sets = Array.from({ length: count }, () => ({
      sent: callerSet(chance, gateway.key),
      answered: engineSet(chance),
      stream: chance.happens(0.5),
    }))
    const statuses = new Tallies<number>()
    const ids = new Set<string>()
    await inParallel(sets, 32, async ({ sent, answered, stream }) => {
      if (!sent.odd) engine.script({ headers: answered, tokens: 2 })
      const outgoing = request({
        agent,
        host: '127.0.0.1',
        port: gateway.port,
        method: 'POST',
        path: chatPath,
        headers: sent.lines,
        setHost: false,
      })
      outgoing.end(chatBody({ stream }))
      const [incoming]: IncomingMessage[] = await once(outgoing, 'response')
      if (incoming === undefined) throw new Error('no response')
      let text = ''
      for await (const part of incoming.setEncoding('utf8')) text += String(part)
      const why = `seed ${seed}: ${JSON.stringify(sent.lines)}`
      statuses.add(incoming.statusCode ?? 0)
      assert.equal(incoming.statusCode, sent.odd ? 400 : 200, `${why} → ${text}`)
      assert.doesNotMatch(JSON.stringify(incoming.rawHeaders), /canary|leak/, why)
      if (sent.odd) return void errors.takeText(text)
      for (const name of Object.keys(incoming.headers)) assert.ok(toCaller.has(name), `${name}: ${why}`)
      ids.add(String(incoming.headers['x-request-id']))
    })
    assert.equal(ids.size, statuses.get(200), 'an id that was not fresh')
    assert.equal(engine.requests.length, ids.size)
    for (const received of engine.requests) checkReceived(received, ids)
    console.log(
      `${count} sets: ${statuses}; ${engine.requests.length} at the engine, ${errors.check()} different errors`,
    )
    assert.doesNotMatch(JSON.stringify(gateway.logs()), /canary|leak/)
  })
})

function checkReceived({ rawHeaders, headers }: Received, ids: ReadonlySet<string>): void {
  const names = rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase())
  assert.deepEqual(names.toSorted(), toEngine)
  assert.doesNotMatch(JSON.stringify(rawHeaders), /canary/)
  assert.equal(headers.authorization, `Bearer ${engineKey}`)
  assert.ok(ids.has(String(headers['x-request-id'])))
  assert.equal(headers['accept-encoding'], 'identity')
  assert.equal(headers['content-type'], 'application/json')
}

/** A caller's headers in any order and case: what it needs, and a dozen of what it may not. `odd` ones are refused. */
function callerSet(chance: Chance, key: string): { lines: string[]; odd: boolean } {
  const wanted = new Map<string, string>()
  const add = (name: string, value: string) => {
    if (![...wanted.keys()].some((known) => known.toLowerCase() === name.toLowerCase())) wanted.set(name, value)
  }
  for (let left = 1 + chance.below(12); left > 0; left -= 1)
    add(recase(chance.pick(callerNames), chance), `canary-${chance.below(1_000_000)}`)
  if (chance.happens(0.6)) {
    const names = Array.from({ length: 1 + chance.below(4) }, () => recase(chance.pick(nominated), chance))
    // A "close" or "upgrade" among them would speak of the connection itself.
    add(recase('Connection', chance), names.join(chance.pick([',', ', ', ' , '])))
  }
  const odd = chance.happens(0.15)
  if (odd) wanted.set(chance.pick(aliases), `canary-${chance.below(1_000_000)}`)
  const needed: [string, string][] = [
    ['Host', 'a'],
    ['Authorization', `Bearer ${key}`],
    ['Content-Type', 'application/json'],
    ['Transfer-Encoding', 'chunked'],
  ]
  for (const [name, value] of needed) add(recase(name, chance), value)
  const lines = [...wanted].sort(() => chance.next() - 0.5)
  return { lines: lines.flat(), odd }
}

function engineSet(chance: Chance): [string, string][] {
  const names = new Set(Array.from({ length: 1 + chance.below(10) }, () => chance.pick(engineNames)))
  return [...names].map((name) => [recase(name, chance), `leak-${chance.below(1_000_000)}`])
}

function recase(name: string, chance: Chance): string {
  return [...name].map((letter) => (chance.happens(0.5) ? letter.toUpperCase() : letter.toLowerCase())).join('')
}
