import { deepEqual } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { test } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import { withDeadline } from '../../test/deadline.ts'
import type { Fields } from '../log.ts'
import { InFlight, lifecycle } from './lifecycle.ts'
import type { AppEnv } from './request.ts'

/** More than any kernel takes of an answer that nobody reads. */
const answer = Buffer.alloc(64 * 1024 * 1024)

test('an answer that is finished but not read is cut after callerStallMs, and its request is over', async () => {
  const inFlight = new InFlight()
  const { promise, resolve } = Promise.withResolvers<Fields>()
  const app = new Hono<AppEnv>()
  app.use(
    lifecycle({
      inFlight,
      totalMs: 60_000,
      callerStallMs: 100,
      log: (_severity, _message, fields = {}) => resolve(fields),
      meters: { request: () => {} },
      newId: () => 'id',
      answeredAtDoor: new WeakSet(),
      now: () => performance.now(),
    }),
  )
  app.get('/', (c) => {
    c.env.outgoing.end(answer)
    return RESPONSE_ALREADY_SENT
  })
  const server = createServer(getRequestListener(app.fetch)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const caller = connect((server.address() as AddressInfo).port, '127.0.0.1')
  caller.pause().on('error', () => {})
  caller.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
  try {
    const { status, outcome } = await withDeadline(promise, 5_000, 'the record of the request')
    deepEqual([status, outcome, inFlight.size], [499, 'client_gone', 0])
  } finally {
    caller.destroy()
    server.close()
    server.closeAllConnections()
  }
})
