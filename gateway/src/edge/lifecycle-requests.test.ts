import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { withDeadline } from '../../test/deadline.ts'
import { type Doorway, openApp, readAnswer } from '../../test/in-process.ts'
import { HearthError } from '../errors.ts'
import { InFlight, lifecycle, refuseWhileDraining } from './lifecycle.ts'
import type { AppContext } from './request.ts'

const get = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n'

interface Opened {
  readonly inFlight?: InFlight
  readonly totalMs?: number
  readonly handle: (c: AppContext) => Response | Promise<Response>
}

/** A lifecycle whose clock goes on by ten with each look. */
function openLifecycle({ inFlight = new InFlight(), totalMs = 5_000, handle }: Opened): Promise<Doorway> {
  let clock = 0
  const now = () => {
    clock += 10
    return clock
  }
  return openApp((app, { options }) => {
    app.use(lifecycle({ ...options, inFlight, totalMs, callerStallMs: 5_000, now }))
    app.use(refuseWhileDraining(inFlight))
    app.all('*', handle)
  })
}

const reasonOf = ({ reason }: AbortSignal) => (reason instanceof HearthError ? reason.code : String(reason))

/** Resolves with the code by which a request was ended. */
function endOf(c: AppContext): Promise<string> {
  const { signal } = c.get('request').abort
  const ended = new Promise<string>((resolve) =>
    signal.aborted ? resolve(reasonOf(signal)) : signal.addEventListener('abort', () => resolve(reasonOf(signal))),
  )
  return withDeadline(ended, 2_000, 'the request is ended')
}

test('a request has an id, headers that every answer wants, one record and one sample, and is in flight meanwhile', async () => {
  const inFlight = new InFlight()
  const sizes: number[] = []
  await using door = await openLifecycle({
    inFlight,
    handle: (c) => {
      sizes.push(inFlight.size)
      Object.assign(c.get('request').log, { route: '/a', model: 'm' })
      return c.body('in', 200, c.get('request').headers)
    },
  })
  const { status, headers } = await door.say(get)
  const record = await door.record(1)
  deepEqual([status, sizes, inFlight.size], [200, [1], 0])
  deepEqual(
    ['x-request-id', 'cache-control', 'x-content-type-options'].map((name) => headers[name]),
    ['id-1', 'no-store', 'nosniff'],
  )
  deepEqual(record, {
    ...{ severity: 'INFO', message: 'GET /a 200 m 10 ms', requestId: 'id-1', status: 200, ms: 10 },
    ...{ route: '/a', model: 'm', outcome: 'ok' },
  })
  const { httpRequest, trace } = door.contexts[0] ?? {}
  deepEqual(httpRequest, {
    ...{ requestMethod: 'GET', requestUrl: '/a', requestSize: undefined, status: 200, responseSize: undefined },
    ...{ userAgent: undefined, latency: '0.010s', protocol: 'HTTP/1.1' },
  })
  deepEqual([trace?.traceId.length, trace?.spanId.length, trace?.sampled], [32, 16, false])
  deepEqual(door.metered, [{ route: '/a', status: 200, code: 'ok', ms: 10 }])
})

test('a failure of ours is a warning, what a caller did wrong and an end in order are none', async () => {
  let outcome = ''
  let status = 200
  await using door = await openLifecycle({
    handle: (c) => {
      c.get('request').log.outcome = outcome
      return new Response('in', { status })
    },
  })
  const cases = [
    [500, 'internal_error', 'WARNING'],
    [503, 'engine_unreachable', 'WARNING'],
    [200, 'engine_died', 'WARNING'],
    [499, 'other', 'INFO'],
    [503, 'draining', 'INFO'],
    [404, 'unknown_route', 'INFO'],
  ] as const
  for (const [at, [code, name, severity]] of cases.entries()) {
    outcome = name
    status = code
    await door.say(get)
    const record = await door.record(at + 1)
    deepEqual([record.severity, record['status'], record['outcome']], [severity, code, name])
    deepEqual(door.metered[at], { route: 'other', status: code, code: name, ms: 10 })
  }
})

test('a caller who leaves ends its request, which is written down as 499 client_gone once the handler is done', async () => {
  const inFlight = new InFlight()
  const came = Promise.withResolvers<AppContext>()
  const goOn = Promise.withResolvers<void>()
  await using door = await openLifecycle({
    inFlight,
    handle: async (c) => {
      came.resolve(c)
      await goOn.promise
      c.get('request').log.fix = 'noted'
      return RESPONSE_ALREADY_SENT
    },
  })
  const client = await door.open()
  await client.write(get)
  const c = await withDeadline(came.promise, 2_000, 'the request')
  equal(inFlight.size, 1)
  client.destroy()
  equal(await endOf(c), 'client_gone')
  equal(inFlight.size, 0)
  equal(door.records.length, 0)
  goOn.resolve()
  const record = await door.record(1)
  deepEqual(
    [record['status'], record['outcome'], record['fix'], record.severity],
    [499, 'client_gone', 'noted', 'INFO'],
  )
  deepEqual([door.metered[0]?.status, door.metered[0]?.aborted], [499, 'client_gone'])
})

