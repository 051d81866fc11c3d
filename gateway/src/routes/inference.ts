import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Admission, Lease } from '../admission.ts'
import type { BodyBudget } from '../body/budget.ts'
import { type BodyKind, type InferenceFields, readFields, rebuildBody } from '../body/fields.ts'
import { readBody } from '../body/read.ts'
import { inTurns, type Turns } from '../body/turns.ts'
import type { Config, EngineConfig, ModelConfig, Timeouts } from '../config.ts'
import type { AppContext, RequestState } from '../edge/request.ts'
import { traceparentOf } from '../edge/trace.ts'
import { HearthError, toHearthError } from '../errors.ts'
import type { Caller } from '../keys/keyring.ts'
import type { MeshStatus } from '../mesh/status.ts'
import type { Meters } from '../metrics.ts'
import type { Engine, Engines, ModelRoute } from '../routing/engines.ts'
import type { Probe } from '../routing/probe.ts'
import { timeoutsOf } from '../routing/timeouts.ts'
import { renamedFields } from '../upstream/dialects/requests.data.ts'
import { forward } from '../upstream/forward.ts'
import { Heartbeat, heartbeatDefault } from '../upstream/heartbeat.ts'
import type { RelayOutcome } from '../upstream/relay.ts'
import type { Shaper } from '../upstream/shaper.ts'
import { createShaper } from '../upstream/shaping.ts'
import { checkPictures } from '../vision/pictures.ts'
import { type Metered, meterAnswer } from './answer-meter.ts'
import { chooseModel } from './model-choice.ts'
import { noteAnswer, noteConnection, notePictures, noteWay } from './request-notes.ts'

export interface InferenceDeps {
  readonly config: Pick<Config, 'limits' | 'timeouts' | 'engineApiKey'>
  readonly engines: Engines
  readonly admission: Admission
  readonly budget: BodyBudget
  readonly turns: Turns
  readonly probes: ReadonlyMap<string, Probe>
  readonly meters: Meters
  readonly status: MeshStatus
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Wall-clock milliseconds. */
  readonly wallMs: () => number
}

/** One inference request as its caller sent it, checked. */
interface InferenceRequest extends Metered {
  readonly stream: boolean
  readonly body: readonly Buffer[]
  readonly shaper: Shaper
  /** Those that hold for this model and this key. */
  readonly timeouts: Timeouts
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
      const arrivedAt = deps.now()
      const bytes = await readBody(c.env.incoming, held, readLimits, request.abort.signal)
      request.timing.bodyMs = deps.now() - arrivedAt
      request.log.bytesIn = bytes.length
      const checked = await check(deps, request, kind, bytes)
      const askedAt = deps.now()
      const outcome = await meterAnswer(deps, checked, request, () => send(deps, c, checked, path))
      noteAnswer(request, outcome, deps.now() - askedAt)
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
  const { caller, abort, timing } = request
  const startedAt = deps.now()
  const strictFields = caller?.strictFields === true
  const fields = await readFields(bytes, kind, { strictFields, signal: abort.signal, turns: deps.turns })
  const dropped = fields.dropped.join(', ')
  if (dropped !== '') request.headers['x-hearth-dropped-fields'] = dropped
  const route = chooseModel(deps.engines, caller, kind, fields.model)
  Object.assign(request.log, { model: route.model.id, engine: route.engine.config.name, stream: fields.stream })
  const timeouts = timeoutsOf(deps.config.timeouts, route.model.timeouts, caller?.timeouts)
  request.deadline.setTotal(timeouts.totalMs)
  if (fields.pictures.length > 0 && route.model.vision === undefined)
    throw new HearthError('model_has_no_vision', { param: 'messages' })
  const scannedAt = deps.now()
  timing.scanMs = scannedAt - startedAt
  const facts = await inTurns(checkPictures(bytes, fields.pictures), { turns: deps.turns, signal: abort.signal })
  notePictures(request, facts)
  if (fields.pictures.length > 0) timing.pictureMs = deps.now() - scannedAt
  const { id, served = id } = route.model
  const dialect = route.engine.config.kind
  const cacheSalt = saltFor(kind, route, caller)
  const body = rebuildBody(bytes, fields, { model: served, cacheSalt, renamed: renamedFields[dialect] })
  const reasoning = reasoningOf(route.model, fields)
  const shaper = createShaper({ kind, dialect, model: id, served, reasoning, showUsage: fields.showUsage })
  return { kind, route, stream: fields.stream, body, shaper, timeouts, pictures: fields.pictures.length }
}

