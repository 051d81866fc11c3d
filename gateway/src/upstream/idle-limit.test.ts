import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { IdleLimit } from './idle-limit.ts'

/** The longest idle time that may still be used. */
function longest(limit: IdleLimit, now: number): number {
  let ms = 0
  while (limit.allows(ms + 1, now)) ms += 1
  return ms
}

test('an engine of which nothing is known gets a quarter of a second', () => {
  equal(longest(new IdleLimit(), 0), 250)
})

test('a connection may be idle for four fifths of the time that another has been open', () => {
  const limit = new IdleLimit()
  equal([250, 251].map((ms) => limit.learnsFrom(ms)).join(), 'false,true')
  limit.sawOpen(4_000)
  limit.sawOpen(100)
  equal(longest(limit, 0), 3_200)
  equal([4_000, 4_001].map((ms) => limit.learnsFrom(ms)).join(), 'false,true')
})

test('a connection may be idle for half of the shortest time after which the engine closed one', () => {
  const limit = new IdleLimit()
  limit.sawOpen(490)
  limit.sawClosed(500, 0)
  limit.sawOpen(499)
  limit.sawClosed(510, 1)
  equal(longest(limit, 2), 250)
  limit.sawClosed(100, 3)
  equal(longest(limit, 4), 50)
})

test('what was open before a connection was closed proves nothing any more', () => {
  const limit = new IdleLimit()
  limit.sawOpen(4_000)
  limit.sawClosed(3_000, 0)
  equal(longest(limit, 1), 250)
  limit.sawOpen(2_000)
  equal(longest(limit, 2), 1_500)
})

test('a time is remembered while connections are closed after it, and forgotten a minute later', () => {
  const limit = new IdleLimit()
  limit.sawClosed(20, 0)
  limit.sawClosed(40, 50_000)
  equal(longest(limit, 110_000), 10)
  equal(longest(limit, 110_001), 250)
  const restarted = new IdleLimit()
  restarted.sawClosed(20, 0)
  restarted.sawClosed(41, 50_000)
  equal(longest(restarted, 60_001), 250)
})
