import type { ModelConfig } from '../config.ts'
import type { AppContext } from '../edge/request.ts'
import { HearthError } from '../errors.ts'
import { type Engines, namesOf } from '../routing/engines.ts'

/** Answers the list of models from the config, whether or not the home is awake; names nothing of the engines. */
export function listModels(engines: Engines, createdS: number) {
  return (c: AppContext): Response => {
    const { caller, headers } = c.get('request')
    const data = engines.models
      .filter(({ model }) => caller?.mayUse(namesOf(model)) === true)
      .map(({ model }) => describeModel(model, createdS))
    return c.json({ object: 'list', data }, 200, headers)
  }
}

/**
 * Answers one model by any of its names; `nameOf` says which one the path holds. One that the key may not use and one
 * that does not exist get the same `model_not_found`.
 */
export function getModel(engines: Engines, createdS: number, nameOf: (c: AppContext) => string | undefined) {
  return (c: AppContext): Response => {
    const { caller, headers } = c.get('request')
    const route = engines.find(nameOf(c) ?? '')
    if (route === undefined || caller?.mayUse(namesOf(route.model)) !== true)
      throw new HearthError('model_not_found', { param: 'model' })
    return c.json(describeModel(route.model, createdS), 200, headers)
  }
}

function describeModel({ id, task, aliases, context, vision }: ModelConfig, createdS: number) {
  return {
    id,
    object: 'model',
    created: createdS,
    owned_by: 'hearth',
    ...(context === undefined ? {} : { max_model_len: context }),
    hearth: { task, aliases, vision: vision !== undefined },
  }
}
