import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { ingressHost, meshTlsUpstream, meshUpstream } from '../dev/chain-config.ts'
import { errorTable } from '../src/errors.ts'
import { createAuthority, type Issued } from './certificates.ts'
import { startScriptedChain, type TestChain } from './chain-fixture.ts'
import { withDeadline } from './deadline.ts'
import type { EngineProcess } from './fake-control.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { assertError, chat, readEvents } from './wire.ts'

const served = 'qwen2.5-vl-tiny'
const expiredHost = 'expired.home'

describe('the real chain with an encrypted ingress', () => {
  let folder: string
  let gateway: Gateway
  let test: TestChain & { readonly engine: EngineProcess }

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hearth-certificates-'))
    const home = createAuthority('home')
    const over = home.issue({ names: [expiredHost], notAfter: new Date(Date.now() - 60_000) })
    const files = (name: string, { cert, key }: Issued) => ({
      certFile: keep(`${name}.pem`, cert),
      keyFile: keep(`${name}.key`, key),
    })
    const caFile = keep('ca.pem', home.cert)
    const https = { via: `mesh:${meshTlsUpstream}`, tls: { caFile } }
    const engines: Readonly<Record<string, object>> = {
      plain: { url: `http://${ingressHost}`, via: `mesh:${meshUpstream}` },
      good: { url: `https://${ingressHost}`, ...https },
      'without-its-ca': { url: `https://${ingressHost}`, via: https.via },
      'of-another-ca': {
        ...https,
        url: `https://${ingressHost}`,
        tls: { caFile: keep('b.pem', createAuthority('b').cert) },
      },
      'of-another-name': { url: 'https://other.home', ...https },
      expired: { url: `https://${expiredHost}`, ...https },
      'without-tls': { ...https, url: `https://${ingressHost}`, via: `mesh:${meshUpstream}` },
    }
    test = await startScriptedChain({
      ingressCertificates: [files('good', home.issue({ names: [ingressHost] })), files(expiredHost, over)],
    })
    gateway = await startGateway({
      config: {
        engines: Object.entries(engines).map(([name, engine]) => ({ name, kind: 'openai', ...engine })),
        models: Object.keys(engines).map((name) => ({ id: name, engine: name, served })),
      },
      env: { HEARTH_HOST: '127.0.0.1', HEARTH_MESH_ADDR: `127.0.0.1:${test.chain.ports.mesh}` },
    })
  })
  after(async () => {
    await assertNothingLeft(gateway)
    await test[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  it('answers through TLS, streamed and plain, as it does without', async () => {
    const said: string[] = []
    for (const model of ['plain', 'good']) {
      const plain = await chat(gateway, { model })
      assert.equal(plain.status, 200)
      const { choices } = JSON.parse(await plain.text())
      const streamed = readEvents(await (await chat(gateway, { model, stream: true })).text())
      assert.equal(streamed.done, true)
      said.push(JSON.stringify([choices[0].message.content, streamed.data.length]))
    }
    assert.equal(said[0], said[1])
  })

  it('carries 25 MB there and 25 MB back through TLS, and changes the name of the model alone', async () => {
    await test.engine.script({ echo: { answerBytes: 25_000_000 } })
    const body = JSON.stringify({ model: 'good', messages: [{ role: 'user', content: 'QUJD'.repeat(6_250_000) }] })
    const response = await chat(gateway, {}, { body })
    const answer = await response.arrayBuffer()
    const { body: got, sent } = (await test.engine.requests()).at(-1) ?? {}
    // The gateway writes the engine's own name of the model into the body, and the public one into the answer.
    const longerBytes = served.length - 'good'.length
    assert.deepEqual([response.status, answer.byteLength + longerBytes], [200, sent?.bytes])
    assert.equal(got?.bytes, body.length + longerBytes)
  })

  for (const [model, code] of [
    ['without-its-ca', 'engine_tls_untrusted'],
    ['of-another-ca', 'engine_tls_untrusted'],
    ['of-another-name', 'engine_tls_untrusted'],
    ['expired', 'engine_tls_untrusted'],
    // Traefik speaks TLS on every port, but on this one it has no rule for it.
    ['without-tls', 'engine_unreachable'],
  ] as const) {
    it(`answers ${code} for an engine ${model.replaceAll('-', ' ')}, and none of the request reaches an engine`, async () => {
      const before = (await test.engine.requests()).length
      await assertError(await chat(gateway, { model, stream: true }), errorTable[code].status, code)
      assert.equal((await test.engine.requests()).length, before)
    })
  }

  it('lets the engine see within 250 ms that a caller left a stream through TLS', async () => {
    await test.engine.reset()
    await test.engine.script({ forever: true })
    const leave = new AbortController()
    const asked = chat(gateway, { model: 'good', stream: true }, { signal: leave.signal }).then((response) =>
      response.text(),
    )
    const gone = assert.rejects(asked, { name: 'AbortError' })
    await test.engine.waitFor(({ running }) => running === 1, 'the engine is at work')
    const leftMs = performance.timeOrigin + performance.now()
    leave.abort()
    await gone
    await test.engine.waitFor(({ aborts }) => aborts === 1, 'the engine sees it')
    const seenMs = ((await test.engine.requests()).at(-1)?.endedAtMs ?? Number.POSITIVE_INFINITY) - leftMs
    assert.ok(seenMs <= 250, `the engine saw it after ${seenMs} ms`)
  })

  it('ends a stream through TLS with one error event when the engine is cut off', async () => {
    await test.engine.script({ tokens: 12, cut: { how: 'rst', at: 900 } })
    const response = await chat(gateway, { model: 'good', stream: true })
    const { errors, done } = readEvents(await withDeadline(response.text(), 15_000, 'the stream ends'))
    assert.deepEqual([done, errors.map((error) => error['code'])], [false, ['engine_died']])
  })

  it('says ingress_down while the encrypted ingress is down, and recovers', async () => {
    const traefik = test.chain.processes.get('traefik')
    test.kill('traefik')
    const codes = new Set<string>()
    const deadline = performance.now() + 30_000
    for (let status = 0; status !== 200 || traefik?.pid() === undefined; ) {
      assert.ok(performance.now() < deadline, `no recovery; seen ${[...codes].join()}`)
      const response = await chat(gateway, { model: 'good' })
      const answer = JSON.parse(await response.text())
      status = response.status
      if (status !== 200) codes.add(answer.error.code)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(codes.delete('ingress_down'), [...codes].join())
    // A Traefik that listens already, but has read neither its rules nor its certificates.
    for (const code of codes) assert.match(code, /^(engine_unreachable|engine_tls_untrusted)$/)
  })

  function keep(name: string, text: string): string {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
})
