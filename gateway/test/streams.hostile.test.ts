import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { type Chance, chanceFrom, inParallel, seedOf } from './seeded.ts'
import { chatPath, withoutComments } from './wire.ts'

const model = 'sliced'
const count = 1_000
const width = 40
const pauseless = 0.5

/** Streams by the number in their question. */
interface Slicer extends AsyncDisposable {
  readonly url: string
}

async function startSlicer(serve: (number: number, response: ServerResponse) => Promise<void>): Promise<Slicer> {
  const server = createServer({ noDelay: true }, async (incoming: IncomingMessage, response) => {
    const number = Number(/number (\d+)/.exec(await text(incoming))?.[1])
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    await serve(number, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

function startFor(engine: Slicer): Promise<Gateway> {
  const engines = [{ name: 'gpu', url: engine.url, kind: 'openai', capacity: 200 }]
  const config = { engines, models: [{ id: model, engine: 'gpu' }] }
  return startGateway({ config, env: { HEARTH_HOST: '127.0.0.1' } })
}

/** Reads a stream; `onChunk` hears each read. */
async function ask(url: string, key: string, number: number, onChunk: (chunk: Buffer) => void): Promise<number> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const body = { model, stream: true, messages: [{ role: 'user', content: `number ${number}` }] }
  const asked = request(`${url}${chatPath}`, { method: 'POST', headers })
  asked.end(JSON.stringify(body))
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  for await (const chunk of response) onChunk(chunk as Buffer)
  return response.statusCode ?? 0
}

const words = [
  'é',
  '漢字',
  '😀👩‍👩‍👧',
  ' and',
  ' more ',
  '\\n\\n',
  'data: [DONE]',
  '{\\"error\\":1}',
  '‮',
  'ﷺ',
  '\\ud83d',
]
const lineEnds = ['\n', '\n', '\n', '\r\n']

/** A stream of events that no rule touches, in every legal form; a short one where it leaves byte by byte. */
function compose(chance: Chance, isShort: boolean): Buffer {
  const names = `"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"${model}"`
  const chunk = (delta: string, finish: string) =>
    `{${names},"choices":[{"index":0,"delta":{${delta}},"finish_reason":${finish}}]}`
  const end = chance.pick(lineEnds)
  const event = (data: string): string => {
    const form = chance.below(8)
    if (form === 0) return `: ping ${chance.below(9)}${end}${end}`
    if (form === 1) return `id: 7${end}data: ${data}${end}${end}`
    if (form === 2) return `data: ${data.replace(',', `,${end}data: `)}${end}${end}`
    return `data:${form === 3 ? '' : ' '}${data}${end}${end}`
  }
  const word = () =>
    Array.from({ length: 1 + chance.below(!isShort && chance.happens(0.02) ? 3_000 : 4) }, () => chance.pick(words))
  const deltas = Array.from({ length: 1 + chance.below(isShort ? 4 : 40) }, () =>
    event(chunk(`"content":"${word().join('')}"`, 'null')),
  )
  const last = `data: ${chunk('', '"stop"')}${end}${end}data: [DONE]${end}${end}`
  return Buffer.from(deltas.join('') + last)
}

/** Slices of at most 2^order bytes: from one byte to 64 KiB. */
async function sliceOut(bytes: Buffer, order: number, chance: Chance, response: ServerResponse): Promise<void> {
  const waits = !chance.happens(pauseless)
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + chance.below(2 ** order)
    response.write(bytes.subarray(at, at + size))
    at += size
    // The bytes leave by themselves; else several slices may share a packet.
    if (waits || order < 4) await new Promise<void>((resolve) => setImmediate(resolve))
  }
  response.end()
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

describe('R34 streams that no rule touches', () => {
  it(`are byte for byte the same, ${count} of them cut anywhere`, async () => {
    const seed = seedOf(process.env)
    const sent = new Map<number, string>()
    let total = 0
    const engine = await startSlicer(async (number, response) => {
      const chance = chanceFrom(seed + number)
      const order = chance.below(17)
      const bytes = compose(chance, order < 4)
      sent.set(number, sha256(bytes))
      total += bytes.length
      await sliceOut(bytes, order, chance, response)
    })
    const gateway = await startFor(engine)
    const different: string[] = []
    await inParallel(Array(count).keys(), width, async (number) => {
      const chunks: Buffer[] = []
      const status = await ask(gateway.url, gateway.key, number, (chunk) => chunks.push(chunk))
      const bytes = withoutComments(Buffer.concat(chunks))
      if (status !== 200 || sha256(bytes) !== sent.get(number)) different.push(`${number}: ${status}\n${bytes}`)
    })
    console.log(
      `${different.length} of ${count} streams differ (95 %: below ${300 / count} %), ${Math.round(total / 1024)} KiB, seed ${seed}`,
    )
    assert.deepEqual(different.slice(0, 3), [], `seed ${seed}`)
    await assertNothingLeft(gateway)
    await engine[Symbol.asyncDispose]()
  })

  it('come a few milliseconds later than straight from the engine, at 100 streams of 50 events a second', async () => {
    const streams = 100
    const events = 100
    const engine = await startSlicer(async (_, response) => {
      const event = (content: string, finish: string) =>
        `data: {"choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":${finish}}]}\n\n`
      for (let index = 0; index < events; index += 1) {
        response.write(event(`at ${performance.now()};`, 'null'))
        await sleep(20)
      }
      response.end(`${event('', '"stop"')}data: [DONE]\n\n`)
    })
    const gateway = await startFor(engine)
    const lags = async (url: string) => {
      const seen: number[] = []
      const take = (chunk: Buffer) => {
        const nowMs = performance.now()
        for (const [, at] of chunk.toString('latin1').matchAll(/at ([\d.]+);/g)) seen.push(nowMs - Number(at))
      }
      await Promise.all(Array.from({ length: streams }, (_, number) => ask(url, gateway.key, number, take)))
      seen.sort((one, other) => one - other)
      const at = (share: number) => seen[Math.floor(share * (seen.length - 1))] ?? 0
      return { p50: at(0.5), p99: at(0.99), count: seen.length }
    }
    const direct = await lags(engine.url)
    const through = await lags(gateway.url)
    console.log(
      `${through.count} events: straight p50 ${direct.p50.toFixed(2)} p99 ${direct.p99.toFixed(2)} ms,`,
      `through the gateway p50 ${through.p50.toFixed(2)} p99 ${through.p99.toFixed(2)} ms`,
    )
    assert.deepEqual([direct.count, through.count], [streams * events, streams * events])
    // On a busy machine both wait for their turn; a gateway that collects events would be late by whole intervals.
    assert.ok(through.p50 < direct.p50 + 20, `p50 ${through.p50} ms, straight ${direct.p50} ms`)
    await assertNothingLeft(gateway)
    await engine[Symbol.asyncDispose]()
  })
})
