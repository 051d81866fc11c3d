import { deepEqual, equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, beforeEach, type TestContext, test } from 'node:test'
import { withDeadline } from '../../test/deadline.ts'
import { HearthError } from '../errors.ts'
import { BodyBudget } from './budget.ts'
import { type ReadLimits, readBody } from './read.ts'

const limits: ReadLimits = { bytesMax: 200_000, idleMs: 5000, bytesPerSecondMin: 1, totalMs: 5000 }
const never = new AbortController().signal
const chunkedHead = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'

const budgetOf = (bytesMax: number) => new BodyBudget({ bytesMax, bytesPerHolderMax: bytesMax })

let server: Server
let caller: Socket
let budget: BodyBudget

beforeEach(async () => {
  budget = budgetOf(1_000_000)
  server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  caller = connect((server.address() as AddressInfo).port, '127.0.0.1')
  caller.on('error', () => {})
})

afterEach(async () => {
  caller.destroy()
  server.close()
  await withDeadline(once(server, 'close'), 2000, 'the server closed: no socket is left')
})

function headOf(bytes: number, more = ''): string {
  return `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n${more}\r\n`
}

/** Sends the text and gives the request that the server made of it. */
async function arrive(text: string | Buffer): Promise<IncomingMessage> {
  caller.write(text)
  const [incoming] = (await withDeadline(once(server, 'request'), 2000, 'a request')) as [
    IncomingMessage,
    ServerResponse,
  ]
  return incoming
}

/** What came of reading: the body, or the code of the error. */
async function outcomeOf(
  incoming: IncomingMessage,
  more: Partial<ReadLimits> = {},
  signal = never,
): Promise<Buffer | string> {
  const held = budget.open()
  try {
    // A copy, since the body itself is gone with its reservation.
    return Buffer.from(
      await withDeadline(readBody(incoming, held, { ...limits, ...more }, signal), 3000, 'the body or an error'),
    )
  } catch (error) {
    return error instanceof HearthError ? error.code : String(error)
  } finally {
    held.release()
    equal(budget.bytesHeld, 0)
  }
}

test('a body of announced length arrives whole, in however many pieces', async () => {
  const body = Buffer.from('0123456789'.repeat(15_000))
  const incoming = await arrive(headOf(body.length))
  const outcome = outcomeOf(incoming)
  caller.write(body.subarray(0, 1))
  await once(incoming, 'data')
  caller.write(body.subarray(1))
  deepEqual(await outcome, body)
})

test('a chunked body that outgrows its first buffer arrives whole', async () => {
  const piece = Buffer.alloc(50_000, 'ab')
  const incoming = await arrive(chunkedHead)
  const outcome = outcomeOf(incoming)
  for (let count = 0; count < 3; count += 1)
    caller.write(Buffer.concat([Buffer.from('c350\r\n'), piece, Buffer.from('\r\n')]))
  caller.write('0\r\n\r\n')
  deepEqual(await outcome, Buffer.concat([piece, piece, piece]))
})

test('a request without a body reads as no bytes', async () => {
  deepEqual(await outcomeOf(await arrive(headOf(0))), Buffer.alloc(0))
})

test('a body announced as too large is refused before any of it is read or reserved', async () => {
  budget = budgetOf(0)
  equal(await outcomeOf(await arrive(headOf(200_001))), 'body_too_large')
})

test('a body of exactly the largest size is read', async () => {
  const outcome = await outcomeOf(await arrive(Buffer.concat([Buffer.from(headOf(10)), Buffer.alloc(10)])), {
    bytesMax: 10,
  })
  equal(outcome.length, 10)
})

test('a chunked body is counted as it arrives and refused at the first byte too many', async () => {
  equal(await outcomeOf(await arrive(`${chunkedHead}b\r\n01234567890\r\n`), { bytesMax: 10 }), 'body_too_large')
})

test('a body that finds no room in the budget is refused with body_budget', async () => {
  budget.open().growTo(950_000)
  const held = budget.open()
  const read = readBody(await arrive(headOf(60_000)), held, limits, never)
  equal(await read.catch((error: unknown) => error instanceof HearthError && error.code), 'body_budget')
})

test('a chunked body that grows past the room in the budget is refused and holds no more than it reserved', async () => {
  budget = budgetOf(100_000)
  const incoming = await arrive(chunkedHead)
  const outcome = outcomeOf(incoming)
  for (let count = 0; count < 2; count += 1) caller.write(`c350\r\n${'x'.repeat(50_000)}\r\n`)
  equal(await outcome, 'body_budget')
})

