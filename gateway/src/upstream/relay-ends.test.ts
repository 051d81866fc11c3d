import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { chatEvent, OpenShaper, StubShaper, startExchange } from '../../test/exchange.ts'
import { fileSchema } from '../config-schema.ts'
import { HearthError } from '../errors.ts'
import { heartbeatDefault } from './heartbeat.ts'

/** The limits of `hearth.yaml` where it says nothing. */
const timeoutDefaults = fileSchema.parse({
  engines: [{ name: 'a', url: 'http://a', kind: 'vllm' }],
  models: [{ id: 'm', engine: 'a' }],
}).timeouts
const json = 'application/json'
const events = 'text/event-stream'
const done = 'data: [DONE]\n\n'
const errorOf = (code: string) => new RegExp(`^event: error\\ndata: .*"code":"${code}"\\}\\}\\n\\n$`)
const heartbeat = { form: 'comment', everyMs: 100, earlyHeaders: true } as const

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'] }))
afterEach(() => mock.timers.reset())

describe('the end of a stream', () => {
  it('is whole with a finish reason and [DONE]', async () => {
    const { relay, caller, say } = startExchange()
    say.head(events)
    const text = `${chatEvent('a')}${chatEvent('b', 'stop')}${done}`
    say.body(text)
    const { error, finishReason, usage } = await relay.done
    assert.deepEqual([error, finishReason, usage.completionTokens], [undefined, 'stop', 5])
    assert.deepEqual([caller.written, caller.writableEnded], [text, true])
  })

  it('is one error event and no [DONE] where no finish reason came before it', async () => {
    const { relay, caller, say } = startExchange()
    say.head(events)
    say.body(`${chatEvent('a')}${done}`)
    assert.equal((await relay.done).error?.code, 'engine_died')
    assert.match(caller.written.slice(chatEvent('a').length), errorOf('engine_died'))
    assert.equal(caller.written.startsWith(chatEvent('a')), true)
  })

  it('is one error event where HTTP ended in order without [DONE], whatever the last event said', async () => {
    const { relay, caller, say } = startExchange()
    say.head(events)
    say.body(chatEvent('a', 'stop'))
    say.end()
    assert.equal((await relay.done).error?.code, 'engine_died')
    assert.match(caller.written.slice(chatEvent('a', 'stop').length), errorOf('engine_died'))
  })

  it('is one error event where the engine speaks of an error, and its own [DONE] never passes', async () => {
    const { relay, caller, say } = startExchange()
    say.head(events)
    say.body(`${chatEvent('a', 'stop')}data: {"error":{"message":"CUDA at 10.0.0.1"}}\n\n${done}`)
    assert.equal((await relay.done).error?.code, 'engine_error')
    assert.match(caller.written.slice(chatEvent('a', 'stop').length), errorOf('engine_error'))
    assert.doesNotMatch(caller.written, /10\.0\.0\.1/)
  })

  it('tells what a cut stream cost as far as it came', async () => {
    const { relay, say } = startExchange()
    say.head(events)
    say.body(chatEvent('a'))
    say.fail(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))
    const { error, usage, bytesOut } = await relay.done
    assert.deepEqual([error?.code, usage.completionTokens, bytesOut], ['engine_died', 5, chatEvent('a').length])
  })

  it('has a last comment with the times, in one write with [DONE], for callers who take comments', async () => {
    const { relay, caller, say } = startExchange({ heartbeat })
    say.head(events)
    say.body(chatEvent('a', 'stop'))
    say.body(done)
    await relay.done
    assert.deepEqual(caller.writes.map(String), [chatEvent('a', 'stop'), `: server-timing engine;dur=1\n\n${done}`])
    const other = startExchange({ heartbeat: { ...heartbeat, form: 'empty-delta' } })
    other.say.head(events)
    other.say.body(`${chatEvent('a', 'stop')}${done}`)
    assert.equal(other.caller.written, `${chatEvent('a', 'stop')}${done}`)
  })

  it('is an error event also where a shaper fails in the middle, behind all that came before', async () => {
    const shaper = new StubShaper()
    const { relay, caller, say } = startExchange({ shaper })
    const { event } = shaper
    shaper.event = (bytes) => {
      if (bytes.includes('boom')) throw new HearthError('engine_bad_answer')
      return event.call(shaper, bytes)
    }
    say.head(events)
    say.body(`${chatEvent('a')}${chatEvent('boom')}${chatEvent('b', 'stop')}${done}`)
    assert.equal((await relay.done).error?.code, 'engine_bad_answer')
    assert.match(caller.written.slice(chatEvent('a').length), errorOf('engine_bad_answer'))
  })
})

