import { deepEqual, equal, match, ok } from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { RequestError } from '@hono/node-server'
import { withDeadline } from '../../test/deadline.ts'
import { openDoorway, readAnswer, takeNotes } from '../../test/in-process.ts'
import { HearthError } from '../errors.ts'
import { refuseOdd } from './front-door.ts'

const get = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n'
const odd = 'GET /a HTTP/1.1\r\nHost: a\r\nx_y: 1\r\n\r\n'
const large = 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n'

/** Answers everybody once the body is whole, and keeps who came. */
function openListener() {
  const seen: string[] = []
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    seen.push(`${incoming.method} ${incoming.url}`)
    incoming.resume().once('end', () => outgoing.end('in'))
  }
  return { seen, listener }
}

test('a plain request reaches the app, and the door writes nothing down', async () => {
  const { seen, listener } = openListener()
  await using door = await openDoorway(listener)
  const { status, text } = await door.say(get)
  deepEqual([status, text, seen, door.records, door.metered], [200, 'in', ['GET /a'], [], []])
})

test('a head that is refused reaches no app, gets the one error shape and one record, and loses its connection', async () => {
  const { seen, listener } = openListener()
  await using door = await openDoorway(listener)
  const client = await door.open()
  await client.write(odd)
  const { status, headers, text } = await readAnswer(client)
  const { error } = JSON.parse(text)
  deepEqual(Object.keys(error), ['message', 'type', 'param', 'code'])
  deepEqual([status, error.code, seen], [400, 'bad_header', []])
  const { date: _, ...rest } = headers
  deepEqual(rest, {
    'x-request-id': 'id-1',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-type': 'application/json; charset=utf-8',
    'x-hearth-error-source': 'gateway',
    'content-length': String(Buffer.byteLength(text)),
    connection: 'close',
  })
  equal(await client.closed(), 'fin')
  deepEqual(door.metered, [{ route: 'other', status: 400, code: 'bad_header', ms: 0 }])
  const detail = error.message
  deepEqual(door.records, [
    {
      ...{ severity: 'INFO', message: 'GET /* 400 bad_header 0 ms', requestId: 'id-1', status: 400, ms: 0 },
      ...{ outcome: 'bad_header', bytesOut: Buffer.byteLength(text), detail },
    },
  ])
  deepEqual(door.contexts, [
    {
      httpRequest: {
        ...{ requestMethod: 'GET', requestUrl: '/*', requestSize: undefined, status: 400 },
        ...{ responseSize: String(Buffer.byteLength(text)), userAgent: undefined },
        ...{ latency: '0.000s', protocol: 'HTTP/1.1' },
      },
    },
  ])
})

test('a listed page may read why its request was refused, also where the bytes after the head were none', async () => {
  await using door = await openDoorway(() => {}, takeNotes(['https://a.example']))
  const origin = 'Origin: https://a.example\r\n'
  const refused = await door.say(odd.replace('x_y', `${origin}x_y`))
  equal(refused.headers['access-control-allow-origin'], 'https://a.example')
  const broken = await door.say(`POST /a HTTP/1.1\r\nHost: a\r\n${origin}Transfer-Encoding: chunked\r\n\r\nzz\r\n`)
  deepEqual([broken.code, broken.headers['access-control-allow-origin']], ['malformed_request', 'https://a.example'])
  const twice = await door.say(odd.replace('x_y', `${origin}${origin}x_y`))
  deepEqual([twice.code, twice.headers['access-control-allow-origin']], ['bad_header', undefined])
  const other = await door.say(odd.replace('x_y', 'Origin: https://b.example\r\nx_y'))
  equal(other.headers['access-control-allow-origin'], undefined)
})