test('a request that breaks off in its body has one record and one sample: those of the front door, which answered it', async () => {
  const inFlight = new InFlight()
  const came = Promise.withResolvers<AppContext>()
  await using door = await openLifecycle({
    inFlight,
    handle: async (c) => {
      came.resolve(c)
      await endOf(c)
      throw new HearthError('client_gone')
    },
  })
  const client = await door.open()
  await client.write('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nten bytes.')
  const c = await withDeadline(came.promise, 2_000, 'the request')
  const closed = new Promise<void>((resolve) => c.env.outgoing.once('close', () => setImmediate(resolve)))
  client.finish()
  const { status, code } = await readAnswer(client)
  await withDeadline(closed, 2_000, 'the request is over')
  deepEqual([status, code, inFlight.size], [400, 'malformed_request', 0])
  deepEqual(
    door.records.map((record) => [record['status'], record['outcome']]),
    [[400, 'malformed_request']],
  )
  equal(door.metered.length, 1)
})

test('an answer that is whole ends no signal, and no timer is left that could', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let signal = new AbortController().signal
  await using door = await openLifecycle({
    totalMs: 100,
    handle: (c) => {
      signal = c.get('request').abort.signal
      return c.text('in')
    },
  })
  await door.say(get)
  await door.record(1)
  t.mock.timers.tick(200)
  equal(signal.aborted, false)
})

test('a request that takes longer than it may is ended by deadline_exceeded, then and not before', async (t) => {
  const came = Promise.withResolvers<AppContext>()
  const goOn = Promise.withResolvers<void>()
  await using door = await openLifecycle({
    totalMs: 100,
    handle: async (c) => {
      came.resolve(c)
      await goOn.promise
      return c.text('in')
    },
  })
  const client = await door.open()
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await client.write(get)
  const { signal } = (await came.promise).get('request').abort
  t.mock.timers.tick(99)
  equal(signal.aborted, false)
  t.mock.timers.tick(1)
  equal(reasonOf(signal), 'deadline_exceeded')
  goOn.resolve()
})

test('while the process drains new work is refused and the connection closed', async () => {
  const inFlight = new InFlight()
  await using door = await openLifecycle({ inFlight, handle: (c) => c.text('in') })
  equal((await door.say(get)).status, 200)
  equal(inFlight.draining, false)
  await withDeadline(inFlight.drain(10_000), 1_000, 'nothing is in flight')
  equal(inFlight.draining, true)
  const { status, code, headers } = await door.say(get)
  deepEqual([status, code, headers['connection']], [503, 'draining', 'close'])
})

test('a drain waits for the last request, and cuts nothing before its deadline', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const inFlight = new InFlight()
  const requests = [new AbortController(), new AbortController()] as const
  for (const abort of requests) inFlight.enter(abort)
  const late = new AbortController()
  let drained = false
  const end = inFlight.drain(100).then(() => {
    drained = true
  })
  t.mock.timers.tick(99)
  inFlight.leave(requests[0])
  await new Promise((resolve) => setImmediate(resolve))
  deepEqual([drained, inFlight.size, requests[1].signal.aborted], [false, 1, false])
  inFlight.leave(requests[1])
  await end
  inFlight.enter(late)
  t.mock.timers.tick(1_000)
  equal(late.signal.aborted, false)
  ok(requests.every(({ signal }) => !signal.aborted))
})

test('a drain that is over its deadline ends every request with the reason', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const inFlight = new InFlight()
  const requests = [new AbortController(), new AbortController()]
  for (const abort of requests) inFlight.enter(abort)
  const end = inFlight.drain(100)
  t.mock.timers.tick(100)
  deepEqual(
    requests.map(({ signal }) => reasonOf(signal)),
    ['draining', 'draining'],
  )
  for (const abort of requests) inFlight.leave(abort)
  await end
})

test('requests that end while nothing drains call nobody', () => {
  const inFlight = new InFlight()
  const abort = new AbortController()
  inFlight.enter(abort)
  inFlight.leave(abort)
  equal(inFlight.size, 0)
})

test('an answer that its caller does not read is given up after callerStallMs, then and not before', async (t) => {
  const answered = Promise.withResolvers<AppContext>()
  await using door = await openLifecycle({
    handle: (c) => {
      // More than the buffers of the system hold.
      c.env.outgoing.end(Buffer.alloc(16 * 1024 * 1024))
      answered.resolve(c)
      return RESPONSE_ALREADY_SENT
    },
  })
  const client = await door.open()
  client.socket.pause()
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await client.write(get)
  const { outgoing } = (await answered.promise).env
  await new Promise((resolve) => setImmediate(resolve))
  t.mock.timers.tick(4_999)
  equal(outgoing.destroyed, false)
  t.mock.timers.tick(1)
  equal(outgoing.destroyed, true)
})
