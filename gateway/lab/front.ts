import { join } from 'node:path'
import { ingressHost, replaceKey, writeGatewayFile } from '../dev/chain-config.ts'
import { describeGateway } from '../dev/chain-processes.ts'
import { repositoryRoot } from '../dev/parts.ts'
import type { RunningProcess } from '../dev/process.ts'
import { ask, codeOf } from './ask.ts'
import type { Bench } from './bench.ts'
import { engineModel } from './engine.ts'
import type { Sidecar } from './sidecar.ts'

export interface FrontOptions {
  /** Name of its log. */
  readonly name: string
  readonly sidecar: Pick<Sidecar, 'port' | 'statusPort'>
  /** Upstreams of the sidecar; each is an engine with one model of the same name. */
  readonly upstreams: readonly string[]
  /** Further sections of hearth.yaml. */
  readonly config?: Readonly<Record<string, unknown>>
}

/** What a caller of the gateway got. */
export interface CallerSees {
  readonly status: number
  /** `ok` for a 200, the code of the error body, else what broke. */
  readonly code: string
  readonly ms: number
}

/** A gateway in front of one sidecar, and a caller with a key for it. */
export interface Front {
  readonly process: RunningProcess
  readonly port: number
  /** Sends one chat request. Never rejects. */
  chat(upstream: string, request?: { readonly timeoutMs?: number; readonly body?: string }): Promise<CallerSees>
}

const stopTimeoutMs = 3_000
const chatTimeoutMs = 40_000

/** Starts a gateway with an engine for each upstream. The bench ends it. */
export async function startFront(bench: Bench, options: FrontOptions): Promise<Front> {
  const { name, sidecar, upstreams, config = {} } = options
  const dir = join(bench.dir, name)
  const files = { configFile: join(dir, 'hearth.yaml'), keysFile: join(dir, 'keys.json') }
  const engine = (upstream: string) => ({
    name: upstream,
    url: `http://${ingressHost}`,
    via: `mesh:${upstream}`,
    // Connections of this kind are never kept, so that each request dials.
    kind: 'llamacpp',
    capacity: 64,
  })
  const models = upstreams.map((upstream) => ({ id: upstream, engine: upstream, served: engineModel }))
  const sections = { engines: upstreams.map(engine), models, ...config }
  writeGatewayFile({ file: files.configFile, kind: 'llamacpp', capacity: 64, models: [], origins: [], extra: sections })
  const key = replaceKey(files.keysFile, name)
  const port = await bench.port()
  const spec = describeGateway(
    { gateway: port, mesh: sidecar.port, meshStatus: sidecar.statusPort, admin: await bench.port() },
    {
      entry: join(repositoryRoot, 'gateway/src/main.ts'),
      ...files,
      env: {},
      stopTimeoutMs,
    },
  )
  const process = await bench.start('gateway', { ...spec, name })
  return { process, port, chat: (upstream, request = {}) => chat({ port, key, upstream, ...request }) }
}

interface ChatRequest {
  readonly port: number
  readonly key: string
  readonly upstream: string
  readonly timeoutMs?: number
  readonly body?: string
}

/** One chat request to a gateway as its caller sees it. Never rejects. */
export async function chat(request: ChatRequest): Promise<CallerSees> {
  const { port, key, upstream, timeoutMs = chatTimeoutMs } = request
  const body = request.body ?? chatBody(upstream)
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const startedAt = performance.now()
  try {
    const { status, text, ms } = await ask({
      port,
      path: '/v1/chat/completions',
      method: 'POST',
      headers,
      body,
      timeoutMs,
    })
    return { status, code: codeOf(text) ?? (status === 200 ? 'ok' : 'no_code'), ms: Math.round(ms) }
  } catch (error) {
    const ms = Math.round(performance.now() - startedAt)
    return { status: 0, code: ms >= timeoutMs ? 'no_answer' : brokenBy(error), ms }
  }
}

/** A small chat request, or one that a filler makes larger. */
export function chatBody(model: string, fillerBytes = 0): string {
  const content = fillerBytes === 0 ? 'Say something.' : 'QUJD'.repeat(Math.ceil(fillerBytes / 4))
  return JSON.stringify({ model, messages: [{ role: 'user', content }], max_tokens: 1 })
}

function brokenBy(error: unknown): string {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined
  return typeof code === 'string' ? code : String(error)
}
