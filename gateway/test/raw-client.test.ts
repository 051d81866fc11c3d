import { deepStrictEqual, rejects, strictEqual } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, test } from 'node:test'
import { BodyCounter } from './fake-bodies.ts'
import { openRaw, type RawClient, type SseEvent } from './raw-client.ts'

let server: Server
let client: RawClient
let peer: Socket

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const accepted = once(server, 'connection')
  client = await openRaw(typeof address === 'object' ? (address?.port ?? 0) : 0)
  const [socket] = await accepted
  peer = socket
})

afterEach(async () => {
  await client[Symbol.asyncDispose]()
  peer.destroy()
  server.close()
  await once(server, 'close')
})

test('an RST stays an RST after the socket has closed, with the bytes before it kept', async () => {
  peer.write('abc')
  await client.readUntil('a')
  const closed = new Promise((resolve) => client.socket.once('close', resolve))
  peer.resetAndDestroy()
  strictEqual(await client.closed(), 'rst')
  await closed
  deepStrictEqual([client.ending, client.peek().toString()], ['rst', 'bc'])
})

test('a chunked body is read whatever way its bytes arrive, and what follows is left', async () => {
  const answer =
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\na\r\n0123456789\r\n0\r\nt: v\r\n\r\nHTTP'
  for (const byte of answer) {
    peer.write(byte)
    await new Promise(setImmediate)
  }
  const body = await client.readBody(await client.readHead())
  deepStrictEqual([body.ended, body.chunks.map(({ bytes }) => bytes.toString())], ['complete', ['abc', '0123456789']])
  await client.readUntil('HTTP')
  strictEqual(client.peek().length, 0)
})

test('a chunked body that ends early is not complete', async () => {
  peer.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc')
  const body = await client.readBody(await client.readHead())
  deepStrictEqual([body.ended, body.bytes.toString()], ['fin', 'abc'])
})

test('events are read with any line ends, with comments, and with data on several lines', async () => {
  peer.end('HTTP/1.1 200 OK\r\n\r\n: wait\n\nevent: e\r\ndata: a\r\ndata:b\r\n\r\ndata: c\r\r')
  const read: Omit<SseEvent, 'text' | 'atMs'>[] = []
  for await (const { data, comment, event } of client.readEvents(await client.readHead())) {
    read.push({ data, comment, event })
  }
  deepStrictEqual(read, [
    { data: undefined, comment: 'wait', event: undefined },
    { data: 'a\nb', comment: undefined, event: 'e' },
    { data: 'c', comment: undefined, event: undefined },
  ])
})

test('a wait names what it waited for when its time is over, and what it got when the connection ended', async () => {
  peer.write('HTTP/1.1 200')
  await rejects(client.readHead(20), /not within 20 ms: "\\r\\n\\r\\n" arrives/)
  peer.end()
  await rejects(client.readHead(), /the connection ended \(fin\) before/)
})

test('a body is counted alike however it is cut, and so are the pictures in it', () => {
  const body = Buffer.from('{"a":"data:image/png;base64,QUJD","b":";base64,","c":"data:x;base64,REVG')
  const sha256 = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex')
  const dataUris = ['QUJD', ''].map((text) => ({ bytes: text.length, sha256: sha256(text) }))
  for (let size = 1; size <= body.length; size += 1) {
    const counter = new BodyCounter()
    for (let at = 0; at < body.length; at += size) counter.add(body.subarray(at, at + size))
    deepStrictEqual(counter.finish(), { bytes: body.length, sha256: sha256(body), dataUris }, `in steps of ${size}`)
  }
})
