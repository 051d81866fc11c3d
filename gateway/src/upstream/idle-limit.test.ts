import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { IdleLimit } from './idle-limit.ts'

const minuteMs = 60_000

test('every connection may be used while the engine closed none', () => {
  deepEqual(new IdleLimit().allows(1e9, 0), true)
})

test('a connection is used for four fifths of the time after which the engine closed one', () => {
  const limit = new IdleLimit()
  limit.sawClosed(500, 0)
  deepEqual([limit.allows(400, 1), limit.allows(401, 1)], [true, false])
})

test('the shortest time counts, not the last', () => {
  const limit = new IdleLimit()
  limit.sawClosed(500, 0)
  limit.sawClosed(5_000, 1)
  limit.sawClosed(100, 2)
  deepEqual([limit.allows(80, 3), limit.allows(81, 3)], [true, false])
})

test('what a restart taught is forgotten after five minutes', () => {
  const limit = new IdleLimit()
  limit.sawClosed(1, 0)
  deepEqual([limit.allows(100, 5 * minuteMs), limit.allows(100, 5 * minuteMs + 1)], [false, true])
  limit.sawClosed(5_000, 6 * minuteMs)
  deepEqual([limit.allows(4_000, 7 * minuteMs), limit.allows(4_001, 7 * minuteMs)], [true, false])
})
