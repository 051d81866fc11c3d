import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { callerRoutes, engineRoutes, homeRoutes } from '../src/routes/routes.data.ts'
import { type Leash, openLeash } from './leash.ts'
import { readParts, requirePart } from './parts.ts'
import { findFreePort } from './ports.ts'
import { probeStatus } from './probe.ts'
import { type RunningProcess, startProcess } from './process.ts'
import {
  createIngressRules,
  createRulesConfig,
  createStaticConfig,
  describeTraefik,
  ingressTimeouts,
} from './traefik.ts'

const host = 'vllm.home'

describe('the rules of the ingress', () => {
  const rules = createIngressRules(host)

  it('has one rule for each route of the home, with exact host, method and path, and no other', () => {
    const wanted = [...engineRoutes, ...homeRoutes].map(
      ({ method, path }) => `Host(\`${host}\`) && Method(\`${method}\`) && Path(\`${path}\`)`,
    )
    assert.deepEqual(rules.map((rule) => rule.match).sort(), wanted.sort())
    assert.equal(new Set(rules.map((rule) => rule.name)).size, rules.length)
  })

  it('sends engine routes to the engine and home routes to the echo', () => {
    for (const rule of rules) assert.equal(rule.target, rule.match.includes('/-/') ? 'echo' : 'engine')
  })

  it('refuses text that would change the meaning of a rule', () => {
    for (const path of ['/a`) || PathPrefix(`/', '/{x:.*}', '/a b', ''])
      assert.throws(() => createIngressRules(host, [{ method: 'GET', path, use: 'probe' }], []), /cannot stand in/)
    assert.throws(() => createIngressRules('a`b'), /cannot stand in/)
  })
})

describe('the configuration of the ingress', () => {
  it('sends no request on a connection that an engine may be closing, never cuts a long stream, and calls nobody', () => {
    const { http } = createRulesConfig(createIngressRules(host), { engine: 'http://e', echo: 'http://h' })
    assert.equal(http.serversTransports.engine.maxIdleConnsPerHost, -1)
    assert.equal(ingressTimeouts.readTimeout, '0s')
    assert.equal(ingressTimeouts.writeTimeout, '0s')
    const fixed = createStaticConfig(80, '/rules')
    assert.deepEqual(fixed.global, { checkNewVersion: false, sendAnonymousUsage: false })
    assert.ok(Object.values(fixed.entryPoints.web.http.encodedCharacters).every((allowed) => !allowed))
    assert.ok(!('accessLog' in fixed))
  })
})

describe('the encrypted entry point', () => {
  const rules = createIngressRules(host)
  const targets = { engine: 'http://e', echo: 'http://h' }
  const [first, second] = [
    { certFile: '/a.pem', keyFile: '/a.key' },
    { certFile: '/b.pem', keyFile: '/b.key' },
  ]

  it('is there only where it has a port and certificates, and changes nothing of the plain one', () => {
    const [plain, both] = [createStaticConfig(80, '/rules'), createStaticConfig(80, '/rules', 443)]
    assert.deepEqual(Object.keys(plain.entryPoints), ['web'])
    assert.deepEqual(both.entryPoints.web, plain.entryPoints.web)
    assert.ok(!('tls' in createRulesConfig(rules, targets)))
  })

  it('has the same rules, limits and refusals as the plain one', () => {
    const { web, websecure } = createStaticConfig(80, '/rules', 443).entryPoints
    assert.deepEqual({ ...websecure, address: web.address, http: web.http }, web)
    assert.deepEqual(websecure?.http, { ...web.http, tls: {} })
    const { http } = createRulesConfig(rules, targets, [first, second])
    for (const { entryPoints } of Object.values(http.routers)) assert.deepEqual(entryPoints, ['web', 'websecure'])
  })

  it('shows the first certificate to whoever asks for an unknown name', () => {
    const { tls } = createRulesConfig(rules, targets, [first, second])
    assert.deepEqual(tls, { certificates: [first, second], stores: { default: { defaultCertificate: first } } })
  })
})

