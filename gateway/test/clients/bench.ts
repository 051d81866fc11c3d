import { once } from 'node:events'
import { createServer } from 'node:net'
import { type FakeEngine, startEngine } from '../fake-engine.ts'
import { type Gateway, startGateway } from '../harness.ts'
import { endPair, model } from '../wire.ts'
import type { Ask, Client, Seen } from './ask.ts'

/** What a case is played on: one client, a gateway, and the scripted engine behind it. */
export interface Bench {
  readonly client: Client
  readonly engine: FakeEngine
  readonly gateway: Gateway
  /** Asks as the case says; what it leaves out is a short chat that is not streamed and not tried again. */
  ask(ask?: Partial<Ask>, leave?: AbortSignal): Promise<Seen>
}

/** The models of the bench; all but `gone` end at the one scripted engine. */
export const models = {
  chat: model,
  thinker: 'thinker',
  narrow: 'narrow',
  gone: 'gone',
  embed: 'embed',
  rerank: 'rerank',
} as const

/** Keys whose streams show every second that they are alive, each in its own form. */
export const beatingKeys = {
  comment: 'beats --heartbeat 1s',
  'empty-delta': 'deltas --heartbeat empty-delta:1s',
} as const

const noSignal = new AbortController().signal

/** Opens a bench of its own; its disposal proves that nothing is left of it. */
export async function openBench(client: Client): Promise<Bench & AsyncDisposable> {
  const engine = await startEngine()
  const config = await configOf(engine)
  const gateway = await startGateway({
    config,
    keys: ['test', ...Object.values(beatingKeys)],
    env: { HEARTH_HOST: '127.0.0.1' },
  }).catch(async (error: unknown) => {
    await engine.close()
    throw error
  })
  return {
    client,
    engine,
    gateway,
    ask: (ask = {}, leave = noSignal) => client.ask(complete(ask, gateway.url, gateway.key), leave),
    [Symbol.asyncDispose]: () => endPair({ engine, gateway }),
  }
}

/** An ask with all that it leaves out. */
export function complete(ask: Partial<Ask>, baseUrl: string, key: string): Ask {
  const fields = { messages: [{ role: 'user', content: 'Say something.' }] } as const
  return {
    call: 'chat',
    baseUrl,
    key,
    model,
    fields,
    stream: false,
    usage: false,
    shaped: false,
    retries: 0,
    timeoutMs: 20_000,
    ...ask,
  }
}

async function configOf(engine: FakeEngine) {
  return {
    engines: [
      { name: 'gpu', url: engine.url, kind: 'vllm' },
      { name: 'narrow', url: engine.url, kind: 'vllm', capacity: 1 },
      { name: 'gone', url: `http://127.0.0.1:${await closedPort()}`, kind: 'vllm' },
    ],
    models: [
      { id: models.chat, engine: 'gpu', vision: {}, context: 4096 },
      { id: models.thinker, engine: 'gpu', served: model, reasoning: 'open-tags' },
      { id: models.narrow, engine: 'narrow', served: model },
      { id: models.gone, engine: 'gone' },
      { id: models.embed, engine: 'gpu', served: model, task: 'embed' },
      { id: models.rerank, engine: 'gpu', served: model, task: 'rerank' },
    ],
    limits: { queueMax: 0, connectTries: 1 },
  }
}

/** A port of loopback on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}
