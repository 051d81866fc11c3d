import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { describe, it, type TestContext } from 'node:test'
import type { Dispatcher } from 'undici'
import { Relay } from './relay.ts'
import { createShaper } from './shaping.ts'

/** Stands for undici's handle of one exchange. */
class Controller {
  paused = false
  reason: Error | null = null
  get aborted(): boolean {
    return this.reason !== null
  }
  abort(reason: Error): void {
    this.reason ??= reason
  }
  pause(): void {
    this.paused = true
  }
  resume(): void {
    this.paused = false
  }
}

/** Stands for Node's response; `room` says whether more may be written at once. */
class Caller extends EventEmitter {
  headersSent = false
  room = true
  written = ''
  ended = false
  destroyed = false
  writeHead(): void {
    this.headersSent = true
  }
  flushHeaders(): void {}
  write(bytes: Buffer): boolean {
    this.written += bytes.toString()
    return this.room
  }
  end(text = ''): void {
    this.written += text
    this.ended = true
  }
  destroy(): void {
    this.destroyed = true
  }
}

function start({ answerBytesMax = 1_000 } = {}) {
  const controller = new Controller()
  const caller = new Caller()
  const relay = new Relay({
    response: caller as unknown as ServerResponse,
    headers: {},
    signal: new AbortController().signal,
    viaMesh: false,
    timing: () => '',
    shaper: createShaper({
      kind: 'chat',
      dialect: 'vllm',
      model: 'm',
      served: 'm',
      reasoning: 'fields',
      showUsage: true,
    }),
    heartbeat: undefined,
    firstByteMs: 60_000,
    idleMs: 60_000,
    onTokenGap: () => {},
    callerStallMs: 60_000,
    answerBytesMax,
    now: () => 0,
  })
  const handle = controller as unknown as Dispatcher.DispatchController
  relay.onRequestStart(handle)
  const say = {
    head: (type: string, more: Record<string, string> = {}, status = 200) =>
      relay.onResponseStart(handle, status, { 'content-type': type, 'transfer-encoding': 'chunked', ...more }),
    body: (text: string) => relay.onResponseData(handle, Buffer.from(text)),
  }
  return { relay, caller, controller, say }
}

const json = 'application/json'
const events = 'text/event-stream'

describe('Relay', () => {
  it('lets the connection of a finished stream go on, though its caller still reads', async () => {
    const { relay, caller, controller, say } = start()
    say.head(events)
    caller.room = false
    say.body('data: 1\n\n')
    assert.equal(controller.paused, true)
    caller.emit('drain')
    say.body('data: 2\n\ndata: [DONE]\n\n')
    assert.equal((await relay.done).error, undefined)
    assert.equal(controller.paused, false, 'the end of the answer would never be read')
    relay.onResponseEnd()
  })

  it('ends the connection of an engine that goes on after its last event', (t: TestContext) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { relay, caller, controller, say } = start()
    say.head(events)
    say.body('data: [DONE]\n\n')
    assert.equal(caller.ended, true)
    for (let second = 0; second < 3; second += 1) {
      say.body('data: late\n\n')
      t.mock.timers.tick(1_000)
    }
    assert.match(String(controller.reason), /engine gave an answer/)
    assert.equal(caller.written, 'data: [DONE]\n\n')
    relay.onResponseError(null, new Error('aborted'))
  })

  it('keeps the connection of a stream that ends with its last event', (t: TestContext) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { relay, controller, say } = start()
    say.head(events)
    say.body('data: [DONE]\n\n')
    relay.onResponseEnd()
    t.mock.timers.tick(60_000)
    assert.equal(controller.reason, null)
  })

  it('refuses an answer that announces more than the limit before anything is sent', async () => {
    const { relay, caller, controller, say } = start()
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
    const plain = start()
    plain.say.head(json)
    plain.say.body('x'.repeat(1_000))
    plain.say.body('x')
    assert.equal((await plain.relay.done).error?.code, 'answer_too_large')
    assert.deepEqual([plain.caller.destroyed, plain.caller.ended], [true, false])
    const stream = start()
    stream.say.head(events)
    stream.say.body(`data: ${'x'.repeat(900)}\n\n`)
    stream.say.body(`data: ${'x'.repeat(900)}\n\ndata: [DONE]\n\n`)
    assert.equal((await stream.relay.done).error?.code, 'answer_too_large')
    assert.match(stream.caller.written, /^data: x{900}\n\nevent: error\ndata: .*"code":"answer_too_large"\}\}\n\n$/)
    assert.ok(stream.controller.aborted)
  })

  it('passes an answer that has exactly as many bytes as the limit', async () => {
    const { relay, caller, say } = start()
    say.head(json)
    say.body('x'.repeat(1_000))
    relay.onResponseEnd()
    assert.equal((await relay.done).error, undefined)
    assert.equal(caller.ended, true)
  })

  it('hears eight interim answers out and not one more', async () => {
    const { relay, say } = start()
    for (let count = 0; count < 8; count += 1) say.head('', {}, 103)
    say.head(json)
    relay.onResponseEnd()
    assert.equal((await relay.done).error, undefined)
    const other = start()
    for (let count = 0; count < 9; count += 1) other.say.head('', {}, 102)
    await assert.rejects(other.relay.done, { code: 'engine_bad_answer' })
  })
})
