import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import type { Admission } from './admission.ts'
import type { BodyBudget } from './body/budget.ts'
import type { BodyKind } from './body/fields.ts'
import { Turns } from './body/turns.ts'
import type { Config } from './config.ts'
import { authenticate } from './edge/authenticate.ts'
import type { Connections } from './edge/connections.ts'
import { cors } from './edge/cors.ts'
import { type InFlight, lifecycle, refuseWhileDraining } from './edge/lifecycle.ts'
import { precheck, rawPath, refuseTrailers } from './edge/precheck.ts'
import type { AppContext, AppEnv } from './edge/request.ts'
import { describe, errorBody, errorEvent, errorHeaders, fixOf, toHearthError } from './errors.ts'
import type { Keyring } from './keys/keyring.ts'
import type { Log } from './log.ts'
import type { MeshStatus } from './mesh/status.ts'
import type { Catalog } from './metrics/catalog.ts'
import { registerGauge } from './metrics/counter.ts'
import type { Meters } from './metrics.ts'
import { docs, openapi } from './routes/documents.ts'
import { health, ready } from './routes/health.ts'
import { inference } from './routes/inference.ts'
import { getModel, listModels } from './routes/models.ts'
import { describeApi } from './routes/openapi.ts'
import { type CallerRoute, callerRoutes, engineRoutes } from './routes/routes.data.ts'
import { createRouteTable, type RouteTable } from './routes/table.ts'
import { type Engines, namesOf } from './routing/engines.ts'
import { Probe } from './routing/probe.ts'
import { timingHeaders } from './upstream/server-timing.ts'

export interface AppDeps {
  readonly config: Config
  readonly keyring: Keyring
  readonly engines: Engines
  /** By the names of the engines. */
  readonly probes: ReadonlyMap<string, Probe>
  readonly admission: Admission
  readonly budget: BodyBudget
  readonly inFlight: InFlight
  /** Shared with the front door. */
  readonly answeredAtDoor: WeakSet<ServerResponse>
  readonly status: MeshStatus
  readonly meters: Meters
  readonly log: Log
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Wall-clock milliseconds, for expiry. */
  readonly wallMs: () => number
}

type Handler = (c: AppContext) => Response | Promise<Response>

/** The whole gateway on one screen: what every request passes, in order, and who answers it. Listens to nothing. */
export function createApp(deps: AppDeps): Hono<AppEnv> {
  const { config, inFlight, answeredAtDoor, log, now, meters } = deps
  const table = createRouteTable(deps.engines.models.flatMap(({ model }) => namesOf(model)))
  const handlers = createHandlers(deps, table)
  // Hono would route by a path that it has decoded; this one knows only what the raw target led to.
  const app = new Hono<AppEnv>({
    getPath: (_, { env } = {}) => table.find(rawPath(env?.incoming.url ?? ''))?.path ?? '',
  })
  app.onError((error, c) => writeError(error, c, log))
  const { totalMs, callerStallMs } = config.timeouts
  const newId = randomUUID
  app.use(lifecycle({ inFlight, answeredAtDoor, log, now, meters, totalMs, callerStallMs, newId }))
  app.use(cors(config.cors.origins, table))
  app.use(precheck(table))
  app.use(refuseTrailers)
  const guards = [refuseWhileDraining(inFlight), authenticate(deps.keyring, deps.wallMs, now)]
  for (const route of callerRoutes) {
    app.on(route.method, [route.path], ...(route.key ? guards : []), handlers[route.handler](route))
  }
  return app
}

function createHandlers(
  deps: AppDeps,
  table: RouteTable,
): Record<CallerRoute['handler'], (route: CallerRoute) => Handler> {
  const { config, engines, probes, admission, budget, inFlight, status, meters, log, now, wallMs } = deps
  const turns = new Turns()
  const document = describeApi()
  const models = { engines, probes, now, createdS: Math.floor(deps.wallMs() / 1000) }
  const infer = (kind: BodyKind) => (route: CallerRoute) =>
    inference({ config, engines, admission, budget, turns, probes, meters, status, now, wallMs }, kind, route.path)
  const modelName = ({ env }: AppContext) => table.find(rawPath(env.incoming.url ?? ''))?.modelName
  return {
    chat: infer('chat'),
    completions: infer('completions'),
    embeddings: infer('embeddings'),
    rerank: infer('rerank'),
    models: () => listModels(models),
    model: () => getModel(models, modelName),
    health: () => health,
    openapi: () => openapi(document),
    docs: () => docs(document),
    ready: () => ready({ engines, probes, log, draining: () => inFlight.draining }),
  }
}

