import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Dispatcher } from 'undici'
import { chatEvent, OpenShaper, startExchange } from '../../test/exchange.ts'

const json = 'application/json'
const events = 'text/event-stream'
const whole = `${chatEvent('a', 'stop')}data: [DONE]\n\n`
/** What the caller sees of a plain answer leaves as it comes, and a thousand bytes at most. */
const open = () => ({ shaper: new OpenShaper(), answerBytesMax: 1_000 })

describe('Relay', () => {
  it('lets the connection of a finished stream go on, though its caller still reads', async () => {
    const { relay, caller, controller, say } = startExchange()
    say.head(events)
    caller.room = false
    say.body('data: 1\n\n')
    assert.equal(controller.paused, true)
    caller.emit('drain')
    say.body(`${chatEvent('2', 'stop')}data: [DONE]\n\n`)
    assert.equal((await relay.done).error, undefined)
    assert.equal(controller.paused, false, 'the end of the answer would never be read')
    relay.onResponseEnd()
  })

  it('ends the connection of an engine that goes on after its last event', (t: TestContext) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { relay, caller, controller, say } = startExchange()
    say.head(events)
    say.body(whole)
    assert.equal(caller.writableEnded, true)
    for (let second = 0; second < 3; second += 1) {
      say.body('data: late\n\n')
      t.mock.timers.tick(1_000)
    }
    assert.match(String(controller.reason), /engine gave an answer/)
    assert.equal(caller.written, whole)
    relay.onResponseError(null, new Error('aborted'))
  })

  it('keeps the connection of a stream that ends with its last event', (t: TestContext) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { relay, controller, say } = startExchange()
    say.head(events)
    say.body(whole)
    relay.onResponseEnd()
    t.mock.timers.tick(60_000)
    assert.equal(controller.reason, null)
  })

  it('refuses an answer that announces more than the limit before anything is sent', async () => {
    const { relay, caller, controller, say } = startExchange(open())
    relay.onResponseStart(controller as unknown as Dispatcher.DispatchController, 200, {
      'content-type': json,
      'content-length': '1001',
    })
    await assert.rejects(relay.done, { code: 'answer_too_large', status: 502 })
    assert.equal(caller.headersSent, false)
    assert.ok(controller.aborted)
    say.body('late')
    assert.equal(caller.written, '')
  })

  it('cuts a plain answer and ends a stream with the code when they grow past the limit', async () => {
    const plain = startExchange(open())
    plain.say.head(json)
    plain.say.body('x'.repeat(1_000))
    plain.say.body('x')
    plain.relay.onResponseEnd()
    assert.equal((await plain.relay.done).error?.code, 'answer_too_large')
    assert.deepEqual([plain.caller.destroyed, plain.caller.writableEnded], [true, false])
    const stream = startExchange(open())
    stream.say.head(events)
    stream.say.body(`data: ${'x'.repeat(900)}\n\n`)
    stream.say.body(`data: ${'x'.repeat(900)}\n\ndata: [DONE]\n\n`)
    assert.equal((await stream.relay.done).error?.code, 'answer_too_large')
    assert.match(stream.caller.written, /^data: x{900}\n\nevent: error\ndata: .*"code":"answer_too_large"\}\}\n\n$/)
    assert.ok(stream.controller.aborted)
  })

  it('passes an answer that has exactly as many bytes as the limit', async () => {
    const { relay, caller, say } = startExchange(open())
    say.head(json)
    say.body('x'.repeat(1_000))
    relay.onResponseEnd()
    assert.equal((await relay.done).error, undefined)
    assert.equal(caller.writableEnded, true)
  })

  it('hears eight interim answers out and not one more', async () => {
    const { relay, say } = startExchange(open())
    for (let count = 0; count < 8; count += 1) say.head('', {}, 103)
    say.head(json)
    relay.onResponseEnd()
    assert.equal((await relay.done).error, undefined)
    const other = startExchange(open())
    for (let count = 0; count < 9; count += 1) other.say.head('', {}, 102)
    await assert.rejects(other.relay.done, { code: 'engine_bad_answer' })
  })
})
