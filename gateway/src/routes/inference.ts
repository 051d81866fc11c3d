import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Admission } from '../admission.ts'
import type { BodyBudget } from '../body/budget.ts'
import { type BodyKind, readFields, rebuildBody } from '../body/fields.ts'
import { readBody } from '../body/read.ts'
import { inTurns, type Turns } from '../body/turns.ts'
import type { Config, EngineConfig } from '../config.ts'
import type { AppContext, RequestState } from '../edge/request.ts'
import { traceparentOf } from '../edge/trace.ts'
import { fixOf, HearthError } from '../errors.ts'
import type { Caller } from '../keys/keyring.ts'
import type { MeshStatus } from '../mesh/status.ts'
import type { Meters } from '../metrics.ts'
import type { Engine, Engines, ModelRoute } from '../routing/engines.ts'
import type { Probe } from '../routing/probe.ts'
import { forward } from '../upstream/forward.ts'
import { heartbeatDefault } from '../upstream/heartbeat.ts'
import type { RelayOutcome } from '../upstream/relay.ts'
import type { Shaper } from '../upstream/shaper.ts'
import { createShaper } from '../upstream/shaping.ts'
import type { Carried } from '../upstream/tunnels.ts'
import { checkPictures, type PictureFacts } from '../vision/pictures.ts'
import { chooseModel } from './model-choice.ts'

export interface InferenceDeps {
  readonly config: Pick<Config, 'limits' | 'timeouts' | 'engineApiKey'>
  readonly engines: Engines
  readonly admission: Admission
  readonly budget: BodyBudget
  readonly turns: Turns
  readonly probes: ReadonlyMap<string, Probe>
  readonly meters: Meters
  readonly status: MeshStatus
  readonly now: () => number
}

/** One inference request as its caller sent it, checked. */
interface InferenceRequest {
  readonly route: ModelRoute
  readonly stream: boolean
  readonly body: readonly Buffer[]
  readonly shaper: Shaper
}

/** Engines that take a `cache_salt`; others would drop it, or refuse what they do not know. */
const saltedEngines: ReadonlySet<EngineConfig['kind']> = new Set(['vllm', 'sglang'])
/** Requests whose prompt an engine keeps in its cache; vectors and scores are made anew each time. */
const saltedKinds: ReadonlySet<BodyKind> = new Set(['chat', 'completions'])

/** Answers an inference route: read and check the body, wait in the line, forward, relay. The engine's path is the same. */
export function inference(deps: InferenceDeps, kind: BodyKind, path: string) {
  return async (c: AppContext): Promise<Response> => {
    const request = c.get('request')
    const held = deps.budget.open(request.caller?.keyId)
    if (deps.engines.all.some(({ upstream }) => upstream.viaMesh)) deps.status.arrived()
    try {
      const { limits, timeouts } = deps.config
      const readLimits = {
        bytesMax: limits.bodyBytesMax,
        bytesPerSecondMin: limits.bodyBytesPerSecondMin,
        idleMs: timeouts.bodyIdleMs,
        totalMs: timeouts.bodyTotalMs,
      }
      const bytes = await readBody(c.env.incoming, held, readLimits, request.abort.signal)
      request.log.bytesIn = bytes.length
      const checked = await check(deps, request, kind, bytes)
      const outcome = await send(deps, c, checked, path)
      note(request, outcome)
    } finally {
      held.release()
    }
    return RESPONSE_ALREADY_SENT
  }
}

