import type { AppContext } from '../edge/request.ts'
import { HearthError } from '../errors.ts'
import { type Engines, type ModelRoute, namesOf } from '../routing/engines.ts'
import type { Probe } from '../routing/probe.ts'

export interface ModelsDeps {
  readonly engines: Engines
  /** By the name of the engine; asked for what they know, never to find out. */
  readonly probes: ReadonlyMap<string, Pick<Probe, 'lastWord'>>
  /** Since when there are these models, in seconds of the epoch. */
  readonly createdS: number
  readonly now: () => number
}

/** Answers the list of models from the config, whether or not the home is awake; names nothing of the engines. */
export function listModels(deps: ModelsDeps) {
  return (c: AppContext): Response => {
    const { caller, headers } = c.get('request')
    const data = deps.engines.models
      .filter(({ model }) => caller?.mayUse(namesOf(model)) === true)
      .map((route) => describeModel(route, deps))
    return c.json({ object: 'list', data }, 200, headers)
  }
}

/**
 * Answers one model by any of its names; `nameOf` says which one the path holds. One that the key may not use and one
 * that does not exist get the same `model_not_found`.
 */
export function getModel(deps: ModelsDeps, nameOf: (c: AppContext) => string | undefined) {
  return (c: AppContext): Response => {
    const { caller, headers } = c.get('request')
    const route = deps.engines.find(nameOf(c) ?? '')
    if (route === undefined || caller?.mayUse(namesOf(route.model)) !== true)
      throw new HearthError('model_not_found', { param: 'model' })
    return c.json(describeModel(route, deps), 200, headers)
  }
}

/** Field by field: the engine's own name of a model, and whatever a config may hold one day, stay inside. */
function describeModel({ model, engine }: ModelRoute, { probes, createdS, now }: ModelsDeps) {
  const { id, task, aliases, context, reasoning, vision } = model
  const word = probes.get(engine.config.name)?.lastWord()
  return {
    id,
    object: 'model',
    created: createdS,
    owned_by: 'hearth',
    ...(context === undefined ? {} : { max_model_len: context }),
    hearth: {
      task,
      aliases,
      contextTokens: context ?? null,
      reasoning,
      vision: vision === undefined ? null : describeVision(vision),
      state: word === undefined ? 'unknown' : word.ready ? 'ready' : 'unreachable',
      stateCode: word?.code ?? null,
      stateAgeMs: word === undefined ? null : Math.round(now() - word.at),
    },
  }
}

function describeVision({
  coordinates,
  factor,
  minPixels,
  maxPixels,
  maxSide,
}: NonNullable<ModelRoute['model']['vision']>) {
  return { coordinates, factor, minPixels, maxPixels, maxSide }
}