/** A template that lets a model think writes the opening tag; without thinking it writes none, or both. */
function reasoningOf({ reasoning }: ModelConfig, { thinks }: InferenceFields): ModelConfig['reasoning'] {
  return reasoning === 'open-tags' && !thinks ? 'tags' : reasoning
}

function saltFor(kind: BodyKind, { engine }: ModelRoute, caller: Caller | undefined): string | undefined {
  return saltedKinds.has(kind) && saltedEngines.has(engine.config.kind) ? caller?.cacheSalt : undefined
}

/** A stream shows that it is alive from here on, also while it waits in the line. */
async function send(
  deps: InferenceDeps,
  c: AppContext,
  checked: InferenceRequest,
  path: string,
): Promise<RelayOutcome> {
  const heartbeat = checked.stream ? createHeartbeat(deps, c, checked) : undefined
  c.get('request').stream = heartbeat
  heartbeat?.start()
  try {
    return await attempt(deps, c, checked, path, heartbeat)
  } finally {
    heartbeat?.stop()
  }
}

function createHeartbeat(deps: InferenceDeps, c: AppContext, { kind, route }: InferenceRequest): Heartbeat {
  const { id, headers, caller } = c.get('request')
  return new Heartbeat({
    settings: caller?.heartbeat ?? heartbeatDefault,
    response: c.env.outgoing,
    headers,
    kind,
    model: route.model.id,
    requestId: id,
    now: deps.now,
    wallMs: deps.wallMs,
  })
}

async function attempt(
  deps: InferenceDeps,
  c: AppContext,
  checked: InferenceRequest,
  path: string,
  heartbeat: Heartbeat | undefined,
): Promise<RelayOutcome> {
  const request = c.get('request')
  const { engine } = checked.route
  const lease = await waitForTurn(deps, request, engine)
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
      timeouts: checked.timeouts,
      shaper: checked.shaper,
      heartbeat,
      onTokenGap: deps.meters.tokenGaps({ engine: engine.config.name, model: checked.route.model.id }),
      limits: deps.config.limits,
      timing: request.timing,
      now: deps.now,
      onCarried: (carried, connectMs) => noteConnection(request, carried, connectMs),
    })
    if (outcome.error === undefined) probe?.answered(startedAt)
    else if (isOfRoad(outcome.error)) probe?.failed(outcome.error.code)
    if (outcome.firstByteMs !== undefined) deps.meters.firstByte(engine.config.name, outcome.firstByteMs)
    return outcome
  } catch (error) {
    if (isOfRoad(error)) probe?.failed(toHearthError(error).code)
    throw error
  } finally {
    noteWay(request, engine)
    lease.release()
  }
}

/**
 * The line has a limit of its own, queueMs: the clock of the whole request stands still there. How long a wait was is
 * known also of those who waited in vain.
 */
async function waitForTurn(deps: InferenceDeps, request: RequestState, engine: Engine): Promise<Lease> {
  const startedAt = deps.now()
  const { name } = engine.config
  request.deadline.pause()
  try {
    return await deps.admission.admit(name, request.abort.signal, deps.now)
  } finally {
    request.deadline.resume()
    request.timing.queueMs = deps.now() - startedAt
    deps.meters.queued(name, request.timing.queueMs)
  }
}

/** Whether a failure says something about the engine or the road to it; what the caller did says nothing. */
function isOfRoad(error: unknown): boolean {
  return (
    !(error instanceof HearthError) || (error.status >= 500 && !['draining', 'deadline_exceeded'].includes(error.code))
  )
}
