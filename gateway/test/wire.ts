import assert from 'node:assert/strict'
import { plant } from './canaries.ts'
import { type FakeEngine, startEngine } from './fake-engine.ts'
import { assertNothingLeft, type Gateway, type GatewayOptions, startGateway } from './harness.ts'

/** The model that the scripted engine serves. */
export const model = 'qwen2.5-vl-tiny'
export const chatPath = '/v1/chat/completions'
/** What a test asks where it does not matter; no log may hold it. */
export const plainPrompt = `Say something. ${plant('plain-prompt')}`

export interface Pair {
  readonly engine: FakeEngine
  readonly gateway: Gateway
}

export interface PairOptions extends Omit<GatewayOptions, 'config'> {
  /** Merged into the engine's and the first model's entry. */
  readonly engineConfig?: object
  readonly modelConfig?: object
  /** More names for the same engine, each of a kind without a dialect of its own. */
  readonly engines?: readonly string[]
  /** Further sections of hearth.yaml. */
  readonly sections?: object
}

/** Starts an engine and a gateway in front of it; whoever asks ends them, `endPair` with proof that nothing is left. */
export async function startPair({
  engineConfig,
  modelConfig,
  engines = [],
  sections,
  ...rest
}: PairOptions): Promise<Pair> {
  const engine = await startEngine()
  const config = {
    engines: [
      { name: 'gpu', url: engine.url, kind: 'vllm', ...engineConfig },
      ...engines.map((name) => ({ name, url: engine.url, kind: 'openai' })),
    ],
    models: [{ id: model, engine: 'gpu', ...modelConfig }],
    ...sections,
  }
  try {
    const gateway = await startGateway({ config, ...rest, env: { HEARTH_HOST: '127.0.0.1', ...rest.env } })
    return { engine, gateway }
  } catch (error) {
    await engine.close()
    throw error
  }
}

/** Stops the gateway, proves that nothing is left, and closes the engine whatever came of that. */
export async function endPair({ engine, gateway }: Pair): Promise<void> {
  try {
    await assertNothingLeft(gateway, engine)
  } finally {
    await engine.close()
  }
}

/** A gateway in front of a scripted engine, no mesh between; given to `use`, then proved to have left nothing. */
export async function withPair(options: PairOptions, use: (pair: Pair) => Promise<void>): Promise<void> {
  const { engine, gateway } = await startPair(options)
  try {
    await use({ engine, gateway })
    engine.release()
    await assertNothingLeft(gateway, engine)
  } finally {
    await gateway[Symbol.asyncDispose]()
    await engine.close()
  }
}

/** A chat request, ready for fetch. */
export function chat(gateway: Gateway, fields: object = {}, init: RequestInit = {}): Promise<Response> {
  return fetch(`${gateway.url}${chatPath}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' },
    body: chatBody(fields),
    ...init,
  })
}

export function chatBody(fields: object = {}): string {
  return JSON.stringify({ model, messages: [{ role: 'user', content: plainPrompt }], ...fields })
}

/** A chat request that long words make as large as it is wanted. */
export function largeBody(characters: number): string {
  return chatBody({ messages: [{ role: 'user', content: 'QUJD'.repeat(Math.ceil(characters / 4)) }] })
}

/** The headers of a raw chat request. */
export function rawHeaders(gateway: Gateway): Record<string, string> {
  return { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' }
}

/** The one shape of every error: exactly these keys, a known code, a request id, who made it. */
export async function assertError(response: Response, status: number, code: string): Promise<Record<string, unknown>> {
  const text = await response.text()
  assert.equal(response.status, status, text)
  const body = JSON.parse(text)
  assert.deepEqual(Object.keys(body), ['error'])
  assert.deepEqual(Object.keys(body.error), ['message', 'type', 'param', 'code'])
  assert.equal(body.error.code, code)
  assert.match(response.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/)
  assert.match(response.headers.get('x-hearth-error-source') ?? '', /^(gateway|engine)$/)
  if (status === 429 || status === 503) assert.ok(Number(response.headers.get('retry-after')) <= 60)
  return body.error
}

/** A comment of ours, also one that was cut at the end of what was read. */
const ownComment = /(?<=^|\n):(?: (?:k[a-z-]*|s[a-z-]*(?: [^\n]*)?)?)?(?:\n\n|\n?$)/g

/**
 * The bytes of a stream without what the gateway adds: its keep-alives and the comment before `[DONE]`. Comments of the
 * engine stay.
 */
export function withoutComments(stream: Buffer): Buffer {
  return Buffer.from(stream.toString('latin1').replaceAll(ownComment, ''), 'latin1')
}

/** The events of a finished stream: parsed data, and whether the terminal event came. */
export function readEvents(text: string): {
  data: Record<string, unknown>[]
  errors: Record<string, unknown>[]
  done: boolean
} {
  const events = text.split('\n\n').filter((event) => event !== '')
  const datas = events.map(
    (event) =>
      event
        .split('\n')
        .find((line) => line.startsWith('data: '))
        ?.slice(6) ?? '',
  )
  const parsed = datas.filter((data) => data !== '[DONE]' && data !== '').map((data) => JSON.parse(data))
  return {
    data: parsed.filter((value) => !('error' in value)),
    errors: parsed.filter((value) => 'error' in value).map((value) => value.error),
    done: datas.includes('[DONE]'),
  }
}
