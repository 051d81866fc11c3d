import { deepEqual, equal } from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { withDeadline } from '../../test/deadline.ts'
import { HearthError } from '../errors.ts'
import type { Engine } from './engines.ts'
import { Probe, type ProbeResult } from './probe.ts'

type Ask = (path: string, signal: AbortSignal) => Promise<number>

let clockMs = 0
let asked: string[] = []

beforeEach(() => {
  clockMs = 1000
  asked = []
})

function probeOf(ask: Ask, { viaMesh = true, timeoutMs = 60_000 } = {}): Probe {
  const engine: Engine = {
    config: { name: 'gpu', url: 'http://gpu', kind: 'vllm', capacity: 1 },
    upstream: {
      viaMesh,
      way: () => undefined,
      dispatch: () => {},
      probe: (path, signal) => {
        asked.push(path)
        return ask(path, signal)
      },
      destroy: async () => {},
    },
  }
  return new Probe(engine, { path: '/v1/models', timeoutMs, freshMs: 500, answeredMs: 10_000, now: () => clockMs })
}

function check(probe: Probe): Promise<ProbeResult> {
  return withDeadline(probe.check(), 2000, 'the probe answers')
}

test('an engine that answers 200 is ready, at the time of the answer', async () => {
  const probe = probeOf(async () => {
    clockMs = 1200
    return 200
  })
  deepEqual([await check(probe), asked], [{ ready: true, at: 1200 }, ['/v1/models']])
})

test('an engine that answers anything else is not ready, and says why', async () => {
  for (const [status, code] of [
    [404, 'engine_unreachable'],
    [503, 'engine_unreachable'],
    [502, 'engine_unreachable'],
    [401, 'engine_key_refused'],
    [500, 'engine_error'],
  ] as const) {
    const { ready, code: said, detail } = await check(probeOf(async () => status))
    deepEqual([ready, said, detail?.includes(String(status))], [false, code, true])
  }
})

test('a road that fails is not ready, with the code of the failure', async () => {
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
  const cut = Object.assign(new Error('cut'), { code: 'UND_ERR_SOCKET' })
  const codeOf = async (error: unknown, viaMesh: boolean) =>
    (await check(probeOf(() => Promise.reject(error), { viaMesh }))).code
  equal(await codeOf(refused, false), 'engine_unreachable')
  equal(await codeOf(cut, true), 'ingress_down')
  equal(await codeOf(cut, false), 'engine_died')
  equal(await codeOf(new HearthError('mesh_peer_offline'), true), 'mesh_peer_offline')
  equal(await codeOf('nonsense', true), 'internal_error')
})

test('a road that throws at once is not ready, too: check() never throws', async () => {
  const probe = probeOf(() => {
    throw new HearthError('mesh_not_ready', { detail: 'why' })
  })
  deepEqual(await check(probe), { ready: false, code: 'mesh_not_ready', detail: 'why', at: 1000 })
})

test('a dial that ignores the signal is given up after timeoutMs', async () => {
  const hangs = () => new Promise<number>(() => {})
  equal((await check(probeOf(hangs, { timeoutMs: 5 }))).code, 'mesh_dial_timeout')
  equal((await check(probeOf(hangs, { timeoutMs: 5, viaMesh: false }))).code, 'engine_timeout')
})

test('a dial that fails after it was given up disturbs nobody', async () => {
  const dial = Promise.withResolvers<number>()
  const probe = probeOf(() => dial.promise, { timeoutMs: 5 })
  await check(probe)
  // An unhandled rejection would fail this test.
  dial.reject(new Error('too late'))
  await dial.promise.catch(() => {})
  clockMs += 500
  equal((await check(probe)).code, 'internal_error')
})

test('those who ask at the same time share one question and its answer', async () => {
  const answer = Promise.withResolvers<number>()
  const probe = probeOf(() => answer.promise)
  const checks = [check(probe), check(probe), check(probe)]
  answer.resolve(200)
  const [first, ...others] = await Promise.all(checks)
  deepEqual([asked.length, others.every((other) => other === first)], [1, true])
})

test('an answer is given again until it is freshMs old', async () => {
  let status = 200
  const probe = probeOf(async () => status)
  await check(probe)
  status = 503
  clockMs += 499
  deepEqual([(await check(probe)).ready, asked.length], [true, 1])
  clockMs += 1
  deepEqual([(await check(probe)).ready, asked.length], [false, 2])
})

test('an engine that comes back is ready again', async () => {
  let status = 503
  const probe = probeOf(async () => status)
  await check(probe)
  status = 200
  clockMs += 500
  deepEqual(await check(probe), { ready: true, at: clockMs })
})

test('an engine that gave a whole answer of late is ready without a question, and is asked again later', async () => {
  const probe = probeOf(async () => 503)
  probe.answered(clockMs)
  clockMs += 10_000
  deepEqual([(await check(probe)).ready, asked.length], [true, 0])
  clockMs += 1
  deepEqual([(await check(probe)).ready, asked.length], [false, 1])
})

test('a failed request makes everything forgotten that was known, and older answers count no more', async () => {
  const probe = probeOf(async () => 503)
  probe.answered(clockMs)
  clockMs += 10
  probe.failed('engine_died')
  clockMs += 10
  // Its request went out before the failure: the road may have been good for it alone.
  probe.answered(clockMs - 15)
  deepEqual([(await check(probe)).ready, asked.length], [false, 1])
  probe.answered(clockMs)
  equal((await check(probe)).ready, true)
})

test('an answer that a failure has overtaken is told to those who asked and to nobody after them', async () => {
  const answer = Promise.withResolvers<number>()
  const answers: (Promise<number> | number)[] = [answer.promise, 503]
  const probe = probeOf(async () => (await answers.shift()) ?? 500)
  const first = check(probe)
  clockMs += 1
  probe.failed('engine_died')
  answer.resolve(200)
  await first
  equal((await check(probe)).ready, false)
})

test('the last word is the newest of what questions and requests told, with its code and its time, and asks nobody', async () => {
  let status = 200
  const probe = probeOf(async () => status)
  deepEqual([probe.lastWord(), asked.length], [undefined, 0])
  await check(probe)
  deepEqual(probe.lastWord(), { ready: true, at: 1000 })
  clockMs = 2000
  probe.failed('engine_died')
  deepEqual(probe.lastWord(), { ready: false, code: 'engine_died', at: 2000 })
  clockMs = 3000
  probe.answered(1500)
  deepEqual(probe.lastWord(), { ready: false, code: 'engine_died', at: 2000 })
  probe.answered(2500)
  deepEqual(probe.lastWord(), { ready: true, at: 3000 })
  clockMs = 1_000_000
  deepEqual([probe.lastWord(), asked.length], [{ ready: true, at: 3000 }, 1])
  status = 503
  await check(probe)
  equal(probe.lastWord()?.code, 'engine_unreachable')
})

test('an answer to a question that a failed request has overtaken is not the last word', async () => {
  const answer = Promise.withResolvers<number>()
  const probe = probeOf(() => answer.promise)
  const first = check(probe)
  clockMs += 1
  probe.failed('ingress_down')
  answer.resolve(200)
  await first
  deepEqual(probe.lastWord(), { ready: false, code: 'ingress_down', at: 1001 })
})