/** What each engine said last, by its name. */
export function createProbes(
  { timeouts }: Pick<Config, 'timeouts'>,
  engines: Engines,
  now: () => number,
): ReadonlyMap<string, Probe> {
  const path = engineRoutes.find(({ use }) => use === 'probe')?.path ?? '/v1/models'
  const options = { path, timeoutMs: timeouts.probeMs, freshMs: 1_000, answeredMs: 10_000, now }
  return new Map(engines.all.map((engine) => [engine.config.name, new Probe(engine, options)]))
}

/** Gauges are read where their values live, when somebody asks. */
export function registerGauges(
  catalog: Catalog,
  deps: Pick<AppDeps, 'admission' | 'engines' | 'probes' | 'budget' | 'inFlight' | 'now'> & {
    connections: Connections
  },
): void {
  const { admission, budget, inFlight, connections } = deps
  const single = (name: string, help: string, read: () => number) =>
    registerGauge(catalog, name, help, () => [[{}, read()]])
  single('hearth_body_bytes_held', 'Bytes that request bodies hold.', () => budget.bytesHeld)
  single('hearth_connections', 'Connections of callers.', () => connections.size)
  single('hearth_requests_open', 'Requests under way, with an engine or not.', () => inFlight.size)
  const lines = (value: 'inFlight' | 'waiting') => () =>
    admission.counts().map((line) => [{ engine: line.engine }, line[value]] as const)
  registerGauge(catalog, 'hearth_requests_in_flight', 'Requests with an engine.', lines('inFlight'))
  registerGauge(catalog, 'hearth_queue_length', 'Requests in the line to an engine.', lines('waiting'))
  registerWays(catalog, deps)
  registerWords(catalog, deps)
}

/** The way home, as it was when it was last looked at. */
function registerWays(catalog: Catalog, { engines }: Pick<AppDeps, 'engines'>): void {
  const ways = () =>
    engines.all.flatMap(({ config, upstream }) => {
      const way = upstream.way()
      return way === undefined ? [] : [{ engine: config.name, ...way }]
    })
  const help = 'The way that tunnels to an engine take: 1 for the one of now.'
  registerGauge(catalog, 'hearth_mesh_path', help, () =>
    ways().map(({ engine, path }) => [{ engine, path }, 1] as const),
  )
  registerGauge(catalog, 'hearth_mesh_rtt_seconds', 'Round trip to the home of an engine.', () =>
    ways().flatMap(({ engine, rttMs }) => (rttMs === undefined ? [] : [[{ engine }, rttMs / 1000] as const])),
  )
}

/** What is known of the engines. Asking for it asks no engine. */
function registerWords(catalog: Catalog, { probes, now }: Pick<AppDeps, 'probes' | 'now'>): void {
  const words = () =>
    [...probes].flatMap(([engine, probe]) => {
      const word = probe.lastWord()
      return word === undefined ? [] : [{ labels: { engine }, ready: word.ready, at: word.at }]
    })
  registerGauge(catalog, 'hearth_engine_ready', 'Whether the last word of an engine was a good one.', () =>
    words().map(({ labels, ready }) => [labels, ready ? 1 : 0] as const),
  )
  const help = 'How long ago an engine was last heard of, or found not to answer.'
  registerGauge(catalog, 'hearth_engine_word_age_seconds', help, () =>
    words().map(({ labels, at }) => [labels, (now() - at) / 1000] as const),
  )
}

/** The one writer of error answers. A stream whose head is out ends in an event; the relay writes it once it has begun. */
function writeError(thrown: unknown, c: AppContext, log: Log): Response {
  const error = toHearthError(thrown)
  const request = c.get('request')
  const fields = {
    code: error.code,
    detail: error.detail ?? (error.cause === undefined ? undefined : describe(error.cause)),
  }
  Object.assign(request.log, { outcome: error.code, detail: fields.detail, fix: fixOf(error.code) })
  if (error.code === 'internal_error')
    log('ERROR', 'internal error', { requestId: request.id, ...fields }, { trace: request.trace })
  const { outgoing, incoming } = c.env
  if (request.stream?.begunEarly === true && !outgoing.writableEnded && error.code !== 'client_gone') {
    outgoing.end(errorEvent(error))
    return RESPONSE_ALREADY_SENT
  }
  if (outgoing.headersSent || outgoing.destroyed || error.code === 'client_gone') {
    outgoing.destroy()
    return RESPONSE_ALREADY_SENT
  }
  // What is left of the body is not read: the connection cannot be used again.
  if (!incoming.complete) request.headers['connection'] = 'close'
  const body = errorBody(error)
  request.log.bytesOut = Buffer.byteLength(body)
  return new Response(body, {
    status: error.status,
    headers: { ...request.headers, ...timingHeaders(request.timing), ...errorHeaders(error) },
  })
}
