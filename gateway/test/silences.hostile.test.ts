import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { waitUntil, withDeadline } from './deadline.ts'
import type { Gateway } from './harness.ts'
import { openRaw, type RawClient, type SseEvent } from './raw-client.ts'
import { chatBody, chatPath, model, type Pair, rawHeaders, withPair } from './wire.ts'

/** So many times as fast. */
const factor = 60
const streams = 100
const waitMs = 30_000
const everyMs = 15_000
/** What proxies cut at, who hear nothing for a minute. */
const proxyMs = 60_000
const fastClock = new URL('fast-clock.mjs', import.meta.url).href
const heapProbe = new URL('heap-probe.mjs', import.meta.url).href
const idleStreams = 300
const bytesEachMax = 64 * 1024

async function openStreams(gateway: Gateway, count: number): Promise<RawClient[]> {
  return await Promise.all(
    Array.from({ length: count }, async () => {
      const client = await openRaw(gateway.port)
      await client.send({ path: chatPath, headers: rawHeaders(gateway), body: chatBody({ stream: true }) })
      return client
    }),
  )
}

interface Heard {
  readonly whole: boolean
  readonly heartbeats: number
  /** The longest time between two events, as the gateway's clock counts. */
  readonly longestMs: number
}

async function hear(client: RawClient): Promise<Heard> {
  const head = await client.readHead(waitMs)
  const events: SseEvent[] = []
  const reader = client.readEvents(head, waitMs)
  for (let next = await reader.next(); !next.done; next = await reader.next()) events.push(next.value)
  await client[Symbol.asyncDispose]()
  const times = events.map(({ atMs }) => atMs)
  const gaps = times.slice(1).map((at, index) => at - (times[index] ?? at))
  return {
    whole: events.at(-1)?.data === '[DONE]',
    heartbeats: events.filter(({ comment }) => comment === 'keep-alive').length,
    longestMs: Math.max(...gaps) * factor,
  }
}

/** What the gateway holds after its garbage is gone. */
async function weigh(gateway: Gateway): Promise<{ rss: number; held: number }> {
  const before = gateway.stderr().length
  process.kill(gateway.pid, 'SIGUSR2')
  const line = await waitUntil(
    () => /^\{.*\}$/m.exec(gateway.stderr().slice(before))?.[0],
    waitMs,
    'the gateway weighs',
  )
  return JSON.parse(line)
}

const manyAtOnce = { engineConfig: { capacity: 400 }, sections: { limits: { queueMax: 400 } } }

describe('R35 streams that are silent for long', () => {
  it(`are not cut by default, and no proxy that waits for a minute would cut one of ${streams}`, () =>
    withPair(
      {
        ...manyAtOnce,
        env: { NODE_OPTIONS: `--import=${fastClock}`, HEARTH_TEST_CLOCK: String(factor) },
        readyMs: waitMs,
      },
      async ({ engine, gateway }: Pair) => {
        // Seven silences of a minute and of nearly two, before, between and behind the words.
        const silencesMs = [60_000, 105_000]
        for (const silenceMs of silencesMs) {
          const pace = { headDelayMs: silenceMs / factor, intervalMs: silenceMs / factor, tokens: 1 }
          engine.setDefault({ ...pace, on: chatPath })
          const clients = await openStreams(gateway, streams)
          const heard = await withDeadline(Promise.all(clients.map(hear)), waitMs, 'all streams end')
          const wanted = Math.floor(silenceMs / everyMs) - 1
          const cut = heard.filter(({ whole }) => !whole).length
          const longest = heard.map(({ longestMs }) => longestMs).toSorted((one, other) => one - other)
          const fewest = Math.min(...heard.map(({ heartbeats }) => heartbeats))
          console.log(
            `silences of ${silenceMs / 1_000} s at ${factor} times the speed: ${cut} of ${streams} cut (95 %: below ${300 / streams} %),`,
            `at least ${fewest} heartbeats each, the longest silence to a caller p50 ${Math.round((longest[streams >> 1] ?? 0) / 100) / 10} s,`,
            `max ${Math.round((longest.at(-1) ?? 0) / 100) / 10} s`,
          )
          assert.equal(cut, 0)
          assert.ok(fewest >= 2 * wanted, `${fewest} heartbeats, wanted ${2 * wanted}`)
          assert.ok((longest.at(-1) ?? 0) < proxyMs, `a proxy would have cut a silence of ${longest.at(-1)} ms`)
        }
      },
    ))

  it(`cost at most ${bytesEachMax / 1024} KiB of memory each`, () =>
    withPair(
      {
        ...manyAtOnce,
        env: { NODE_OPTIONS: `--import=${heapProbe}` },
        keySettings: { test: { heartbeat: { form: 'comment', everyMs: 500 } } },
      },
      async ({ engine, gateway }: Pair) => {
        const idle = async () => {
          engine.setDefault({ on: chatPath, tokens: 4, stall: { afterEvents: 2 } })
          const clients = await openStreams(gateway, idleStreams)
          await engine.waitFor(({ running }) => running === idleStreams, 'all are with the engine', waitMs)
          // Each has its head, two events and a heartbeat, and nothing of them is under way any more.
          const isSilent = (client: RawClient) => client.peek().includes(': keep-alive\n\n')
          await waitUntil(() => clients.every(isSilent), waitMs, 'every stream has its heartbeat')
          return clients
        }
        const finish = async (clients: readonly RawClient[]) => {
          engine.release()
          for (const client of clients) await hear(client)
        }
        // What is made once for all is made before.
        await finish(await idle())
        const without = await weigh(gateway)
        const clients = await idle()
        const within = await weigh(gateway)
        await finish(clients)
        const each = (within.held - without.held) / idleStreams
        const rssEach = (within.rss - without.rss) / idleStreams
        console.log(
          `${idleStreams} idle streams of ${model}: ${(each / 1024).toFixed(1)} KiB held each, RSS ${(rssEach / 1024).toFixed(1)} KiB each`,
        )
        assert.ok(each <= bytesEachMax, `${each} bytes`)
      },
    ))
})
