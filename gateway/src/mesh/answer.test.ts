import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { judgeAnswer, type Verdict } from './answer.ts'

const refused = (body: string, head = `Content-Length: ${Buffer.byteLength(body)}\r\n`) =>
  `HTTP/1.1 503 Service Unavailable\r\n${head}\r\n${body}`
const opened = (headers: string) => `HTTP/1.1 200 OK\r\n${headers}\r\n`

/** What the sidecar says, what becomes of it, and whether it ends its connection after it. */
const table: readonly [said: string, becomes: string, ended?: boolean][] = [
  [opened(''), 'open {}'],
  ['HTTP/1.1 200\r\n\r\n', 'open {}'],
  [
    opened('Mesh-Tunnel: a1-B_c~.\r\nMesh-Path: direct\r\nMesh-Rtt-Ms: 0.41\r\n'),
    'open {"id":"a1-B_c~.","path":"direct","rttMs":0.41}',
  ],
  [opened('mesh-path:derp \r\nMesh-Derp: fra\r\n'), 'open {"path":"derp"}'],
  [opened('Mesh-Path: pigeon\r\nMesh-Rtt-Ms: NaN\r\nMesh-Tunnel: ../v1/drain\r\n'), 'open {}'],
  [opened(`Mesh-Tunnel: ${'a'.repeat(33)}\r\nMesh-Rtt-Ms: -1\r\n`), 'open {}'],
  [`${opened('')}x`, 'mesh_early_bytes'],
  [refused('{"code":"mesh_peer_offline","message":"x"}'), 'mesh_peer_offline'],
  [refused('{"code":"mesh_gremlins"}'), 'mesh_unknown'],
  [refused('{"code":"invalid_api_key"}'), 'mesh_unknown'],
  [refused('{"code":7}'), 'mesh_unknown'],
  [refused('null'), 'mesh_unknown'],
  [refused('no JSON'), 'mesh_unknown'],
  [refused('{"code":"mesh_refused"}', ''), 'more'],
  [refused('{"code":"mesh_refused"}', ''), 'mesh_refused', true],
  [refused('{"code":"mesh_refused"}', 'Content-Length: 90\r\n'), 'more'],
  [refused('{"code":"mesh_ref', 'Content-Length: 90\r\n'), 'mesh_unknown', true],
  [refused('{"code":"mesh_refused"}trailing', 'Content-Length: 23\r\n'), 'mesh_refused'],
  [refused('a'.repeat(20_000), 'Content-Length: 20000\r\n'), 'mesh_unknown'],
  [`HTTP/1.1 200 OK\r\nX: ${'a'.repeat(20_000)}`, 'mesh_unknown'],
  ['SSH-2.0-OpenSSH_9.2\r\n', 'mesh_unknown'],
  ['HTTP/1.0 200 OK\r\n\r\n', 'mesh_unknown'],
  ['HTTP/1.1 2x0 OK\r\n\r\n', 'mesh_unknown'],
  ['HTTP/1.1 2000 OK\r\n\r\n', 'mesh_unknown'],
  ['', 'more'],
  ['', 'more', true],
  ['HTTP/1.', 'more'],
  ['HTTP/1.1 200 OK\r\n', 'mesh_unknown', true],
]

function show(verdict: Verdict): string {
  if (verdict === undefined) return 'more'
  return 'open' in verdict ? `open ${JSON.stringify(verdict.open)}` : verdict.refused.code
}

test('judgeAnswer() says what an answer to CONNECT means', () => {
  for (const [said, becomes, ended = false] of table)
    equal(show(judgeAnswer(Buffer.from(said), ended)), becomes, JSON.stringify(said.slice(0, 80)))
})

/** Judged as the dial does it: after each piece what came so far, then at the end. */
function judgeInPieces(said: Buffer, cuts: readonly number[]): string {
  for (const cut of [...cuts, said.length]) {
    const verdict = judgeAnswer(said.subarray(0, cut))
    if (verdict !== undefined) return show(verdict)
  }
  return show(judgeAnswer(said, true))
}

test('however an answer is cut into pieces, it gets the same verdict', () => {
  // Where more bytes follow a tunnel that is open already, the pieces do decide: these are the tunnel's first bytes.
  const whole = table
    .map(([said]) => Buffer.from(said))
    .filter((said) => show(judgeAnswer(said)) !== 'mesh_early_bytes')
  fc.assert(
    fc.property(fc.constantFrom(...whole), fc.array(fc.double({ min: 0, max: 1, noNaN: true })), (said, at) => {
      const cuts = at.map((part) => Math.floor(part * said.length)).toSorted((a, b) => a - b)
      equal(judgeInPieces(said, cuts), judgeInPieces(said, []))
    }),
  )
})

test('no bytes whatever make judgeAnswer() throw, and none but an HTTP 200 opens a tunnel', () => {
  const begins = fc.constantFrom('', 'HTTP/1.1 ', 'HTTP/1.1 200 ', 'HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\n')
  fc.assert(
    fc.property(begins, fc.string({ unit: 'binary' }), fc.boolean(), (begin, rest, ended) => {
      const bytes = Buffer.from(`${begin}${rest}`)
      const open = show(judgeAnswer(bytes, ended)).startsWith('open')
      if (open)
        deepEqual([bytes.subarray(0, 12).toString(), bytes.subarray(-4).toString()], ['HTTP/1.1 200', '\r\n\r\n'])
    }),
  )
})
