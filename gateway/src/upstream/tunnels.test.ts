import { deepEqual, equal } from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, beforeEach, test } from 'node:test'
import type { Dispatcher } from 'undici'
import { waitUntil, withDeadline } from '../../test/deadline.ts'
import type { Connector } from './connector.ts'
import { Tunnels } from './tunnels.ts'

let server: Server
let heard: string[]
let sockets: Set<Socket>
let dials: number
let connections: number
let clockMs: number
const pools: Dispatcher[] = []

beforeEach(async () => {
  heard = []
  sockets = new Set()
  dials = 0
  connections = 0
  clockMs = 0
  server = createServer((request, response) => {
    heard.push(`${request.method} ${request.url}`)
    request.resume().on('end', () => response.end('{}'))
  })
  server.on('connection', (socket) => {
    connections += 1
    sockets.add(socket.on('close', () => sockets.delete(socket)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.destroy()))
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

/** Dials the server; counts. */
const dialServer: Connector = (_options, callback) => {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.once('connect', () => callback(null, socket))
}

function poolOver(dial: Connector, stale: () => void = () => {}): Tunnels {
  const pool = new Tunnels({
    origin: 'http://engine.home',
    connect: (options, callback) => {
      dials += 1
      dial(options, callback)
    },
    opener: { open: async (dial, signal = new AbortController().signal) => ({ opened: await dial(signal), tries: 1 }) },
    client: { pipelining: 1 },
    explain: async (error) => error,
    onStale: stale,
    now: () => clockMs,
  })
  pools.push(pool)
  return pool
}

async function ask(pool: Dispatcher, signal?: AbortSignal): Promise<number | string> {
  const options = { path: '/', method: 'POST' as const, body: 'x', ...(signal === undefined ? {} : { signal }) }
  try {
    const { statusCode, body } = await withDeadline(pool.request(options), 2_000, 'the request ends')
    await body.dump()
    return statusCode
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
    return typeof code === 'string' ? code : String(error)
  }
}

test('a failed dial ends its request after one dial, also with the codes on which undici dials for ever', async () => {
  for (const code of ['UND_ERR_SOCKET', 'UND_ERR_INFO', 'ECONNREFUSED']) {
    dials = 0
    const pool = poolOver((_options, callback) => {
      setImmediate(callback, Object.assign(new Error('no'), { code }), null)
    })
    deepEqual([await ask(pool), dials], [code, 1])
  }
})

test('a connection on which bytes wait ends its request after one dial', async () => {
  const talker = createServer().on('connection', (socket) => socket.on('error', () => {}).write('SSH-2.0-x\r\n'))
  await new Promise<void>((resolve) => talker.listen(0, '127.0.0.1', resolve))
  const pool = poolOver((_options, callback) => {
    const socket = connect((talker.address() as AddressInfo).port, '127.0.0.1')
    socket.once('readable', () => callback(null, socket))
  })
  const outcome = await ask(pool)
  await pool.destroy()
  talker.closeAllConnections()
  await new Promise((resolve) => talker.close(resolve))
  deepEqual([typeof outcome, dials], ['string', 1])
})

test('a caller that leaves before its connection is open ends the dial, and not a byte goes out', async () => {
  let told: AbortSignal | undefined
  let open = () => {}
  const pool = poolOver((options, callback) => {
    told = options.signal
    open = () => dialServer(options, callback)
  })
  const leave = new AbortController()
  const asked = ask(pool, leave.signal)
  leave.abort(Object.assign(new Error('gone'), { code: 'GONE' }))
  deepEqual([await asked, told?.aborted], ['GONE', true])
  open()
  await waitUntil(() => connections === 1, 2_000, 'the late connection is there')
  await waitUntil(() => sockets.size === 0, 2_000, 'the late connection is ended')
  deepEqual(heard, [])
})

test('no request waits behind the dial of another', async () => {
  const waiting: (() => void)[] = []
  const pool = poolOver((options, callback) => void waiting.push(() => dialServer(options, callback)))
  const asked = Array.from({ length: 50 }, () => ask(pool))
  await waitUntil(() => waiting.length === 50, 2_000, 'all fifty dial at once')
  for (const open of waiting) open()
  deepEqual(new Set(await Promise.all(asked)), new Set([200]))
})

test('a connection is used again by the next request, and by one at a time', async () => {
  const pool = poolOver(dialServer)
  for (let turn = 0; turn < 5; turn += 1) {
    equal(await ask(pool), 200)
    // The connection is free a turn after its answer ended.
    await new Promise((resolve) => setImmediate(resolve))
  }
  equal(dials, 1)
  deepEqual(await Promise.all([ask(pool), ask(pool), ask(pool)]), [200, 200, 200])
  equal(dials, 3)
})

test('a kept connection that broke before a byte went out is replaced, without a word to the caller', async () => {
  let replaced = 0
  const pool = poolOver(dialServer, () => {
    replaced += 1
  })
  equal(await ask(pool), 200)
  await new Promise((resolve) => setImmediate(resolve))
  for (const socket of sockets) socket.resetAndDestroy()
  // In the same turn: the client has not read the end yet and takes the connection for open.
  equal(await ask(pool), 200)
  deepEqual([heard.length, dials, replaced], [2, 2, 1])
})

test('a request that was sent is never sent again, whatever becomes of its kept connection', async () => {
  let replaced = 0
  const pool = poolOver(dialServer, () => {
    replaced += 1
  })
  equal(await ask(pool), 200)
  await new Promise((resolve) => setImmediate(resolve))
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage) => {
    heard.push('cut')
    request.socket.resetAndDestroy()
  })
  equal(typeof (await ask(pool)), 'string')
  deepEqual([heard, dials, replaced], [['POST /', 'cut'], 1, 0])
})

test('a connection that is as old as one that the engine closed carries no other request', async () => {
  const pool = poolOver(dialServer)
  const askAfter = async (idleMs: number) => {
    await new Promise((resolve) => setImmediate(resolve))
    clockMs += idleMs
    equal(await ask(pool), 200)
    return dials
  }
  equal(await askAfter(0), 1)
  await new Promise((resolve) => setImmediate(resolve))
  clockMs += 200
  for (const socket of sockets) socket.end()
  await waitUntil(() => sockets.size === 0, 2_000, 'the idle connection is closed')
  deepEqual([await askAfter(0), await askAfter(100), await askAfter(101)], [2, 2, 3])
})

test('a connection is used at an age that an older one has outlived', async () => {
  const pool = poolOver(dialServer)
  const askAt = async (ms: number) => {
    await new Promise((resolve) => setImmediate(resolve))
    clockMs = ms
    equal(await ask(pool), 200)
    return dials
  }
  equal(await askAt(0), 1)
  equal(await askAt(1_000), 2, 'nothing is known of an age of one second')
  equal(await askAt(2_000), 3, 'the end of the first connection may be here, unread')
  equal(await askAt(3_000), 3, 'it was open after two seconds')
})

test('destroy() ends every connection and every dial', async () => {
  const pool = poolOver(dialServer)
  equal(await ask(pool), 200)
  const hanging = poolOver(() => {})
  const asked = ask(hanging)
  await hanging.destroy()
  equal(await asked, 'Error: the pool was destroyed')
  await pool.destroy()
  await waitUntil(() => sockets.size === 0, 2_000, 'no socket is left')
})