test('bytes that are no HTTP have their codes: no head in time, a head too long, chunks with extensions, the rest', async () => {
  const notes = takeNotes()
  await using impatient = await openDoorway(openListener().listener, notes, 50)
  await using door = await openDoorway(openListener().listener, notes)
  const chunks = 'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
  const answers = [
    await impatient.say('GET /a HTTP/1.1\r\nHost: '),
    await door.say(`GET /a HTTP/1.1\r\nHost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
    await door.say(`${chunks}1;${'x'.repeat(20_000)}\r\na\r\n0\r\n\r\n`),
    await door.say('\x16\x03\x01\x02\r\n\r\n'),
  ]
  const codes = ['head_timeout', 'too_many_headers', 'body_too_large', 'malformed_request']
  deepEqual(
    answers.map(({ status, code }) => [status, code]),
    codes.map((code, at) => [[408, 431, 413, 400][at], code]),
  )
  deepEqual(
    answers.map(({ headers, text }) => [headers['connection'], Number(headers['content-length']) === text.length]),
    codes.map(() => ['close', true]),
  )
  deepEqual(
    door.records.map(({ outcome }) => outcome),
    codes,
  )
  match(String(door.records[3]?.['detail']), /^HPE_\w+: Parse Error: /)
})

test('a bare answer is HTTP to the letter, and ends the connection from both sides', async () => {
  await using door = await openDoorway(() => {})
  const client = await door.open()
  await client.write('nothing\r\n\r\n')
  await client.closed()
  const [head = '', body = ''] = client.peek().toString().split('\r\n\r\n')
  const lines = head.split('\r\n')
  equal(lines[0], 'HTTP/1.1 400 Bad Request')
  ok(lines.slice(1).every((line) => /^[a-z-]+: \S.*$/.test(line)))
  equal(JSON.parse(body).error.code, 'malformed_request')
})

test('CONNECT opens no tunnel, and a CONNECT with a broken head is told of the head', async () => {
  const { seen, listener } = openListener()
  await using door = await openDoorway(listener)
  const plain = await door.say('CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n')
  deepEqual([plain.status, plain.code, plain.headers['connection']], [400, 'bad_request_line', 'close'])
  const many = 'x: 1\r\n'.repeat(101)
  equal((await door.say(`CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n${many}\r\n`)).code, 'too_many_headers')
  deepEqual([seen, door.contexts.map(({ httpRequest }) => httpRequest?.requestMethod)], [[], ['CONNECT', 'CONNECT']])
})

test('only the word 100-continue is an expectation that is met, and it goes out when somebody reads the body', async () => {
  const bodies: (() => void)[] = []
  const came = Promise.withResolvers<void>()
  await using door = await openDoorway((incoming, outgoing) => {
    bodies.push(() => incoming.resume())
    incoming.once('end', () => outgoing.end('in'))
    came.resolve()
  })
  const head = (expect: string) => `POST /a HTTP/1.1\r\nHost: a\r\nExpect: ${expect}\r\nContent-Length: 2\r\n\r\n`
  equal((await door.say(head('else'))).code, 'expectation_failed')
  const client = await door.open()
  await client.write(head('100-continue'))
  await withDeadline(came.promise, 2_000, 'the request is let in')
  // A whole exchange later, whatever was written to the first caller has arrived.
  equal((await door.say(odd)).code, 'bad_header')
  equal(client.peek().length, 0)
  bodies[0]?.()
  equal((await client.readHead()).status, 100)
  await client.write('hi')
  equal((await readAnswer(client)).text, 'in')
})

test('nobody is told to go on with a body after the answer', async () => {
  await using door = await openDoorway((incoming, outgoing) => {
    outgoing.writeHead(401, { 'content-length': '2', connection: 'close' }).end('no')
    incoming.resume()
  })
  const client = await door.open()
  await client.write('POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n')
  equal((await client.readHead()).status, 401)
  await client.closed()
  equal(client.peek().toString(), 'no')
})

test('a refusal with an expectation is answered too, and the body is not asked for', async () => {
  await using door = await openDoorway(() => {})
  const said = await door.say(
    'POST /a HTTP/1.1\r\nHost: a\r\nx_y: 1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n',
  )
  deepEqual([said.status, said.code], [400, 'bad_header'])
})

test('what comes after the last answer of a connection is not looked at', async () => {
  const { seen, listener } = openListener()
  await using door = await openDoorway(listener)
  const socket = door.accepted()
  const client = await door.open()
  await client.write('POST /a HTTP/1.1\r\nHost: a\r\nx_y: 1\r\nContent-Length: 5\r\n\r\n')
  equal((await readAnswer(client)).code, 'bad_header')
  await client.write(`12345${get}`)
  equal(await client.closed(), 'fin')
  client.finish()
  await (await socket).closed
  deepEqual([client.peek().length, seen, door.records.length], [0, [], 1])
})

test('answers come in the order of their requests, a refusal in its turn', async () => {
  const waiting = Promise.withResolvers<ServerResponse>()
  await using door = await openDoorway((_, outgoing) => waiting.resolve(outgoing))
  const client = await door.open()
  await client.write(get + odd)
  const outgoing = await withDeadline(waiting.promise, 2_000, 'the first request')
  await door.record(1)
  equal((await door.say(odd)).code, 'bad_header')
  equal(client.peek().length, 0)
  outgoing.end('first')
  equal((await readAnswer(client)).text, 'first')
  equal((await readAnswer(client)).code, 'bad_header')
})

test('broken bytes behind a request are not answered: its own answer comes whole, as the last', async () => {
  const waiting = Promise.withResolvers<ServerResponse>()
  await using door = await openDoorway((_, outgoing) => waiting.resolve(outgoing))
  const client = await door.open()
  await client.write(`${get}\x00\x01\r\n\r\n`)
  const outgoing = await withDeadline(waiting.promise, 2_000, 'the first request')
  await client.write(get)
  outgoing.end('whole')
  const { headers, text } = await readAnswer(client)
  deepEqual([text, headers['connection']], ['whole', 'close'])
  equal(await client.closed(), 'fin')
  deepEqual([client.peek().length, door.records.length], [0, 0])
})

test('broken bytes in a body whose answer is under way leave the answer whole, and end the connection', async () => {
  const under = Promise.withResolvers<ServerResponse>()
  await using door = await openDoorway((incoming, outgoing) => {
    incoming.resume().on('error', () => {})
    outgoing.writeHead(200, { 'content-length': '8' }).write('half')
    under.resolve(outgoing)
  })
  const client = await door.open()
  await client.write('POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
  const head = await client.readHead()
  const broken = new Promise((resolve) => door.server.once('clientError', resolve))
  await client.write('zz\r\n')
  await withDeadline(broken, 2_000, 'the parser complains')
  await client.write('more\r\n')
  ;(await under.promise).end('half')
  equal((await client.readBody(head)).bytes.toString(), 'halfhalf')
  equal(await client.closed(), 'fin')
  deepEqual([client.peek().length, door.records.length], [0, 0])
})

test('broken bytes after an answer that is whole are answered for themselves', async () => {
  const { listener } = openListener()
  await using door = await openDoorway(listener)
  const client = await door.open()
  await client.write(get)
  equal((await readAnswer(client)).text, 'in')
  await client.write('\x00\x01\r\n\r\n')
  equal((await readAnswer(client)).code, 'malformed_request')
})

test('broken bytes in a body that nobody has answered are answered', async () => {
  await using door = await openDoorway((incoming) => incoming.resume().on('error', () => {}))
  const said = await door.say('POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n')
  deepEqual([said.status, said.code], [400, 'malformed_request'])
})

test('a caller who is gone is told nothing and written down nowhere', async () => {
  const waiting = Promise.withResolvers<IncomingMessage>()
  await using door = await openDoorway((incoming) => waiting.resolve(incoming.on('error', () => {})))
  const client = await door.open()
  await client.write(large)
  const incoming = await withDeadline(waiting.promise, 2_000, 'the request')
  // Not events.once(), to which the reset itself would be a failure.
  const gone = new Promise<void>((resolve) => incoming.socket.once('close', () => resolve()))
  client.reset()
  await withDeadline(gone, 2_000, 'the connection is gone')
  deepEqual([door.records, door.metered], [[], []])
})

for (const [what, first] of [
  ['no HTTP', 'nothing\r\n\r\n'],
  ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n'],
  ['its head', large.replace('Host', 'x_y: 1\r\nHost')],
] as const)
  test(`a caller refused for ${what} may go on sending for a second, is cut then, and has read why`, async (t) => {
    await using door = await openDoorway(() => {})
    const socket = door.accepted()
    const client = await door.open()
    t.mock.timers.enable({ apis: ['setTimeout'] })
    await client.write(first)
    await client.readUntil('"code":')
    // More than the buffers of the system hold: this ends only if somebody takes it away.
    await client.write(Buffer.alloc(16 * 1024 * 1024, 0x20))
    const { socket: theirs, closed } = await socket
    t.mock.timers.tick(999)
    equal(theirs.destroyed, false)
    t.mock.timers.tick(1)
    equal(theirs.destroyed, true)
    await closed
  })

test('a caller who has sent everything and gets its last answer is closed at once', async (t) => {
  await using door = await openDoorway((_, outgoing) => outgoing.writeHead(200, { connection: 'close' }).end('in'))
  const socket = door.accepted()
  const client = await door.open()
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await client.write(get)
  await client.readUntil('\r\n0\r\n')
  await (await socket).closed
})

test('a refused caller who resets the connection harms nobody', async () => {
  await using door = await openDoorway(() => {})
  for (const first of ['nothing\r\n\r\n', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n']) {
    const socket = door.accepted()
    const client = await door.open()
    await client.write(first)
    await client.readUntil('"code":')
    client.reset()
    await (await socket).closed
  }
  equal((await door.say('nothing\r\n\r\n')).code, 'malformed_request')
})

test('what the adapter refuses is a header of the caller; anything else is a fault of ours', async () => {
  const notes = takeNotes()
  const answerTo = async (thrown: unknown) => {
    const response = refuseOdd(thrown, notes.options)
    const { error } = JSON.parse(await response.text())
    return [response.status, error.code, response.headers.get('x-request-id'), response.headers.get('connection')]
  }
  deepEqual(await answerTo(new RequestError('odd')), [400, 'bad_header', 'id-1', 'close'])
  deepEqual(await answerTo(new Error('other')), [500, 'internal_error', 'id-2', 'close'])
  deepEqual(await answerTo(new HearthError('draining')), [503, 'draining', 'id-3', 'close'])
  deepEqual(
    notes.records.map(({ detail }) => detail),
    ['RequestError: odd', 'Error: other', 'This instance is shutting down. Try again: another one answers.'],
  )
})

test('a caller who ends its side while an answer waits to be read has left: the answer ends at once', async () => {
  /** More than any kernel takes, and not the end of the answer. */
  const much = Buffer.alloc(64 * 1024 * 1024)
  const ended = Promise.withResolvers<void>()
  await using door = await openDoorway((_, outgoing) => {
    outgoing.once('close', () => ended.resolve())
    outgoing.write(much)
  })
  const client = await door.open()
  client.socket.pause()
  await client.write(get)
  client.finish()
  await withDeadline(ended.promise, 3_000, 'the answer is given up')
})
