import { once } from 'node:events'
import { connect } from 'node:net'
import { withDeadline } from './deadline.ts'
import { chatText, chunked, framingCases } from './framing-cases.ts'
import { type Chance, chanceFrom } from './seeded.ts'
import { readAnswers } from './strict-http.ts'
import { chatBody, chatPath } from './wire.ts'

/** What a broken request may be answered with: its own fault, or an answer where the change did no harm. */
export const meantStatuses: ReadonlySet<number> = new Set([
  ...[200, 204, 400, 401, 404, 405, 408, 411, 413, 414, 415, 417, 421, 422, 431, 501, 505],
])

const closeMs = 15_000

const noises: readonly string[] = [
  ...['\r\n', '\n', '\r', '\0', ' ', '\t', ':', '/', '//', '%', '%2f', '..', '\\', '#', '?', '@', '\x80', '\xff'],
  ...['Host: b\r\n', 'Transfer-Encoding: chunked\r\n', 'Content-Length: 0\r\n', 'Expect: x\r\n', '__proto__: x\r\n'],
  ...[
    'Connection: upgrade\r\nUpgrade: websocket\r\n',
    'Trailer: x\r\n',
    'Content-Encoding: gzip\r\n',
    'Origin: null\r\n',
  ],
  ...['0', '-1', '+', ';x=y', '\x0b', '\xa0', '"', '{', '}', '[', '[[[[', ',', '\\u0000', '\ud83d', '1e999', 'NaN'],
  ...['HTTP/1.0', 'HTTP/2.0', 'CONNECT ', 'OPTIONS * HTTP/1.1\r\n', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'http://e/'],
  ...['0\r\n\r\n', 'fffffff\r\n', '"model":"x",', '"stream":true,', 'data:image/png;base64,', 'X-A: b\r\n c\r\n'],
]

/** An endless row of broken requests, the same for one seed and key. */
export function* mutations(seed: number, key: string): Generator<string> {
  const chance = chanceFrom(seed)
  const bases = baseTexts(key)
  const named = framingCases(key).map(({ text }) => text)
  for (;;) yield mutate(chance.pick(chance.happens(0.8) ? bases : named).slice(0, 4_000), chance)
}

function baseTexts(key: string): readonly string[] {
  const te = 'Transfer-Encoding: chunked\r\n'
  const auth = `Authorization: Bearer ${key}\r\n`
  const stream = chatBody({ stream: true })
  return [
    chatText(key),
    chatText(key, { framing: te, body: chunked() }),
    chatText(key, { extra: 'Expect: 100-continue\r\n' }),
    chatText(key, { framing: `Content-Length: ${stream.length}\r\n`, body: stream }),
    chatText(key) + chatText(key, { extra: 'X-Second: 1\r\n' }),
    chatText(key, { line: `POST ${chatPath} HTTP/1.0` }),
    `GET /v1/models HTTP/1.1\r\nHost: a\r\n${auth}\r\n`,
    'GET /health HTTP/1.0\r\n\r\n',
    `OPTIONS ${chatPath} HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nAccess-Control-Request-Method: POST\r\n\r\n`,
  ]
}

/** One to six changes: a piece put in, taken out, doubled, moved, overwritten, or a bit turned. */
export function mutate(text: string, chance: Chance): string {
  let changed = text
  for (let left = 1 + chance.below(chance.happens(0.7) ? 3 : 6); left > 0; left -= 1) {
    const at = chance.below(changed.length)
    const length = chance.below(chance.happens(0.8) ? 12 : 200)
    const piece = changed.slice(at, at + length)
    const put = chance.pick([
      chance.pick(noises),
      chance.pick(noises),
      '',
      piece + piece,
      piece.toUpperCase(),
      String.fromCharCode((changed.charCodeAt(at) ^ (1 << chance.below(8))) & 0xff) + piece.slice(1),
    ])
    changed = changed.slice(0, at) + put + changed.slice(chance.happens(0.5) ? at : at + length)
  }
  return changed
}

/**
 * Sends the characters as bytes over a connection of their own and returns all that came back. After `patienceMs`, or
 * when an answer is whole, our side ends; what the server waits for is then not coming.
 */
export async function throwAt(port: number, text: string, patienceMs = 300): Promise<Buffer> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  const chunks: Buffer[] = []
  const patience = setTimeout(() => socket.end(), patienceMs)
  socket.on('data', (chunk) => {
    chunks.push(chunk)
    if (isAnswered(Buffer.concat(chunks))) socket.end()
  })
  socket.on('end', () => socket.end())
  // A reset is an answer too; what came before it counts.
  socket.on('error', () => {})
  socket.write(Buffer.from(text, 'latin1'))
  try {
    await withDeadline(once(socket, 'close'), closeMs, `the gateway ends the connection of ${JSON.stringify(text)}`)
  } finally {
    clearTimeout(patience)
    socket.destroy()
  }
  return Buffer.concat(chunks)
}

function isAnswered(bytes: Buffer): boolean {
  try {
    const last = readAnswers(bytes).at(-1)
    return last?.whole === true && last.status >= 200
  } catch {
    // Told when the connection is over.
    return false
  }
}
