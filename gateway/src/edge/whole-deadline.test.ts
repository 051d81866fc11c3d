import { deepEqual, equal } from 'node:assert/strict'
import { beforeEach, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { goOn, leftMs, type Spent, spentMs, standStill, WholeDeadline } from './whole-deadline.ts'

let clockMs = 0
let ends: number[] = []

beforeEach(() => {
  clockMs = 1000
  ends = []
})

/** A deadline by a clock in the hand: `pass` lets time go by, in timers and clock alike. */
function openDeadline(t: TestContext, totalMs: number) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const deadline = new WholeDeadline({
    totalMs,
    startedAt: clockMs,
    now: () => clockMs,
    onEnd: () => ends.push(clockMs),
  })
  const pass = (ms: number) => {
    for (let step = 0; step < ms; step += 1) {
      clockMs += 1
      t.mock.timers.tick(1)
    }
  }
  return { deadline, pass }
}

test('a clock has used what passed while it went on, whatever it stood still between', () => {
  const steps = fc.array(fc.record({ ms: fc.nat(10_000), goes: fc.boolean() }), { maxLength: 20 })
  fc.assert(
    fc.property(steps, fc.nat(100_000), (parts, totalMs) => {
      let now = 5
      let wanted = 0
      let spent: Spent = { beforeMs: 0, since: now }
      for (const { ms, goes } of parts) {
        spent = goes ? goOn(spent, now) : standStill(spent, now)
        now += ms
        wanted += goes ? ms : 0
        equal(spentMs(spent, now), wanted)
        equal(leftMs(spent, totalMs, now), goes ? Math.max(0, totalMs - wanted) : undefined)
      }
    }),
  )
})

test('a clock that is read earlier than it was started has used nothing', () => {
  equal(spentMs({ beforeMs: 3, since: 10 }, 9), 3)
})

test('the whole deadline ends a request once, when its time is used', (t) => {
  const { pass } = openDeadline(t, 100)
  pass(99)
  deepEqual(ends, [])
  pass(500)
  deepEqual(ends, [1100])
})

test('while it stands still the whole deadline never ends, and what it had left it has afterwards', (t) => {
  const { deadline, pass } = openDeadline(t, 100)
  pass(60)
  deadline.pause()
  pass(10_000)
  deepEqual(ends, [])
  deadline.resume()
  pass(39)
  deepEqual(ends, [])
  pass(1)
  deepEqual(ends, [11_100])
})

test('another whole time counts from the beginning of the request, and one that is used already ends it at once', (t) => {
  const { deadline, pass } = openDeadline(t, 100)
  pass(60)
  deadline.setTotal(200)
  pass(139)
  deepEqual(ends, [])
  pass(1)
  deepEqual(ends, [1200])
  const shorter = new WholeDeadline({ totalMs: 500, startedAt: 1000, now: () => clockMs, onEnd: () => ends.push(1) })
  shorter.setTotal(150)
  pass(1)
  deepEqual(ends, [1200, 1])
})

test('another whole time that comes while the clock stands still holds from when it goes on', (t) => {
  const { deadline, pass } = openDeadline(t, 100)
  deadline.pause()
  deadline.setTotal(10)
  pass(1000)
  deepEqual(ends, [])
  deadline.resume()
  pass(9)
  deepEqual(ends, [])
  pass(1)
  equal(ends.length, 1)
})

test('a request that is over is ended no more, also when its clock is started again', (t) => {
  const { deadline, pass } = openDeadline(t, 100)
  deadline.pause()
  deadline.close()
  deadline.resume()
  deadline.setTotal(5)
  pass(1000)
  deepEqual(ends, [])
})
