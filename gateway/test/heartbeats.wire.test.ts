import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { withDeadline } from './deadline.ts'
import type { Gateway } from './harness.ts'
import { openRaw, type RawClient, type SseEvent } from './raw-client.ts'
import { assertError, chatBody, chatPath, endPair, type Pair, readEvents, startPair } from './wire.ts'

/** As often as a keys file takes. */
const everyMs = 100
const waitMs = 10_000
/** The form of a heartbeat by the name of a key. */
const keySettings = {
  comments: { heartbeat: { form: 'comment', everyMs } },
  chunks: { heartbeat: { form: 'empty-delta', everyMs } },
  off: { heartbeat: { form: 'off', everyMs } },
  late: { heartbeat: { form: 'comment', everyMs }, earlyHeaders: false },
}
type KeyName = keyof typeof keySettings

describe('a stream that is silent', () => {
  let pair: Pair
  before(async () => {
    pair = await startPair({
      keys: Object.keys(keySettings),
      keySettings,
      engineConfig: { capacity: 1 },
      sections: { timeouts: { queueMs: 600, streamFirstByteMs: 1_200 } },
    })
  })
  after(() => endPair(pair))

  const ask = async (key: KeyName, fields: object = {}): Promise<Response> =>
    await fetch(pair.gateway.url + chatPath, {
      method: 'POST',
      headers: headersOf(pair.gateway, key),
      body: chatBody({ stream: true, ...fields }),
    })
  const record = (response: Response) => {
    const id = response.headers.get('x-request-id')
    return pair.gateway.waitForLog(({ requestId }) => requestId === id, 'the record of the request')
  }
  /** Another request holds the only slot while `use` runs. */
  const whileBusy = async (use: () => Promise<void>) => {
    const { engine } = pair
    engine.script({ stall: 'head' })
    const first = ask('late', { stream: false })
    await engine.waitFor(({ running }) => running === 1, 'the slot is taken')
    try {
      await use()
    } finally {
      engine.release()
      await (await first).text()
    }
  }

  it('begins with 200 and comments while it waits in the line, and is whole when its turn came', () =>
    whileBusy(async () => {
      await using client = await openStream(pair.gateway, 'comments')
      const head = await client.readHead(waitMs)
      assert.equal(head.status, 200)
      assert.equal(head.header('content-type'), 'text/event-stream; charset=utf-8')
      const events = client.readEvents(head, waitMs)
      const early = [await nextOf(events), await nextOf(events)]
      assert.deepEqual(
        early.map(({ comment }) => comment),
        ['keep-alive', 'keep-alive'],
      )
      assert.equal(pair.engine.counts().running, 1, 'it was not in the line')
      pair.engine.release()
      const rest = await restOf(events)
      assert.equal(rest.ended, 'complete')
      assert.equal(rest.events.at(-1)?.data, '[DONE]')
      assert.match(rest.events.at(-2)?.comment ?? '', /^server-timing .*queue;dur=/)
      const id = head.header('x-request-id')
      const { status, outcome } = await pair.gateway.waitForLog(({ requestId }) => requestId === id, 'the record')
      assert.deepEqual([status, outcome], [200, 'ok'])
    }))

  it('ends in one error event without [DONE] when its turn never came, and its record says both', () =>
    whileBusy(async () => {
      const response = await ask('comments')
      assert.equal(response.status, 200)
      const { errors, done, data } = readEvents(bare(await response.text()))
      assert.deepEqual([errors.map(({ code }) => code), done, data], [['queue_timeout'], false, []])
      const { status, outcome } = await record(response)
      assert.deepEqual([status, outcome], [200, 'queue_timeout'])
    }))

  it('keeps its real status where the key takes no early head', () =>
    whileBusy(async () => {
      await assertError(await ask('late'), 503, 'queue_timeout')
      await assertError(await ask('off'), 503, 'queue_timeout')
    }))

  for (const [what, script, code] of [
    ['refuses the request', { headDelayMs: 3 * everyMs, error: { status: 400, body: 'object' } }, 'invalid_request'],
    ['fails', { headDelayMs: 3 * everyMs, error: { status: 500, body: 'object' } }, 'engine_error'],
    ['hangs up', { headDelayMs: 3 * everyMs, cut: { how: 'fin', at: 'head' } }, 'engine_died'],
    ['never answers', { stall: 'head' }, 'engine_timeout'],
  ] as const) {
    it(`ends in one error event when the engine ${what} after its early head`, async () => {
      pair.engine.script(script)
      const response = await ask('comments')
      assert.equal(response.status, 200)
      const text = await withDeadline(response.text(), waitMs, 'the stream ends')
      assert.match(text, /^: keep-alive\n\n/)
      const { errors, done, data } = readEvents(bare(text))
      assert.deepEqual([errors.map((error) => error['code']), done, data], [[code], false, []])
      const { status, outcome } = await record(response)
      assert.deepEqual([status, outcome], [200, code])
      pair.engine.release()
    })
  }

  it('shows life between the events of an engine that thinks, and nothing of it is in the events', async () => {
    pair.engine.script({ tokens: 4, stall: { afterEvents: 2 } })
    await using client = await openStream(pair.gateway, 'late')
    const head = await client.readHead(waitMs)
    const events = client.readEvents(head, waitMs)
    const seen: SseEvent[] = []
    while (seen.filter(({ comment }) => comment === 'keep-alive').length < 3) seen.push(await nextOf(events))
    pair.engine.release()
    const rest = await restOf(events)
    assert.equal(rest.events.at(-1)?.data, '[DONE]')
    const all = [...seen, ...rest.events]
    for (const { data } of all) if (data !== undefined && data !== '[DONE]') JSON.parse(data)
  })

  it('speaks of empty chunks to a key that wants them, and says nothing at all to one that wants nothing', async () => {
    for (const key of ['chunks', 'off'] as const) {
      pair.engine.script({ tokens: 4, headDelayMs: 3 * everyMs, intervalMs: 2 * everyMs })
      const text = await (await ask(key)).text()
      assert.doesNotMatch(text, /^:/m)
      const { data, done } = readEvents(text)
      const empty = data.filter((chunk) => JSON.stringify(chunk['choices']) === emptyChoices)
      assert.equal(done, true)
      if (key === 'off') assert.equal(empty.length, 0)
      else assert.ok(empty.length >= 2, `${empty.length} heartbeats`)
      assert.deepEqual([...new Set(data.map(({ object }) => object))], ['chat.completion.chunk'])
    }
  })

  it('frees its place in the line when its caller leaves after the early head', () =>
    whileBusy(async () => {
      const client = await openStream(pair.gateway, 'comments')
      const head = await client.readHead(waitMs)
      client.destroy()
      const id = head.header('x-request-id')
      const { status, outcome } = await pair.gateway.waitForLog(({ requestId }) => requestId === id, 'the record')
      assert.deepEqual([status, outcome], [499, 'client_gone'])
    }))
})

const emptyChoices = '[{"index":0,"delta":{},"finish_reason":null}]'

/** A stream without its comments. */
function bare(text: string): string {
  return text.replaceAll(/^:.*\n\n/gm, '')
}

function headersOf({ keys }: Gateway, key: KeyName): Record<string, string> {
  return { authorization: `Bearer ${keys[key]}`, 'content-type': 'application/json' }
}

async function openStream(gateway: Gateway, key: KeyName): Promise<RawClient> {
  const client = await openRaw(gateway.port)
  await client.send({ path: chatPath, headers: headersOf(gateway, key), body: chatBody({ stream: true }) })
  return client
}

type Events = ReturnType<RawClient['readEvents']>

async function nextOf(events: Events): Promise<SseEvent> {
  const next = await events.next()
  if (next.done) throw new Error(`the stream ended: ${next.value}`)
  return next.value
}

async function restOf(events: Events): Promise<{ events: SseEvent[]; ended: string }> {
  const rest: SseEvent[] = []
  for (;;) {
    const next = await events.next()
    if (next.done) return { events: rest, ended: next.value }
    rest.push(next.value)
  }
}