test('a compressed body is refused before it is read', async () => {
  equal(await outcomeOf(await arrive(headOf(5, 'Content-Encoding: gzip\r\n'))), 'encoded_body')
})

/** Reads under a mocked clock; `codeOf` is what came of it. */
async function readMocked(t: TestContext, incoming: IncomingMessage, more: Partial<ReadLimits>) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  let code: string | undefined
  const held = budget.open()
  void readBody(incoming, held, { ...limits, ...more }, never).then(
    () => settle('whole'),
    (error: unknown) => settle(error instanceof HearthError ? error.code : String(error)),
  )
  const settle = (came: string) => {
    code = came
    held.release()
  }
  const piece = async (bytes: number) => {
    const seen = once(incoming, 'data')
    caller.write('1'.repeat(bytes))
    await seen
  }
  const tick = async (ms: number) => {
    t.mock.timers.tick(ms)
    await new Promise((resolve) => setImmediate(resolve))
    return code
  }
  return { piece, tick }
}

test('a body that comes slower than the pace over one idleMs ends in body_timeout, whatever it brought before', async (t) => {
  const incoming = await arrive(headOf(10_000))
  const { piece, tick } = await readMocked(t, incoming, { idleMs: 500, bytesPerSecondMin: 1000 })
  await piece(4_000)
  equal(await tick(500), undefined)
  await piece(500)
  equal(await tick(499), undefined)
  equal(await tick(1), undefined)
  await piece(499)
  equal(await tick(500), 'body_timeout')
})

test('silence over one idleMs ends in body_timeout even where no pace is set', async (t) => {
  const { piece, tick } = await readMocked(t, await arrive(headOf(10)), { idleMs: 500, bytesPerSecondMin: 0 })
  await piece(1)
  equal(await tick(500), undefined)
  equal(await tick(500), 'body_timeout')
})

test('a body that keeps its pace but takes too long ends in body_timeout after totalMs', async (t) => {
  const { piece, tick } = await readMocked(t, await arrive(headOf(10)), { idleMs: 1000, totalMs: 1500 })
  await piece(1)
  equal(await tick(1000), undefined)
  await piece(1)
  equal(await tick(499), undefined)
  equal(await tick(1), 'body_timeout')
})

test('a large body, announced or not, holds about its own size, is the same byte for byte, and is gone when released', async () => {
  const bytesMax = 8 * 1024 * 1024
  const body = Buffer.from(Array.from({ length: 3_000_001 }, (_, at) => (at * 31 + (at >> 8)) & 0xff))
  const chunked = Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')])
  for (const [head, sent] of [
    [headOf(body.length), body],
    [chunkedHead, chunked],
  ] as const) {
    budget = budgetOf(bytesMax)
    const other = connect((server.address() as AddressInfo).port, '127.0.0.1')
    other.write(head)
    other.write(sent)
    const [incoming] = (await once(server, 'request')) as [IncomingMessage, ServerResponse]
    const held = budget.open()
    const bytes = await withDeadline(readBody(incoming, held, { ...limits, bytesMax }, never), 3000, 'the body')
    ok(bytes.equals(body))
    ok(budget.bytesHeld >= body.length && budget.bytesHeld <= body.length + 2 * 256 * 1024, `${budget.bytesHeld}`)
    held.release()
    equal(bytes.length, 0)
    other.destroy()
  }
})

test('a caller who leaves in the middle of the body is client_gone', async () => {
  for (const head of [headOf(10), `${chunkedHead}a\r\n`]) {
    const other = connect((server.address() as AddressInfo).port, '127.0.0.1')
    other.write(`${head}123`)
    const [incoming] = (await once(server, 'request')) as [IncomingMessage, ServerResponse]
    const outcome = outcomeOf(incoming)
    await once(incoming, 'data')
    other.destroy()
    equal(await outcome, 'client_gone')
  }
})

test('an aborted signal ends the reading with its own reason, before and during', async () => {
  const incoming = await arrive(`${headOf(10)}123`)
  equal(await outcomeOf(incoming, {}, AbortSignal.abort(new HearthError('draining'))), 'draining')
  const abort = new AbortController()
  const outcome = outcomeOf(incoming, {}, abort.signal)
  await once(incoming, 'data')
  abort.abort(new HearthError('deadline_exceeded'))
  equal(await outcome, 'deadline_exceeded')
})

test('a body that was read leaves no timer and no listener behind', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const incoming = await arrive(headOf(3))
  const before = timers()
  const read = readBody(incoming, budget.open(), limits, never)
  ok(timers() > before)
  caller.write('123')
  await read
  ok(timers() <= before)
  deepEqual([incoming.listenerCount('data'), incoming.listenerCount('end')], [0, 0])
})
