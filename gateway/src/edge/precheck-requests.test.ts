import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { openApp } from '../../test/in-process.ts'
import { HearthError } from '../errors.ts'
import { InFlight, lifecycle } from './lifecycle.ts'
import { precheck, refuseTrailers } from './precheck.ts'

const routes = new Map([
  ['/a', { path: '/a', methods: new Set(['GET']) }],
  ['/b', { path: '/{b}', methods: new Set(['GET', 'POST']) }],
])
const table = { find: (path: string) => routes.get(path) }

function openChecked(ended: (reason: unknown) => void = () => {}) {
  return openApp((app, { options }) => {
    app.use(lifecycle({ ...options, inFlight: new InFlight(), totalMs: 5_000, callerStallMs: 5_000, now: () => 0 }))
    app.use(precheck(table))
    app.use(refuseTrailers)
    app.all('*', async (c) => {
      const { signal } = c.get('request').abort
      const { incoming } = c.env
      await new Promise<void>((resolve) => incoming.resume().once('end', resolve))
      ended(signal.reason)
      signal.throwIfAborted()
      return c.text('in')
    })
  })
}

const say = (method: string, target: string) => `${method} ${target} HTTP/1.1\r\nHost: a\r\n\r\n`
const chunked = (trailers: string) =>
  `POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n${trailers}\r\n`

test('a path of the table passes with its methods, and the record names the route as the table writes it', async () => {
  await using door = await openChecked()
  for (const [at, [method, target, path]] of [
    ['GET', '/a', '/a'],
    ['POST', '/b?x=1', '/{b}'],
  ].entries()) {
    equal((await door.say(say(method ?? '', target ?? ''))).status, 200)
    equal((await door.record(at + 1))['route'], path)
  }
})

test('a path that only normalises to one of the table is unknown', async () => {
  await using door = await openChecked()
  for (const target of ['//a', '/a/', '/%61', '/./a', '/A', '/', '/c', '/a;x']) {
    const { status, code } = await door.say(say('GET', target))
    deepEqual([status, code], [404, 'unknown_route'], target)
  }
  equal((await door.record(1))['route'], undefined)
})

test('a method that a path does not answer is refused, and the answer names those it does', async () => {
  await using door = await openChecked()
  for (const [method, target, allow] of [
    ['POST', '/a', 'GET'],
    ['DELETE', '/b', 'GET, POST'],
    ['HEAD', '/a', 'GET'],
  ]) {
    const client = await door.open()
    await client.write(say(method ?? '', target ?? ''))
    const head = await client.readHead()
    deepEqual([head.status, head.header('allow')], [405, allow])
  }
  deepEqual([(await door.record(1))['route'], (await door.record(1))['outcome']], ['/a', 'method_not_allowed'])
})

test('a body that ends with trailers ends its request before anybody else hears of the end', async () => {
  const reasons: unknown[] = []
  await using door = await openChecked((reason) => reasons.push(reason))
  equal((await door.say(chunked(''))).status, 200)
  const { status, code, headers } = await door.say(chunked('x: 1\r\n'))
  deepEqual([status, code, headers['connection']], [400, 'bad_header', 'close'])
  const [first, second] = reasons
  equal(first, undefined)
  equal(second instanceof HearthError ? second.code : second, 'bad_header')
})
