import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestNotes } from '../log/request-record.ts'
import type { RelayOutcome } from '../upstream/relay.ts'
import type { Timing } from '../upstream/server-timing.ts'
import { noteAnswer, notePictures } from './request-notes.ts'

const usage = { promptTokens: 7, completionTokens: 11, cachedTokens: 2, estimated: false }
const outcome = {
  status: 200,
  bytesOut: 100,
  firstByteMs: 40,
  firstTokenMs: 50,
  usage,
  finishReason: 'stop',
  error: undefined,
}

/** What is noted of an answer that took `ms`. */
function noted(change: Partial<RelayOutcome>, ms: number, timing: Timing = {}): RequestNotes {
  const log: RequestNotes = {}
  noteAnswer({ log, timing }, { ...outcome, ...change }, ms)
  return log
}

test('an answer is noted with its tokens, and how fast they came behind the first', () => {
  deepEqual(noted({}, 1050), {
    ...{ bytesOut: 100, firstByteMs: 40, ttftMs: 50, promptTokens: 7, cachedTokens: 2, completionTokens: 11 },
    ...{ tokensEstimated: false, tokensPerSecond: 10, finishReason: 'stop' },
  })
})

test('the wait in the line counts for the first token and not for the speed', () => {
  const { ttftMs, tokensPerSecond } = noted({}, 3050, { queueMs: 2000 })
  deepEqual([ttftMs, tokensPerSecond], [2050, 10])
})

test('what took no time, or came at once, has no speed', () => {
  const speedOf = (change: Partial<RelayOutcome>, ms: number) => noted(change, ms).tokensPerSecond
  deepEqual(speedOf({}, 50.5), undefined)
  deepEqual(speedOf({ firstTokenMs: undefined }, 1050), undefined)
  deepEqual(speedOf({ usage: { ...usage, completionTokens: 1 } }, 1050), undefined)
  deepEqual(speedOf({ usage: { ...usage, completionTokens: undefined } }, 1050), undefined)
})

test('a reason that no engine is known to give is told as another one, without its text', () => {
  deepEqual(
    ['stop', 'length', 'tool_calls', 'secret', undefined].map(
      (finishReason) => noted({ finishReason }, 1).finishReason,
    ),
    ['stop', 'length', 'tool_calls', 'other', undefined],
  )
})

test('pictures are noted together, and a request without any has none', () => {
  const log: RequestNotes = {}
  notePictures({ log }, [])
  deepEqual(log, {})
  const one = { kind: 'png', width: 10, height: 20, bytes: 300 } as const
  notePictures({ log }, [one, { ...one, width: 5 }])
  deepEqual(log, { pictures: 2, picturePixels: 300, pictureBytes: 600 })
})
