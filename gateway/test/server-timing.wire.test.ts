import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { FakeEngine } from './fake-engine.ts'
import { png } from './fake-pictures.ts'
import type { Gateway } from './harness.ts'
import { chat, endPair, model, startPair } from './wire.ts'

const picture = `data:image/png;base64,${png(8, 8).toString('base64')}`
const content = [{ type: 'image_url', image_url: { url: picture } }]

/** The steps of an answer, in order; each must be a name and milliseconds with one digit behind the point at most. */
function stepsOf(response: Response): string[] {
  const value = response.headers.get('server-timing')
  if (value === null) return []
  assert.doesNotMatch(value, /127\.0\.0\.1|localhost|:\d/)
  return value.split(', ').map((step) => /^([a-z-]+);dur=\d+(?:\.\d)?$/.exec(step)?.[1] ?? `not a step: ${step}`)
}

describe('Server-Timing', () => {
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({
      engineConfig: { capacity: 1 },
      sections: {
        models: [
          { id: model, engine: 'gpu' },
          { id: 'seer', engine: 'gpu', served: model, vision: {} },
        ],
        timeouts: { queueMs: 150 },
      },
    }))
  })
  after(() => endPair({ engine, gateway }))

  it('names every step of an answer, streamed or not', async () => {
    const all = ['auth', 'body', 'scan', 'queue', 'connect', 'first-byte']
    for (const stream of [false, true]) {
      const response = await chat(gateway, { stream })
      assert.deepEqual(stepsOf(response), all, `stream: ${stream}`)
      await response.text()
    }
  })

  it('names the look at pictures where there were some', async () => {
    const response = await chat(gateway, { model: 'seer', messages: [{ role: 'user', content }] })
    assert.equal(response.status, 200, await response.text())
    assert.deepEqual(stepsOf(response), ['auth', 'body', 'scan', 'picture', 'queue', 'connect', 'first-byte'])
  })

  it('is on errors, with the steps that were taken', async () => {
    const unknown = await chat(gateway, { model: 'gpt-5' })
    assert.deepEqual([unknown.status, stepsOf(unknown)], [404, ['auth', 'body']])
    engine.script({ error: { status: 500, body: 'object' } })
    const failed = await chat(gateway)
    assert.deepEqual([failed.status, stepsOf(failed).at(-1)], [502, 'first-byte'])
  })

  it('says how long somebody waited in line in vain', async () => {
    engine.script({ stall: 'head' })
    const leaving = new AbortController()
    const holder = chat(gateway, {}, { signal: leaving.signal }).catch(() => 'left')
    await engine.waitFor(({ running }) => running === 1, 'the engine is taken')
    const late = await chat(gateway)
    assert.equal(late.status, 503)
    assert.match(late.headers.get('server-timing') ?? '', /, queue;dur=1[5-9]\d|, queue;dur=[2-9]\d\d/)
    assert.deepEqual(stepsOf(late), ['auth', 'body', 'scan', 'queue'])
    leaving.abort()
    assert.equal(await holder, 'left')
  })

  it('is on the list of models, and tells nobody without a key how long the search for it took', async () => {
    const headers = { authorization: `Bearer ${gateway.key}` }
    assert.deepEqual(stepsOf(await fetch(`${gateway.url}/v1/models`, { headers })), ['auth'])
    for (const authorization of ['', 'Bearer hk_unknown'])
      assert.deepEqual(stepsOf(await fetch(`${gateway.url}/v1/models`, { headers: { authorization } })), [])
  })
})
