import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { waitUntil, withDeadline } from './deadline.ts'
import { chatText } from './framing-cases.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { plainBody, streamBody } from './hostile-answers.ts'
import { type Plan, type RawUpstream, type SeenRequest, startRawUpstream } from './raw-upstream.ts'
import { type Chance, chanceFrom, inParallel, seedOf, Tallies } from './seeded.ts'
import { readAnswers } from './strict-http.ts'
import { chatBody, model } from './wire.ts'

const count = 10_000
const clients = 200
const nonceIn = /n\d+x[0-9a-f]+x/
const noncesIn = new RegExp(nonceIn, 'g')

describe('R03 a shared pool', () => {
  let upstream: RawUpstream
  let gateway: Gateway
  const seed = seedOf(process.env)
  const chance = chanceFrom(seed)
  before(async () => {
    upstream = await startRawUpstream((request) => planFor(request, chance))
    gateway = await startGateway({
      config: {
        engines: [{ name: 'gpu', url: upstream.url, kind: 'vllm', capacity: 64 }],
        models: [{ id: model, engine: 'gpu' }],
        limits: { queueMax: 1_000 },
      },
      env: { HEARTH_HOST: '127.0.0.1' },
    })
  })
  after(async () => {
    await assertNothingLeft(gateway)
    await upstream[Symbol.asyncDispose]()
  })

  it(`gives no byte of one answer to another caller in ${count}, of whom three of ten leave anywhere`, async () => {
    console.log(`seed ${seed}`)
    const seen = new Tallies<string>()
    const startedMs = performance.now()
    await inParallel(Array(count).keys(), clients, async (at) => {
      const nonce = `n${at}x${chance.below(2 ** 30).toString(16)}x`
      const stream = chance.happens(0.5)
      const leaveAfter = chance.happens(0.3) ? chance.below(900) : undefined
      const body = chatBody({ stream, messages: [{ role: 'user', content: nonce }] })
      const text = chatText(gateway.key, { framing: `Content-Length: ${body.length}\r\n`, body })
      const bytes = await ask(gateway.port, text, leaveAfter)
      const others = (bytes.toString('latin1').match(noncesIn) ?? []).filter((found) => found !== nonce)
      assert.deepEqual(others, [], `seed ${seed}: ${bytes}`)
      if (leaveAfter !== undefined) return seen.add('left')
      const [answer, ...more] = readAnswers(bytes)
      assert.deepEqual([answer?.status, answer?.whole, more.length], [200, true, 0], `seed ${seed}: ${bytes}`)
      assert.equal(answer?.body.toString(), stream ? streamBody(nonce) : plainBody(nonce))
      seen.add('whole')
    })
    const reused = upstream.requests.filter(({ before: earlier }) => earlier.length > 0).length
    const took = Math.round(performance.now() - startedMs)
    console.log(
      `${seen} in ${took} ms; ${upstream.connections()} connections to the engine, ${reused} requests on a kept one`,
    )
    assert.ok(reused > count / 10, 'the pool was never shared')
    await waitUntil(() => upstream.socketsOpen() === 0, 10_000, 'idle connections run into their time')
  })
})

/** An honest answer with the nonce of its request, in pieces, so that it can be left in the middle. */
function planFor({ body }: SeenRequest, chance: Chance): Plan | undefined {
  const nonce = nonceIn.exec(body)?.[0]
  if (nonce === undefined) return undefined
  const isStream = body.includes('"stream":true')
  const text = isStream ? streamBody(nonce) : plainBody(nonce)
  const type = isStream ? 'text/event-stream' : 'application/json'
  const head = `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`
  const whole = Buffer.from(`${head}${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`)
  const edges = [0, ...Array.from({ length: 3 }, () => chance.below(whole.length)), whole.length].sort((a, b) => a - b)
  return {
    mark: nonce,
    pauseMs: 3,
    writes: edges.slice(1).map((edge, at) => whole.subarray(edges[at], edge)),
    ending: 'keep',
  }
}

/** Asks over a connection of its own; leaves by a reset once `leaveAfter` bytes are there, or never. */
async function ask(port: number, text: string, leaveAfter: number | undefined): Promise<Buffer> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  const chunks: Buffer[] = []
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    if (leaveAfter !== undefined && bytes.length >= leaveAfter) socket.resetAndDestroy()
    else if (leaveAfter === undefined && readAnswers(bytes).at(-1)?.whole === true) socket.end()
  })
  socket.write(text, 'latin1', () => {
    if (leaveAfter !== undefined && leaveAfter < 100) setImmediate(() => socket.resetAndDestroy())
  })
  // Who would leave later than the answer is long leaves with its end.
  if (leaveAfter !== undefined) setTimeout(() => socket.destroy(), 1_000).unref()
  await withDeadline(once(socket, 'close'), 20_000, 'the connection ends')
  return Buffer.concat(chunks)
}
