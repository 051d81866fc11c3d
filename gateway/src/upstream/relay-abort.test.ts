import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Dispatcher } from 'undici'
import { chatEvent, StubController, startExchange } from '../../test/exchange.ts'
import { type ErrorCode, HearthError } from '../errors.ts'

const json = 'application/json'
const events = 'text/event-stream'

function startEndable() {
  const leave = new AbortController()
  const end = (code: ErrorCode) => leave.abort(new HearthError(code))
  return { ...startExchange({ signal: leave.signal }), end }
}

describe('an exchange whose caller has left', () => {
  it('is ended at the engine, whatever had come of the answer', async () => {
    for (const bring of [
      () => {},
      ({ say }: ReturnType<typeof startEndable>) => say.head(events),
      ({ say }: ReturnType<typeof startEndable>) => {
        say.head(events)
        say.body(chatEvent('a'))
      },
      ({ say }: ReturnType<typeof startEndable>) => {
        say.head(json)
        say.body('{"a"')
      },
    ]) {
      const exchange = startEndable()
      bring(exchange)
      exchange.end('client_gone')
      const error = await exchange.relay.done.then(
        (outcome) => outcome.error,
        (thrown) => thrown,
      )
      assert.deepEqual([error?.code, exchange.controller.aborted], ['client_gone', true])
    }
  })

  it('gets no last words, but a connection that breaks', async () => {
    const { relay, caller, say, end } = startEndable()
    say.head(events)
    say.body(chatEvent('a'))
    end('client_gone')
    await relay.done
    assert.deepEqual([caller.written, caller.destroyed, caller.writableEnded], [chatEvent('a'), true, false])
  })

  it('is ended as soon as it can be, where the caller left before its request was sent', async () => {
    const { relay, controller: before, end } = startEndable()
    const later = new StubController()
    end('client_gone')
    await assert.rejects(relay.done, { code: 'client_gone' })
    relay.onRequestStart(later as unknown as Dispatcher.DispatchController)
    assert.deepEqual([before.aborted, later.aborted], [true, true])
  })

  it('is heard no more: what the engine still says changes nothing', async () => {
    const { relay, caller, say, end } = startEndable()
    say.head(events)
    end('client_gone')
    say.body(`${chatEvent('a', 'stop')}data: [DONE]\n\n`)
    say.end()
    say.fail(new Error('aborted'))
    assert.equal((await relay.done).error?.code, 'client_gone')
    assert.equal(caller.written, '')
  })
})

describe('an exchange that a drain ends', () => {
  it('tells the reason in the stream, and ends it at the engine', async () => {
    const { relay, caller, controller, say, end } = startEndable()
    say.head(events)
    say.body(chatEvent('a'))
    end('draining')
    await relay.done
    assert.match(caller.written.slice(chatEvent('a').length), /^event: error\ndata: .*"code":"draining"\}\}\n\n$/)
    assert.deepEqual([caller.writableEnded, caller.destroyed, controller.aborted], [true, false, true])
  })

  it('is an error in the one shape while nothing was sent', async () => {
    const { relay, controller, end } = startEndable()
    end('draining')
    await assert.rejects(relay.done, { code: 'draining', status: 503 })
    assert.ok(controller.aborted)
  })
})
