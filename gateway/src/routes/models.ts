import type { AppContext } from '../edge/request.ts'
import { type Engines, namesOf } from '../routing/engines.ts'

/** Answers the list of models from the config, whether or not the home is awake; names nothing of the engines. */
export function listModels(engines: Engines, createdS: number) {
  return (c: AppContext): Response => {
    const { caller, headers } = c.get('request')
    const data = engines.models
      .filter(({ model }) => caller?.mayUse(namesOf(model)) === true)
      .map(({ model }) => ({
        id: model.id,
        object: 'model',
        created: createdS,
        owned_by: 'hearth',
        ...(model.context === undefined ? {} : { max_model_len: model.context }),
        hearth: { aliases: model.aliases, vision: model.vision !== undefined },
      }))
    return c.json({ object: 'list', data }, 200, headers)
  }
}
