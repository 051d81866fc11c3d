import type { Dispatcher } from 'undici'
import type { EngineConfig, Limits, Timeouts } from '../config.ts'
import { HearthError } from '../errors.ts'
import type { Tunnel } from '../mesh/answer.ts'
import type { MeshAddress } from '../mesh/connect.ts'
import type { MeshStatus, Way } from '../mesh/status.ts'
import { classify } from './classify.ts'
import { createConnector } from './connector.ts'
import { Gate } from './gate.ts'
import { Opener, type OpenOptions } from './open.ts'
import { sliceBody } from './slices.ts'
import { type Carried, type TunnelDispatch, Tunnels } from './tunnels.ts'

/** The way to one engine: a pool of connections over its road. */
export interface Upstream {
  readonly viaMesh: boolean
  /** The way that its tunnels take; undefined without a mesh, or where nobody knows. */
  way(): Way | undefined
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
  /** Ends the wait for a connection, and the dial that is made for it. */
  readonly signal: AbortSignal
  /** Told which connection carries the request, before its first byte goes out. */
  readonly onCarried: (carried: Carried) => void
}

export interface Road {
  readonly mesh: MeshAddress
  readonly engineApiKey: string | undefined
  readonly timeouts: Pick<Timeouts, 'connectMs'>
  readonly limits: Pick<Limits, 'connectTries'>
  readonly status: MeshStatus
  readonly now: () => number
  /** Told of each dial that ended, with `ok` or the code of its failure. */
  readonly onDial: OpenOptions['onDial']
  /** Told when what was never sent is tried again: after a failed dial, or on a kept connection that was gone. */
  readonly onRetry: (why: 'dial' | 'stale') => void
}

/** A probe waits for one verdict about the road, not for its recovery. */
type ProbeOptions = Dispatcher.RequestOptions & Pick<TunnelDispatch, 'tries'>

/** vLLM and most others close an idle connection after 5 s; ours are gone before. Less patient ones are learned. */
const keepAliveMs = 4_000
const answerHeadBytesMax = 32 * 1024

/** The pool of an engine. It has no limit of its own: admission holds the line, a second queue here would hide it. */
export function createUpstream(engine: EngineConfig, road: Road): Upstream {
  const viaMesh = engine.via !== undefined
  const upstream = /^mesh:(.+)$/.exec(engine.via ?? '')?.[1]
  const gate = new Gate({ patienceMs: road.timeouts.connectMs, random: Math.random })
  const pool = new Tunnels({
    origin: new URL(engine.url).origin,
    connect: createConnector(engine, {
      ...road,
      onTunnel: (tunnel) => upstream !== undefined && road.status.sawTunnel(upstream, tunnel),
    }),
    opener: viaMesh ? createOpener(gate, road) : directOpener(road),
    client: {
      // llama.cpp closes a connection after every stream without a word: a request on a kept one may die.
      pipelining: engine.kind === 'llamacpp' ? 0 : 1,
      allowH2: false,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      maxHeaderSize: answerHeadBytesMax,
      // The relay has its own deadlines, the probe its signal. undici's (300 s where nothing is said) count a head without a
      // body as life, and look twice a second at best.
      headersTimeout: 0,
      bodyTimeout: 0,
    },
    explain: (error, tunnel) => explain(error, tunnel, gate, road),
    onStale: () => road.onRetry('stale'),
    now: road.now,
  })
  return {
    viaMesh,
    way: () => (upstream === undefined ? undefined : road.status.wayTo(upstream)),
    dispatch: (request, handler) => {
      pool.dispatch(
        {
          path: request.path,
          method: 'POST',
          headers: request.headers,
          body: sliceBody(request.body),
          signal: request.signal,
          onCarried: request.onCarried,
        } as Dispatcher.DispatchOptions,
        handler,
      )
    },
    probe: async (path, signal) => {
      const headers: Record<string, string> = { 'accept-encoding': 'identity' }
      if (road.engineApiKey !== undefined) headers['authorization'] = `Bearer ${road.engineApiKey}`
      const { statusCode, body } = await pool.request({
        path,
        method: 'GET',
        headers,
        signal,
        tries: 1,
      } as ProbeOptions)
      await body.dump({ limit: 1024 * 1024, signal })
      return statusCode
    },
    destroy: () => pool.destroy(),
  }
}

function createOpener(gate: Gate, { limits, timeouts, now, onDial, onRetry }: Road): Opener {
  return new Opener({
    gate,
    tries: limits.connectTries,
    budgetMs: timeouts.connectMs,
    now,
    onDial,
    onRetry: () => onRetry('dial'),
  })
}

/** Without a mesh there is no road of ours to spare: each request dials for itself, once. */
function directOpener({ onDial }: Road): Pick<Opener, 'open'> {
  return {
    open: async <T>(dial: (signal: AbortSignal) => Promise<T>, signal = new AbortController().signal) => {
      try {
        const opened = await dial(signal)
        onDial('ok')
        return { opened, tries: 1 }
      } catch (error) {
        onDial(signal.aborted ? 'abandoned' : classify(error, { answered: false, viaMesh: false }).code)
        throw error
      }
    },
  }
}

/** Why a request that was sent failed: the sidecar's own reason where it cut the tunnel, else the error as it is. */
async function explain(error: Error, tunnel: Tunnel | undefined, gate: Gate, { status, now }: Road): Promise<Error> {
  if (tunnel === undefined || error instanceof HearthError || error.name === 'AbortError') return error
  const reason = await status.explainCut(tunnel, error)
  if (reason !== undefined) gate.doubt(now())
  return reason ?? error
}
