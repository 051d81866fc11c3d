import { deepEqual, equal } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { HearthError } from '../errors.ts'
import { BodyBuffer } from './body-buffer.ts'
import { BodyBudget } from './budget.ts'
import { readBody } from './read.ts'

const limits = { bytesMax: 1_000_000, idleMs: 5_000, bytesPerSecondMin: 0, totalMs: 5_000 }
const openBudget = () => new BodyBudget({ bytesMax: 4_000_000, bytesPerHolderMax: 4_000_000 })

/** As much of a request as reading its body asks for; `complete` as Node would say it. */
function openIncoming(headers: Record<string, string> = {}, complete = true) {
  return Object.assign(new PassThrough(), { headers, complete })
}

async function endOf(
  incoming: ReturnType<typeof openIncoming>,
  signal = new AbortController().signal,
): Promise<string> {
  const held = openBudget().open()
  try {
    const bytes = await readBody(incoming as unknown as IncomingMessage, held, limits, signal)
    return bytes.toString()
  } catch (error) {
    return error instanceof HearthError ? error.code : String(error)
  } finally {
    held.release()
  }
}

test('a body is whole only where its framing says so', async () => {
  for (const [complete, wanted] of [
    [true, 'ab'],
    [false, 'client_gone'],
  ] as const) {
    const incoming = openIncoming({}, complete)
    const end = endOf(incoming)
    incoming.end('ab')
    equal(await end, wanted)
  }
})

test('a request that is ended from elsewhere ends its body with that reason, at once', async () => {
  const abort = new AbortController()
  const end = endOf(openIncoming(), abort.signal)
  abort.abort(new HearthError('draining'))
  equal(await end, 'draining')
})

test('a connection that breaks, and one that closes, are client_gone', async () => {
  for (const leave of ['error', 'close']) {
    const incoming = openIncoming()
    const end = endOf(incoming)
    incoming.emit(leave, leave === 'error' ? new Error('reset') : undefined)
    equal(await end, 'client_gone', leave)
    // Errors that come later find somebody who listens.
    incoming.emit('error', new Error('late'))
  }
})

test('nothing of a request hangs on after its body', async () => {
  const abort = new AbortController()
  const incoming = openIncoming()
  const end = endOf(incoming, abort.signal)
  incoming.end('a')
  await end
  equal(getEventListeners(abort.signal, 'abort').length, 0)
  deepEqual(
    ['data', 'end', 'close'].map((event) =>
      incoming.listeners(event).filter(({ name }) => /^on(Data|End|Gone)$/.test(name)),
    ),
    [[], [], []],
  )
})

test('the room of a body is what it announces, or grows by steps with one more for the move', () => {
  const budget = openBudget()
  const announced = new BodyBuffer(100_000, budget.open(), 1_000_000)
  equal(budget.bytesHeld, 100_000)
  announced.append(Buffer.alloc(100_000, 1))
  equal(announced.finish().length, 100_000)
  equal(budget.bytesHeld, 100_000)
  const other = openBudget()
  const held = other.open()
  const grown = new BodyBuffer(0, held, 1_000_000)
  equal(other.bytesHeld, 64 * 1024)
  grown.append(Buffer.alloc(64 * 1024, 1))
  equal(other.bytesHeld, 64 * 1024)
  grown.append(Buffer.alloc(1, 2))
  equal(other.bytesHeld, 2 * 256 * 1024)
  const body = grown.finish()
  deepEqual([body.length, body[0], body[64 * 1024]], [64 * 1024 + 1, 1, 2])
  held.release()
  deepEqual([other.bytesHeld, body.length], [0, 0])
})

test('a body of unknown length keeps every byte in its place, over any number of steps', () => {
  const held = openBudget().open()
  const grown = new BodyBuffer(0, held, 1_000_000)
  const whole = Buffer.from(Array.from({ length: 900_000 }, (_, at) => (at * 7 + (at >> 9)) & 0xff))
  for (let at = 0; at < whole.length; at += 33_333) grown.append(Buffer.from(whole.subarray(at, at + 33_333)))
  equal(grown.length, whole.length)
  equal(Buffer.compare(grown.finish(), whole), 0)
})