describe('a stream that began before its engine', () => {
  it('ends in one error event when the engine refuses, with the status that the caller saw', async () => {
    const { relay, caller, say } = startExchange({ heartbeat })
    mock.timers.tick(100)
    say.head(json, {}, 400)
    say.body('{"error":{"message":"No.","type":"BadRequestError","param":null,"code":400}}')
    say.end()
    const { error, status } = await relay.done
    assert.deepEqual([error?.code, status], ['invalid_request', 200])
    assert.match(caller.written.slice(': keep-alive\n\n'.length), errorOf('invalid_request'))
    assert.equal(caller.writableEnded, true)
  })

  it('ends in one error event when no engine answers at all', async () => {
    const { relay, caller, say } = startExchange({ heartbeat })
    mock.timers.tick(100)
    say.fail(new HearthError('mesh_refused'))
    assert.equal((await relay.done).error?.code, 'mesh_refused')
    assert.match(caller.written.slice(': keep-alive\n\n'.length), errorOf('mesh_refused'))
  })

  it('takes no plain answer any more', async () => {
    const { relay, caller, say } = startExchange({ heartbeat })
    mock.timers.tick(100)
    say.head(json)
    assert.equal((await relay.done).error?.code, 'engine_bad_answer')
    assert.match(caller.written.slice(': keep-alive\n\n'.length), errorOf('engine_bad_answer'))
  })

  it('goes on as any other when the engine begins', async () => {
    const { relay, caller, say } = startExchange({ heartbeat })
    mock.timers.tick(100)
    say.head(events)
    say.body(`${chatEvent('a', 'stop')}${done}`)
    assert.equal((await relay.done).error, undefined)
    const text = `: keep-alive\n\n${chatEvent('a', 'stop')}: server-timing engine;dur=1\n\n${done}`
    assert.equal(caller.written, text)
  })
})

describe('the end of a plain answer', () => {
  it('is whole with its document, whatever framed it, and says its own length', async () => {
    for (const framing of [{ 'content-length': '12' }, { 'transfer-encoding': 'chunked' }, {}]) {
      const { relay, caller, say } = startExchange()
      relay.onResponseStart(null as never, 200, { 'content-type': json, ...framing })
      say.body('{"a":[1,2')
      assert.equal(caller.headersSent, false)
      say.body(']}')
      say.end()
      assert.equal((await relay.done).error, undefined)
      assert.deepEqual([caller.status, caller.head['content-length'], caller.written], [200, '11', '{"a":[1,2]}'])
    }
  })

  it('is an error in the one shape where its document was cut, though its connection ended in order', async () => {
    const { relay, caller, say } = startExchange()
    say.head(json)
    say.body('{"a":[1,2')
    say.end()
    await assert.rejects(relay.done, { code: 'engine_died', status: 502 })
    assert.deepEqual([caller.headersSent, caller.written], [false, ''])
  })

  it('is a broken connection where a part of it had left', async () => {
    const shaper = new OpenShaper()
    shaper.endOfPieces = () => {
      throw new HearthError('engine_died')
    }
    const { relay, caller, say } = startExchange({ shaper })
    relay.onResponseStart(null as never, 200, { 'content-type': json, 'content-length': '9' })
    say.body('{"a":[1,2')
    assert.equal(caller.head['content-length'], undefined, 'a length that nobody knows yet')
    say.end()
    assert.equal((await relay.done).error?.code, 'engine_died')
    assert.deepEqual([caller.destroyed, caller.writableEnded], [true, false])
  })
})

