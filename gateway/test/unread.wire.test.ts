import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { exchangeRaw, openRaw } from './raw-client.ts'
import { chatBody, chatPath, endPair, startPair } from './wire.ts'

const headMs = 500
const mebibyte = 1024 * 1024

describe('what is not read', { concurrency: true }, () => {
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({ sections: { timeouts: { headMs } } }))
  })
  after(async () => {
    await endPair({ engine, gateway })
  })

  const head = (extra: string) => `POST ${chatPath} HTTP/1.1\r\nHost: a\r\n${extra}\r\n`

  for (const [who, auth] of [
    ['nobody', ''],
    ['a stranger', 'Authorization: Bearer hk_unknown\r\n'],
  ])
    it(`answers ${who} before the body comes, and closes`, async () => {
      for (const framing of [`Content-Length: ${20 * mebibyte}\r\n`, 'Transfer-Encoding: chunked\r\n']) {
        await using client = await openRaw(gateway.port)
        await client.write(head(`${auth}${framing}`))
        const answer = await client.readHead()
        assert.equal(answer.status, 401)
        assert.equal(answer.header('connection'), 'close')
        await client.readBody(answer)
        await client.closed()
      }
    })

  it('tells nobody without a key to go on with the body, and everybody with one', async () => {
    await using stranger = await openRaw(gateway.port)
    await stranger.write(head('Expect: 100-continue\r\nContent-Length: 5\r\n'))
    assert.equal((await stranger.readHead()).status, 401)
    await using caller = await openRaw(gateway.port)
    await caller.write(head(`Authorization: Bearer ${gateway.key}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n`))
    assert.equal((await caller.readHead()).status, 100)
    await caller.write('wrong')
    const answer = await caller.readHead()
    assert.equal(answer.status, 400)
    assert.match((await caller.readBody(answer)).bytes.toString(), /invalid_json/)
  })

  it('lets a stranger who sends a large body all the same read why it was refused', async () => {
    const body = Buffer.alloc(8 * mebibyte, 0x20)
    for (let round = 0; round < 5; round += 1) {
      const response = await fetch(gateway.url + chatPath, {
        method: 'POST',
        body,
        headers: { authorization: 'Bearer x' },
      })
      assert.equal(response.status, 401)
      assert.match(await response.text(), /invalid_api_key/)
    }
  })

  it('looks at nothing that comes after the last answer of a connection', async () => {
    const before = engine.counts().requests
    await using client = await openRaw(gateway.port)
    await client.write(head('Content-Length: 5\r\n'))
    assert.equal((await client.readHead()).status, 401)
    const body = chatBody()
    const good = head(`Authorization: Bearer ${gateway.key}\r\nContent-Length: ${body.length}\r\n`) + body
    await client.write(`12345${good}`)
    // The other side has ended its way; the connection itself is cut a moment later, which FIN from here only hastens.
    assert.equal(await client.closed(), 'fin')
    client.finish()
    assert.doesNotMatch(client.peek().toString('latin1'), /HTTP/)
    assert.equal((await exchangeRaw(gateway.port, { path: '/health' })).head.status, 200)
    assert.equal(engine.counts().requests, before)
  })

  it('gives up on a head that does not become whole, and says so', async () => {
    const startedMs = performance.now()
    await using client = await openRaw(gateway.port)
    await client.write(`GET /v1/models HTTP/1.1\r\nHost: a\r\nX: `)
    const answer = await client.readHead(headMs + 4_000)
    assert.ok(performance.now() - startedMs >= headMs - 100)
    assert.equal(answer.status, 408)
    assert.equal(answer.header('connection'), 'close')
    const { error } = JSON.parse((await client.readBody(answer)).bytes.toString())
    assert.equal(error.code, 'head_timeout')
    await client.closed()
    await gateway.waitForLog(({ outcome }) => outcome === 'head_timeout', 'the record of the slow head')
  })
})
