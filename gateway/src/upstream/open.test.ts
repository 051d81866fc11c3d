import { deepEqual, equal, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { withDeadline } from '../../test/deadline.ts'
import { HearthError } from '../errors.ts'
import { Gate } from './gate.ts'
import { Opener } from './open.ts'

const soon = new HearthError('mesh_not_ready')
const never = new HearthError('mesh_auth_expired')

interface Bench {
  readonly opener: Opener
  readonly dials: string[]
  retries: number
}

/** Its clock runs a thousand times as fast: a second between two trials is a millisecond. */
function openerOf(tries: number, budgetMs = 2_000): Bench {
  const bench = { dials: [] as string[], retries: 0 }
  const gate = new Gate({ patienceMs: 1e9, random: () => 0 })
  const opener = new Opener({
    gate,
    tries,
    budgetMs,
    now: () => performance.now() * 1000,
    onDial: (result) => void bench.dials.push(result),
    onRetry: () => {
      bench.retries += 1
    },
  })
  return Object.assign(bench, { opener })
}

const failing = (errors: HearthError[]) => async () => {
  const error = errors.shift()
  if (error !== undefined) throw error
  return 'open'
}

test('what may pass is tried again, and the tries are counted', async () => {
  const bench = openerOf(4)
  deepEqual(await bench.opener.open(failing([soon, soon])), { opened: 'open', tries: 3 })
  deepEqual([bench.dials, bench.retries], [['mesh_not_ready', 'mesh_not_ready', 'ok'], 2])
})

test('what somebody must mend, and what has used its tries, ends with its own reason', async () => {
  await rejects(openerOf(4).opener.open(failing([never])), never)
  const bench = openerOf(2)
  await rejects(bench.opener.open(failing([soon, soon, soon])), soon)
  equal(bench.dials.length, 2)
  await rejects(openerOf(9).opener.open(failing([soon, soon]), undefined, 1), soon)
})

test('the budget ends the wait with the last reason that was seen', async () => {
  const { opener } = openerOf(1_000_000, 30)
  await rejects(withDeadline(opener.open(failing(Array.from({ length: 100_000 }, () => soon))), 2_000, 'the end'), soon)
  const hangs = () => new Promise<never>((_resolve, reject) => setTimeout(reject, 60, soon))
  await rejects(openerOf(1, 20).opener.open(hangs), soon)
})

test('one dials for all that come while the road is not known, and all go when it is open', async () => {
  const bench = openerOf(4)
  let under = 0
  let peak = 0
  const first = Promise.withResolvers<string>()
  const dial = async () => {
    under += 1
    peak = Math.max(peak, under)
    return first.promise
  }
  const opened = Promise.all(Array.from({ length: 50 }, () => bench.opener.open(dial)))
  await new Promise((resolve) => setImmediate(resolve))
  equal(peak, 1)
  first.resolve('open')
  equal((await withDeadline(opened, 2_000, 'all are open')).length, 50)
})

test('one who leaves ends with its own reason, and the next in line tries', async () => {
  const bench = openerOf(4)
  const leave = new AbortController()
  const gone = new HearthError('client_gone')
  const hangs = (signal: AbortSignal) =>
    new Promise<string>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  const left = bench.opener.open(hangs, leave.signal)
  const next = bench.opener.open(async () => 'open')
  leave.abort(gone)
  await rejects(left, gone)
  equal((await withDeadline(next, 2_000, 'the next one is open')).opened, 'open')
  deepEqual(bench.dials, ['abandoned', 'ok'])
})
