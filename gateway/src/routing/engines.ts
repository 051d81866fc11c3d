import type { Config, EngineConfig, ModelConfig } from '../config.ts'
import type { MeshStatus } from '../mesh/status.ts'
import type { Meters } from '../metrics.ts'
import { createUpstream, type Upstream } from '../upstream/transport.ts'

/** One engine at work: its settings and its road. */
export interface Engine {
  readonly config: EngineConfig
  readonly upstream: Upstream
}

/** A model and the engine that serves it. */
export interface ModelRoute {
  readonly model: ModelConfig
  readonly engine: Engine
}

/** The live table of engines and models; `close` ends every connection. */
export interface Engines {
  readonly all: readonly Engine[]
  readonly models: readonly ModelRoute[]
  /** The route of a model by its id or an alias. */
  find(model: string): ModelRoute | undefined
  close(): Promise<void>
}

/** Every name of a model: its id, then its aliases. */
export function namesOf({ id, aliases }: ModelConfig): readonly string[] {
  return [id, ...aliases]
}

export interface EngineDeps {
  readonly status: MeshStatus
  readonly meters: Meters
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/** Builds the table from the config. Opens no connection. */
export function createEngines(config: Config, deps: EngineDeps): Engines {
  const engines = new Map(config.engines.map((engine) => [engine.name, createEngine(engine, config, deps)]))
  const models = config.models.flatMap((model) => {
    const engine = engines.get(model.engine)
    return engine === undefined ? [] : [{ model, engine }]
  })
  const byName = new Map(models.flatMap((route) => namesOf(route.model).map((name) => [name, route])))
  const all = [...engines.values()]
  return {
    all,
    models,
    find: (model) => byName.get(model),
    close: async () => {
      await Promise.all(all.map((engine) => engine.upstream.destroy()))
    },
  }
}

function createEngine(engine: EngineConfig, config: Config, { status, meters, now }: EngineDeps): Engine {
  return {
    config: engine,
    upstream: createUpstream(engine, {
      mesh: config.mesh,
      engineApiKey: config.engineApiKey,
      timeouts: config.timeouts,
      limits: config.limits,
      status,
      now,
      onDial: (result) => meters.dial(engine.name, result),
      onRetry: (why) => meters.retry(engine.name, why),
    }),
  }
}