describe('the deadlines of an answer', () => {
  const limits = { firstByteMs: 500, idleMs: 200 }

  it('give a stream its time to the first byte, which a head alone is not', async () => {
    const { relay, caller, controller, say } = startExchange(limits)
    mock.timers.tick(400)
    say.head(events)
    mock.timers.tick(104)
    assert.equal(controller.aborted, false)
    mock.timers.tick(1)
    assert.equal(controller.aborted, true)
    assert.equal((await relay.done).error?.code, 'engine_timeout')
    assert.match(caller.written, errorOf('engine_timeout'))
    assert.ok(controller.aborted)
  })

  it('let no time pass between two pieces beyond theirs; comments of the engine count as pieces', async () => {
    const { relay, caller, say } = startExchange(limits)
    say.head(events)
    mock.timers.tick(499)
    for (const piece of [chatEvent('a'), ': ping\n\n', chatEvent('b'), ': ping\n\n']) {
      say.body(piece)
      mock.timers.tick(200)
    }
    assert.equal(caller.writableEnded, false)
    mock.timers.tick(2)
    assert.equal(caller.writableEnded, true)
    assert.equal((await relay.done).error?.code, 'engine_stalled')
    assert.match(caller.written, /"code":"engine_stalled"\}\}\n\n$/)
  })

  it('pass by what they are by default: silences of two minutes, and no longer ones', async () => {
    const { streamFirstByteMs, idleMs } = timeoutDefaults
    const { relay, say } = startExchange({ firstByteMs: streamFirstByteMs, idleMs, heartbeat: heartbeatDefault })
    mock.timers.tick(120_000)
    say.head(events)
    for (let count = 0; count < 15; count += 1) {
      say.body(chatEvent('a'))
      mock.timers.tick(120_000)
    }
    say.body(chatEvent('b'))
    mock.timers.tick(122_000)
    assert.equal((await relay.done).error?.code, 'engine_stalled')
  })

  it('are an answer of their own while nothing was sent', async () => {
    const { relay, controller } = startExchange(limits)
    mock.timers.tick(505)
    await assert.rejects(relay.done, { code: 'engine_timeout', status: 504 })
    assert.ok(controller.aborted)
  })

  it('do not pass while the caller does not read', async () => {
    const { relay, caller, say } = startExchange(limits)
    say.head(events)
    caller.room = false
    say.body(chatEvent('a'))
    mock.timers.tick(1_000)
    assert.equal(caller.writableEnded, false)
    caller.room = true
    caller.emit('drain')
    mock.timers.tick(202)
    assert.equal((await relay.done).error?.code, 'engine_stalled')
  })

  it('are over with the answer', async () => {
    const { relay, controller, say } = startExchange(limits)
    say.head(events)
    say.body(`${chatEvent('a', 'stop')}${done}`)
    await relay.done
    say.end()
    mock.timers.tick(10_000)
    assert.equal(controller.aborted, false)
  })
})

describe('the tokens of a stream', () => {
  it('are timed from dispatch to the first text, then from one read with text to the next', async () => {
    const gaps: number[] = []
    const { relay, say } = startExchange({ onTokenGap: (ms) => gaps.push(ms) })
    mock.timers.tick(30)
    say.head(events)
    say.body('data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n')
    mock.timers.tick(70)
    say.body(chatEvent('a'))
    mock.timers.tick(20)
    say.body(chatEvent('b') + chatEvent('c'))
    mock.timers.tick(5)
    say.body(': ping\n\n')
    mock.timers.tick(5)
    say.body(`${chatEvent('d', 'stop')}${done}`)
    const { firstTokenMs, firstByteMs } = await relay.done
    assert.deepEqual([firstByteMs, firstTokenMs, gaps], [30, 100, [20, 10]])
  })

  it('have no time in a plain answer', async () => {
    const { relay, say } = startExchange()
    say.head(json)
    say.body('{}')
    say.end()
    assert.equal((await relay.done).firstTokenMs, undefined)
  })
})
