import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { chat, endPair, startPair } from './wire.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const parentId = '00f067aa0ba902b7'

describe('the trace of a request', () => {
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({ env: { GOOGLE_CLOUD_PROJECT: 'my-project' } }))
  })
  after(() => endPair({ engine, gateway }))

  /** Sends a request with these headers: what the engine was told of its trace, and the record. */
  async function trace(headers: Record<string, string>) {
    const response = await chat(gateway, {}, { headers: { authorization: `Bearer ${gateway.key}`, ...headers } })
    assert.equal(response.status, 200, await response.text())
    const id = response.headers.get('x-request-id')
    const record = await gateway.waitForLog(({ requestId }) => requestId === id, 'the record')
    const told = engine.requests.at(-1)?.headers ?? {}
    const names = [...response.headers.keys()].filter((name) => /trace|baggage/.test(name))
    return { record, traceparent: String(told['traceparent']), tracestate: told['tracestate'], names }
  }

  it('goes on from its caller through the record to the engine, and back to nobody', async () => {
    const { record, traceparent, tracestate, names } = await trace({
      'content-type': 'application/json',
      traceparent: `00-${traceId}-${parentId}-01`,
      tracestate: 'congo=t61rcWkgMzE, rojo=00f067aa0ba902b7',
    })
    const [, id, spanId, flags] = traceparent.split('-')
    assert.deepEqual([id, flags], [traceId, '01'])
    assert.notEqual(spanId, parentId)
    assert.equal(tracestate, 'congo=t61rcWkgMzE,rojo=00f067aa0ba902b7')
    assert.equal(record['logging.googleapis.com/trace'], `projects/my-project/traces/${traceId}`)
    assert.equal(record['logging.googleapis.com/spanId'], spanId)
    assert.equal(record['logging.googleapis.com/trace_sampled'], true)
    assert.deepEqual(names, [])
  })

  it('is taken over from the header of Google Cloud', async () => {
    const cloud = `${traceId}/67667974448284343;o=1`
    const { traceparent } = await trace({ 'content-type': 'application/json', 'x-cloud-trace-context': cloud })
    assert.match(traceparent, new RegExp(`^00-${traceId}-[\\da-f]{16}-01$`))
  })

  it('begins here where its caller brought none, and each request has its own', async () => {
    const one = await trace({ 'content-type': 'application/json' })
    const other = await trace({
      'content-type': 'application/json',
      traceparent: `00-${'0'.repeat(32)}-${parentId}-01`,
    })
    for (const { traceparent } of [one, other]) assert.match(traceparent, /^00-[\da-f]{32}-[\da-f]{16}-00$/)
    assert.notEqual(one.traceparent.slice(3, 35), other.traceparent.slice(3, 35))
  })
})
