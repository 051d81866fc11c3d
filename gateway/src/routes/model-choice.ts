import type { BodyKind } from '../body/fields.ts'
import { HearthError } from '../errors.ts'
import type { Caller } from '../keys/keyring.ts'
import { type Engines, type ModelRoute, namesOf } from '../routing/engines.ts'
import { callerRoutes } from './routes.data.ts'

type Task = ModelRoute['model']['task']

const taskOfKind: Readonly<Record<BodyKind, Task>> = {
  chat: 'chat',
  completions: 'chat',
  embeddings: 'embed',
  rerank: 'rerank',
}

/** The route that a model of each task is for. */
const kindOfTask: Readonly<Record<Task, BodyKind>> = { chat: 'chat', embed: 'embeddings', rerank: 'rerank' }

/**
 * The model of a request: the one it names, or the first of the right kind that the caller may use. A model that the key
 * may not use and one that does not exist are both `model_not_found`; one that does other work is `wrong_task`.
 */
export function chooseModel(
  engines: Pick<Engines, 'find' | 'models'>,
  caller: Pick<Caller, 'mayUse'> | undefined,
  kind: BodyKind,
  name: string | undefined,
): ModelRoute {
  const mayUse = ({ model }: ModelRoute) => caller?.mayUse(namesOf(model)) === true
  const task = taskOfKind[kind]
  if (name === undefined) {
    const first = engines.models.find((route) => route.model.task === task && mayUse(route))
    if (first !== undefined) return first
    const message = `The field "model" is missing, and there is no model for ${pathOf(kind)} that this key may use.`
    throw new HearthError('invalid_request', { param: 'model', message })
  }
  const route = engines.find(name)
  if (route === undefined || !mayUse(route)) throw new HearthError('model_not_found', { param: 'model' })
  if (route.model.task === task) return route
  const message = `The model "${name}" does not answer here. Send it to POST ${pathOf(kindOfTask[route.model.task])}.`
  throw new HearthError('wrong_task', { param: 'model', message })
}

function pathOf(kind: BodyKind): string {
  return callerRoutes.find(({ handler }) => handler === kind)?.path ?? kind
}