async function check(
  deps: InferenceDeps,
  request: RequestState,
  kind: BodyKind,
  bytes: Buffer,
): Promise<InferenceRequest> {
  const { caller, abort } = request
  const strictFields = caller?.strictFields === true
  const fields = await readFields(bytes, kind, { strictFields, signal: abort.signal, turns: deps.turns })
  const dropped = fields.dropped.join(', ')
  if (dropped !== '') request.headers['x-hearth-dropped-fields'] = dropped
  const route = chooseModel(deps.engines, caller, kind, fields.model)
  Object.assign(request.log, { model: route.model.id, engine: route.engine.config.name, stream: fields.stream })
  if (fields.pictures.length > 0 && route.model.vision === undefined)
    throw new HearthError('model_has_no_vision', { param: 'messages' })
  notePictures(
    request,
    await inTurns(checkPictures(bytes, fields.pictures), { turns: deps.turns, signal: abort.signal }),
  )
  const { id, served = id } = route.model
  const body = rebuildBody(bytes, fields, { model: served, cacheSalt: saltFor(kind, route, caller) })
  const { reasoning } = route.model
  const dialect = route.engine.config.kind
  const shaper = createShaper({ kind, dialect, model: id, served, reasoning, showUsage: fields.showUsage })
  return { route, stream: fields.stream, body, shaper }
}

function saltFor(kind: BodyKind, { engine }: ModelRoute, caller: Caller | undefined): string | undefined {
  return saltedKinds.has(kind) && saltedEngines.has(engine.config.kind) ? caller?.cacheSalt : undefined
}

async function send(
  deps: InferenceDeps,
  c: AppContext,
  checked: InferenceRequest,
  path: string,
): Promise<RelayOutcome> {
  const request = c.get('request')
  const { engine } = checked.route
  const lease = await deps.admission.admit(engine.config.name, request.abort.signal, deps.now)
  request.log.queueMs = lease.queuedMs
  const startedAt = deps.now()
  const probe = deps.probes.get(engine.config.name)
  try {
    const outcome = await forward({
      upstream: engine.upstream,
      path,
      body: checked.body,
      stream: checked.stream,
      requestId: request.id,
      traceparent: traceparentOf(request.trace),
      tracestate: request.trace.state,
      engineApiKey: deps.config.engineApiKey,
      response: c.env.outgoing,
      headers: request.headers,
      signal: request.abort.signal,
      timeouts: { ...deps.config.timeouts, ...checked.route.model.timeouts, ...request.caller?.timeouts },
      shaper: checked.shaper,
      heartbeat: request.caller?.heartbeat ?? heartbeatDefault,
      limits: deps.config.limits,
      queuedMs: lease.queuedMs,
      now: deps.now,
      onCarried: (carried, connectMs) => noteConnection(request, carried, connectMs),
    })
    if (outcome.error === undefined) probe?.answered(startedAt)
    else if (isOfRoad(outcome.error)) probe?.failed()
    if (outcome.firstByteMs !== undefined) deps.meters.firstByte(engine.config.name, outcome.firstByteMs)
    return outcome
  } catch (error) {
    if (isOfRoad(error)) probe?.failed()
    throw error
  } finally {
    noteWay(request, engine)
    lease.release()
  }
}

/** Whether a failure says something about the engine or the road to it; what the caller did says nothing. */
function isOfRoad(error: unknown): boolean {
  return (
    !(error instanceof HearthError) || (error.status >= 500 && !['draining', 'deadline_exceeded'].includes(error.code))
  )
}

/** What the pictures come to; nothing for a request without any. */
function notePictures({ log }: RequestState, facts: readonly PictureFacts[]): void {
  if (facts.length === 0) return
  log.pictures = facts.length
  log.picturePixels = facts.reduce((sum, { width, height }) => sum + width * height, 0)
  log.pictureBytes = facts.reduce((sum, { bytes }) => sum + bytes, 0)
}

function noteConnection(request: RequestState, { reused, tries }: Carried, connectMs: number): void {
  Object.assign(request.log, { connectMs, reused, ...(tries > 1 ? { connectTries: tries } : {}) })
}

function noteWay(request: RequestState, { upstream }: Engine): void {
  const way = upstream.way()
  if (way !== undefined) Object.assign(request.log, { meshPath: way.path, meshRttMs: way.rttMs })
}

function note(request: RequestState, { bytesOut, firstByteMs, error }: RelayOutcome): void {
  Object.assign(request.log, { bytesOut, firstByteMs })
  if (error !== undefined)
    Object.assign(request.log, { outcome: error.code, detail: error.detail, fix: fixOf(error.code) })
}
