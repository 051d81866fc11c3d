import { deepEqual, equal } from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { cutLater, lingerOnClose } from './linger.ts'

/** As much of a socket as is asked for here, and what it was told. */
class FakeSocket extends EventEmitter {
  readonly calls: string[] = []
  readonly end = () => void this.calls.push('end')
  readonly destroy = () => void this.calls.push('destroy')
  destroySoon = () => void this.calls.push('destroySoon')
}

/** A socket that Node wants to close once its last answer is written. */
const closing = (t: TestContext, isSending: boolean) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const fake = new FakeSocket()
  lingerOnClose(fake as unknown as Socket, () => isSending)
  fake.destroySoon()
  return fake
}

test('a caller who has sent everything is closed at once', (t) => {
  const { calls } = closing(t, false)
  t.mock.timers.tick(5_000)
  deepEqual(calls, ['destroySoon'])
})

test('a caller who still sends sees our side end, and is cut after a second', (t) => {
  const { calls } = closing(t, true)
  deepEqual(calls, ['end'])
  t.mock.timers.tick(999)
  deepEqual(calls, ['end'])
  t.mock.timers.tick(1)
  deepEqual(calls, ['end', 'destroy'])
})

test('a caller who closes before is not cut, and no timer is left', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const fake = new FakeSocket()
  cutLater(fake as unknown as Socket)
  equal(fake.listenerCount('close'), 1)
  fake.emit('close')
  t.mock.timers.tick(5_000)
  deepEqual(fake.calls, [])
})
