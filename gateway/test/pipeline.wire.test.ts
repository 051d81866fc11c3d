import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openRaw } from './raw-client.ts'
import { chatBody, chatPath, type Pair, withPair } from './wire.ts'

/** The answer that all the others wait for. */
const late = { headDelayMs: 300 }

describe('requests that are sent before the answer to an earlier one', () => {
  it('do not reach the engine when one before them was refused for a length that can be read in two ways', () =>
    withPair({}, async (pair) => {
      const { engine, gateway } = pair
      engine.script(late)
      await using client = await openRaw(gateway.port)
      const chunked = `${chatBody().length.toString(16)}\r\n${chatBody()}\r\n0\r\n\r\n`
      const odd = post(pair, 'Transfer-Encoding: ,chunked', chunked)
      await client.write(plain(pair) + odd + plain(pair))
      await gateway.waitForLog(({ outcome }) => outcome === 'bad_header', 'the second request is refused')
      assert.deepEqual([await readStatus(client), await readStatus(client)], [200, 400])
      assert.equal(await client.closed(), 'fin')
      assert.equal(engine.counts().requests, 1)
    }))

  it('are not told to go on in the middle of their own answer', () =>
    withPair({}, async (pair) => {
      const { engine, gateway } = pair
      engine.script(late)
      await using client = await openRaw(gateway.port)
      const expectant = post(pair, `Expect: 100-continue\r\nContent-Length: ${chatBody().length}`, chatBody())
      await client.write(plain(pair) + expectant)
      assert.deepEqual([await readStatus(client), await readStatus(client)], [200, 200])
    }))

  it('leave the earlier answer whole when they break off in their own body', () =>
    withPair({}, async (pair) => {
      const { engine, gateway } = pair
      engine.script({ tokens: 5, stall: { afterEvents: 2 } })
      await using client = await openRaw(gateway.port)
      const body = chatBody({ stream: true })
      await client.write(post(pair, `Content-Length: ${body.length}`, body))
      const head = await client.readHead()
      const events = client.readEvents(head)
      await events.next()
      await client.write(post(pair, 'Transfer-Encoding: chunked', 'no size\r\n'))
      assert.equal((await fetch(`${gateway.url}/health`)).status, 200)
      engine.release()
      let last: string | undefined
      for await (const { data } of events) last = data ?? last
      assert.equal(last, '[DONE]')
      assert.equal(await client.closed(), 'fin')
    }))
})

function plain(pair: Pair): string {
  return post(pair, `Content-Length: ${chatBody().length}`, chatBody())
}

function post({ gateway }: Pair, framing: string, body: string): string {
  const lines = [`POST ${chatPath} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${gateway.key}`, framing]
  return `${lines.join('\r\n')}\r\nContent-Type: application/json\r\n\r\n${body}`
}

/** The status of the next answer, whose body must be JSON. */
async function readStatus(client: Awaited<ReturnType<typeof openRaw>>): Promise<number> {
  let head = await client.readHead()
  while (head.status < 200) head = await client.readHead()
  const { bytes } = await client.readBody(head)
  JSON.parse(bytes.toString())
  return head.status
}
