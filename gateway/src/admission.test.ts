import { deepEqual, equal, rejects, throws } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { beforeEach, type TestContext, test } from 'node:test'
import { Admission, type Lease } from './admission.ts'
import { HearthError } from './errors.ts'

const limits = { queueMax: 2, queueMs: 1000 }
const never = new AbortController().signal
let clockMs = 0
const now = () => clockMs

beforeEach(() => {
  clockMs = 0
})

/** An admission whose only engine is taken, and the lease that takes it. */
async function takenEngine(t: TestContext): Promise<{ admission: Admission; lease: Lease }> {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const admission = new Admission([{ name: 'gpu', capacity: 1 }], limits)
  return { admission, lease: await admission.admit('gpu', never, now) }
}

function hasCode(code: string) {
  return (error: unknown) => error instanceof HearthError && error.code === code
}

test('admit() gives a free slot at once, without a wait', async () => {
  const admission = new Admission([{ name: 'gpu', capacity: 2 }], limits)
  const leases = [await admission.admit('gpu', never, now), await admission.admit('gpu', never, now)]
  deepEqual([leases.map(({ queuedMs }) => queuedMs), admission.inFlight], [[0, 0], 2])
})

test('admit() throws queue_full when the line is full, and takes no slot for it', async (t) => {
  const { admission, lease } = await takenEngine(t)
  const waiting = [admission.admit('gpu', never, now), admission.admit('gpu', never, now)]
  await rejects(admission.admit('gpu', never, now), hasCode('queue_full'))
  lease.release()
  for (const next of waiting) (await next).release()
  equal(admission.inFlight, 0)
})

test('a line of length 0 sheds as soon as all slots are taken', async () => {
  const admission = new Admission([{ name: 'gpu', capacity: 1 }], { queueMax: 0, queueMs: 1000 })
  await admission.admit('gpu', never, now)
  await rejects(admission.admit('gpu', never, now), hasCode('queue_full'))
})

test('slots go to those who wait in the order in which they came', async (t) => {
  const { admission, lease } = await takenEngine(t)
  const order: string[] = []
  const enter = async (name: string) => {
    const lease = await admission.admit('gpu', never, now)
    order.push(name)
    lease.release()
  }
  const done = Promise.all([enter('first'), enter('second')])
  lease.release()
  await done
  deepEqual(order, ['first', 'second'])
})

test('a slot that is handed over is never free in between: a newcomer waits behind the line', async (t) => {
  const { admission, lease } = await takenEngine(t)
  const waiting = admission.admit('gpu', never, now)
  lease.release()
  const newcomer = admission.admit('gpu', never, now)
  equal(admission.inFlight, 1)
  const held = await waiting
  equal(await Promise.race([newcomer, 'still waits']), 'still waits')
  held.release()
  ;(await newcomer).release()
})

test('a lease says how long its request waited', async (t) => {
  const { admission, lease } = await takenEngine(t)
  clockMs = 40
  const waiting = admission.admit('gpu', never, now)
  clockMs = 100
  lease.release()
  equal((await waiting).queuedMs, 60)
})

test('admit() throws queue_timeout after queueMs and leaves the line', async (t) => {
  const { admission, lease } = await takenEngine(t)
  const late = admission.admit('gpu', never, now)
  t.mock.timers.tick(999)
  equal(await Promise.race([late, 'still waits']), 'still waits')
  t.mock.timers.tick(1)
  await rejects(late, hasCode('queue_timeout'))
  lease.release()
  equal(admission.inFlight, 0)
})

test('a slot that came in time is kept when the deadline of the line passes later', async (t) => {
  const { admission, lease } = await takenEngine(t)
  const waiting = admission.admit('gpu', never, now)
  lease.release()
  t.mock.timers.tick(5000)
  ;(await waiting).release()
  equal(admission.inFlight, 0)
})

test('a caller who leaves the line gets the reason of its signal, and its place goes to the one behind', async (t) => {
  const { admission, lease } = await takenEngine(t)
  const caller = new AbortController()
  const leaving = admission.admit('gpu', caller.signal, now)
  const behind = admission.admit('gpu', never, now)
  const reason = new HearthError('client_gone')
  caller.abort(reason)
  await rejects(leaving, (error) => error === reason)
  lease.release()
  ;(await behind).release()
  equal(admission.inFlight, 0)
})

test('admit() refuses a caller who is gone already, though a slot is free', async () => {
  const admission = new Admission([{ name: 'gpu', capacity: 1 }], limits)
  const reason = new HearthError('client_gone')
  await rejects(admission.admit('gpu', AbortSignal.abort(reason), now), (error) => error === reason)
  equal(admission.inFlight, 0)
})

test('whoever waited and was let in leaves no timer and no listener behind', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const before = timers()
  const admission = new Admission([{ name: 'gpu', capacity: 1 }], limits)
  const lease = await admission.admit('gpu', never, now)
  const { signal } = new AbortController()
  const waiting = admission.admit('gpu', signal, now)
  deepEqual([timers() - before, getEventListeners(signal, 'abort').length], [1, 1])
  lease.release()
  ;(await waiting).release()
  deepEqual([timers() - before, getEventListeners(signal, 'abort').length], [0, 0])
})

test('a second release of one lease frees nothing', async () => {
  const admission = new Admission([{ name: 'gpu', capacity: 2 }], limits)
  const [lease] = [await admission.admit('gpu', never, now), await admission.admit('gpu', never, now)]
  lease?.release()
  lease?.release()
  equal(admission.inFlight, 1)
})

test('engines do not share slots or lines', async () => {
  const engines = [
    { name: 'gpu', capacity: 1 },
    { name: 'spare', capacity: 1 },
  ]
  const admission = new Admission(engines, { queueMax: 0, queueMs: 1000 })
  await admission.admit('gpu', never, now)
  await admission.admit('spare', never, now)
  deepEqual(admission.inFlight, 2)
})

test('an engine that is not in the table is a bug and not a place in a line', () => {
  const admission = new Admission([{ name: 'gpu', capacity: 1 }], limits)
  throws(() => admission.admit('other', never, now), hasCode('internal_error'))
})