describe('the real Traefik', () => {
  const dir = mkdtempSync(join(tmpdir(), 'hearth-traefik-'))
  const seen: string[] = []
  let upstream: Server
  let leash: Leash
  let traefik: RunningProcess | undefined
  let port: number

  before(async () => {
    upstream = createServer((incoming: IncomingMessage, response) => {
      seen.push(`${incoming.method} ${incoming.url} ${JSON.stringify(incoming.headers)}`)
      incoming.resume().on('end', () => response.end('upstream'))
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    port = await findFreePort(new Set())
    leash = openLeash()
    const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
    const spec = describeTraefik({
      binary: requirePart(readParts(), 'traefik'),
      port,
      dir,
      host,
      targets: { engine: url, echo: url },
      probe: async (signal) => (await probeStatus({ port, path: '/-/echo', method: 'POST', host, signal })) === 200,
    })
    traefik = await startProcess(spec, { logDir: dir, leash })
  })

  after(async () => {
    await traefik?.stop()
    await leash.close()
    upstream.closeAllConnections()
    await new Promise((resolve) => upstream.close(resolve))
    rmSync(dir, { recursive: true, force: true })
  })

  it('passes every listed route and says nothing of a misunderstood option', async () => {
    for (const { method, path } of [...engineRoutes, ...homeRoutes])
      assert.equal(await probeStatus({ port, path, method, host }), 200, `${method} ${path}`)
    assert.equal(traefik?.tail(), '')
  })

  it('refuses every other method, path and host, and nothing of them reaches the engine', async () => {
    const listed = new Set([...engineRoutes, ...homeRoutes].map(({ method, path }) => `${method} ${path}`))
    const others = [...callerRoutes.map(({ path }) => path), ...strangePaths].flatMap((path) =>
      (['GET', 'POST'] as const).map((method) => ({ method, path })),
    )
    const before = seen.length
    for (const { method, path } of others) {
      if (listed.has(`${method} ${path}`)) continue
      const status = await probeStatus({ port, path, method, host })
      assert.ok(status === 404 || status === 400, `${method} ${path} gave ${status}`)
    }
    for (const { method, path } of [...engineRoutes, ...homeRoutes])
      for (const name of ['127.0.0.1', 'other.home', 'vllm.home.evil'])
        assert.equal(await probeStatus({ port, path, method, host: name }), 404, name)
    assert.deepEqual(seen.slice(before), [])
  })

  it('lets another spelling of a listed path through only as that very path', async () => {
    const before = seen.length
    for (const path of [
      '/v1//models',
      '/v1/x/../models',
      '/v1/./models',
      '/v1/%6dodels',
      '//v1/models',
      '/v1/models?x=1',
    ])
      await probeStatus({ port, path, method: 'GET', host })
    for (const line of seen.slice(before)) assert.match(line, /^GET \/v1\/models(\?x=1)? /)
  })

  it('hides headers that a server could take for another header', async () => {
    const before = seen.length
    const sent = { headers: { host, x_forwarded_for: '6.6.6.6' } }
    const outgoing = request(`http://127.0.0.1:${port}/v1/models`, { ...sent, agent: false }).end()
    const [response] = await once(outgoing, 'response')
    response.resume()
    await once(response, 'end')
    assert.equal(seen.length, before + 1)
    assert.ok(!seen.slice(before).join().includes('6.6.6.6'))
  })
})

/** Doors of engines that stay shut, and other spellings of open ones. */
const strangePaths = [
  '/',
  '/metrics',
  '/v1',
  '/v1/',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/load_lora_adapter',
  '/slots',
  '/props',
  '/sleep',
  '/tokenize',
  '/v1/models/',
  '/v1/models/x',
  '/v1/chat/completions/',
  '/V1/models',
  '/v1/models%2f',
  '/v1/models%00',
  '/v1%2fmodels',
  '/v1/models%3fa',
  '/v1/chat/completions%23',
  '/v1;a/models',
  '/-/echo/x',
  '/-/other',
  '/api/rawdata',
  '/dashboard/',
  '/ping',
]
