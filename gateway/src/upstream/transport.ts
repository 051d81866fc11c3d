import { type Dispatcher, Pool } from 'undici'
import type { EngineConfig, Timeouts } from '../config.ts'
import type { MeshAddress } from '../mesh/connect.ts'
import { createConnector } from './connector.ts'

/** The way to one engine: a pool of connections over its road. */
export interface Upstream {
  readonly viaMesh: boolean
  dispatch(request: UpstreamRequest, handler: Dispatcher.DispatchHandler): void
  /** Asks for a path of the allow-list and gives the status; throws when the road fails or `signal` ends. */
  probe(path: string, signal: AbortSignal): Promise<number>
  /** Ends every connection at once. */
  destroy(): Promise<void>
}

export interface UpstreamRequest {
  /** A constant of the table of routes. */
  readonly path: string
  readonly headers: Record<string, string>
  readonly body: readonly Buffer[]
  readonly firstByteMs: number
  readonly idleMs: number
}

export interface Road {
  readonly mesh: MeshAddress
  readonly engineApiKey: string | undefined
  readonly timeouts: Pick<Timeouts, 'connectMs'>
}

/** vLLM and Traefik close an idle connection after 5 s; ours are gone before. */
const keepAliveMs = 4_000
const answerHeadBytesMax = 32 * 1024

/** The pool of an engine. It has no limit of its own: admission holds the line, a second queue here would hide it. */
export function createUpstream(engine: EngineConfig, road: Road): Upstream {
  const pool = new Pool(new URL(engine.url).origin, {
    connect: createConnector(engine, road),
    connections: null,
    // llama.cpp closes a connection after every stream without a word: a request on a kept one may die.
    pipelining: engine.kind === 'llamacpp' ? 0 : 1,
    allowH2: false,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: keepAliveMs,
    maxHeaderSize: answerHeadBytesMax,
  })
  return {
    viaMesh: engine.via !== undefined,
    dispatch: (request, handler) => {
      pool.dispatch(
        {
          path: request.path,
          method: 'POST',
          headers: request.headers,
          body: request.body.length === 1 ? (request.body[0] ?? null) : request.body,
          headersTimeout: request.firstByteMs,
          bodyTimeout: request.idleMs,
        } as Dispatcher.DispatchOptions,
        handler,
      )
    },
    probe: async (path, signal) => {
      const headers: Record<string, string> = { 'accept-encoding': 'identity' }
      if (road.engineApiKey !== undefined) headers['authorization'] = `Bearer ${road.engineApiKey}`
      const { statusCode, body } = await pool.request({ path, method: 'GET', headers, signal })
      await body.dump({ limit: 1024 * 1024, signal })
      return statusCode
    },
    destroy: () => pool.destroy(),
  }
}
