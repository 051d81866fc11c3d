import { deepEqual, equal } from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import { type TestContext, test } from 'node:test'
import { Connections } from './connections.ts'

class FakeSocket extends EventEmitter {
  destroyed = false
  readonly destroy = () => {
    this.destroyed = true
    this.emit('close')
  }
}

/** A server that nobody listens at, with a clock in the hand. */
function openCrowd(t: TestContext, connectionsMax: number) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const server = new EventEmitter() as EventEmitter & Pick<Server, 'maxConnections'>
  let nowMs = 0
  const shed: string[] = []
  const records: unknown[] = []
  const connections = new Connections({
    connectionsMax,
    meters: { connectionShed: (why) => void shed.push(why) },
    log: (severity, message, fields) => void records.push([severity, message, fields]),
    now: () => nowMs,
  })
  connections.watch(server as unknown as Server)
  const enter = () => {
    const socket = new FakeSocket()
    server.emit('connection', socket)
    return socket
  }
  /** A request on a connection; what is given back ends it. */
  const ask = (socket: FakeSocket, event = 'request') => {
    const outgoing = new EventEmitter()
    server.emit(event, { socket }, outgoing)
    return () => void outgoing.emit('close')
  }
  const pass = (ms: number) => {
    nowMs += ms
    t.mock.timers.tick(ms)
  }
  return { server, connections, shed, records, enter, ask, pass }
}

const goneOf = (sockets: readonly FakeSocket[]) => sockets.map(({ destroyed }) => destroyed)

test('the server is told the bound, and counts who is there', (t) => {
  const { server, connections, enter } = openCrowd(t, 16)
  equal(server.maxConnections, 16)
  const [one] = [enter(), enter()]
  equal(connections.size, 2)
  one?.emit('close')
  equal(connections.size, 1)
})

test('an eighth of the places is kept free: the longest idle goes first, and none before a second', (t) => {
  const { shed, enter, pass } = openCrowd(t, 16)
  const sockets: FakeSocket[] = []
  for (let at = 0; at < 14; at += 1) {
    sockets.push(enter())
    pass(1)
  }
  pass(10_000)
  equal(shed.length, 0)
  sockets.push(enter())
  pass(250)
  deepEqual(goneOf(sockets), [true, ...Array<boolean>(14).fill(false)])
  deepEqual(shed, ['idle'])
})

test('a crowd of newcomers is left alone until each has been idle for a second', (t) => {
  const { enter, pass, shed } = openCrowd(t, 8)
  const sockets = Array.from({ length: 8 }, enter)
  pass(250)
  pass(250)
  pass(250)
  deepEqual(shed, [])
  pass(250)
  deepEqual(goneOf(sockets), [true, ...Array<boolean>(7).fill(false)])
  pass(5_000)
  equal(shed.length, 1)
})

test('a connection with a request under way is never closed for others, and is idle again after the last of them', (t) => {
  for (const event of ['request', 'checkContinue', 'checkExpectation']) {
    const { enter, ask, pass, shed } = openCrowd(t, 8)
    const busy = enter()
    const [first, second] = [ask(busy, event), ask(busy, event)]
    const others = Array.from({ length: 7 }, enter)
    pass(1_000)
    deepEqual([busy.destroyed, goneOf(others), shed], [false, [true, ...Array<boolean>(6).fill(false)], ['idle']])
    first()
    for (const other of others.slice(1)) ask(other)
    enter()
    pass(2_000)
    equal(shed.length, 2, 'the newcomer is the only one that is idle')
    second()
    enter()
    pass(500)
    equal(busy.destroyed, false)
    pass(500)
    deepEqual([busy.destroyed, shed.length], [true, 3])
    t.mock.timers.reset()
  }
})

test('an answer that ends after its connection changes nothing', (t) => {
  const { connections, enter, ask } = openCrowd(t, 8)
  const socket = enter()
  const end = ask(socket)
  socket.emit('close')
  end()
  equal(connections.size, 0)
})

test('what comes above the bound is counted each time and logged once in ten seconds', (t) => {
  const { server, shed, records, enter, pass } = openCrowd(t, 8)
  enter()
  server.emit('drop')
  server.emit('drop')
  pass(9_999)
  server.emit('drop')
  equal(records.length, 1)
  pass(1)
  server.emit('drop')
  deepEqual(records, Array(2).fill(['WARNING', 'connections full', { connectionsMax: 8, idle: 1 }]))
  deepEqual(shed, ['full', 'full', 'full', 'full'])
})
