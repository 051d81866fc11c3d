import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { waitUntil } from './deadline.ts'
import type { Behaviour } from './fake-engine.ts'
import { openRaw } from './raw-client.ts'
import { adminPort, metricOf } from './watch.ts'
import { chat, chatBody, chatPath, rawHeaders, withPair } from './wire.ts'

const queueMs = 1_000

describe('the only place at an engine', () => {
  it('comes back after every kind of end', () =>
    withPair(
      { engineConfig: { capacity: 1 }, sections: { timeouts: { queueMs, idleMs: 500, plainFirstByteMs: 500 } } },
      async ({ engine, gateway }) => {
        const ends: [string, boolean, Behaviour][] = [
          ['whole', false, {}],
          ['a whole stream', true, { tokens: 3 }],
          ['an error of the engine', false, { error: { status: 500, body: 'object' } }],
          ['a reset before the answer', false, { cut: { how: 'rst', at: 'head' } }],
          ['a reset in the answer', false, { cut: { how: 'rst', at: 100 } }],
          ['a cut stream', true, { cut: { how: 'fin', at: 500 } }],
          ['silence', false, { stall: 'head' }],
        ]
        for (const [end, stream, behaviour] of ends) {
          engine.script({ tokens: 8, ...behaviour })
          const { status, headers } = await drained(await chat(gateway, { stream }))
          assert.notEqual(headers.get('retry-after'), '10', `after ${end} the next one waited: ${status}`)
        }
        await using leaver = await openRaw(gateway.port)
        engine.script({ stall: 'head' })
        await leaver.send({ path: chatPath, headers: rawHeaders(gateway), body: chatBody() })
        await engine.waitFor(({ running }) => running === 1, 'the engine is at work')
        leaver.reset()
        const port = await adminPort(gateway)
        await waitUntil(
          async () => (await metricOf(port, 'hearth_requests_in_flight')) === 0,
          5_000,
          'the place is free',
        )
        assert.equal((await drained(await chat(gateway))).status, 200)
      },
    ))
})

async function drained(response: Response): Promise<Response> {
  await response.text().catch(() => '')
  return response
}
