/**
 * The one list of what may pass. The gateway's route table, the Traefik rules of the lab and of k3s are generated
 * from it, so an engine path that is not named here can be reached neither from the internet nor from the gateway.
 */

/** A route that callers of the public API may use. `handler` names what answers it; app.ts has one for each. */
export interface CallerRoute {
  readonly method: 'GET' | 'POST'
  /** Exact, but for `{id}` at its end: there stand the public names of the models, letter by letter (table.ts). */
  readonly path: string
  readonly handler:
    | 'chat'
    | 'completions'
    | 'embeddings'
    | 'rerank'
    | 'models'
    | 'model'
    | 'health'
    | 'ready'
    | 'openapi'
    | 'docs'
  /** Whether the caller must present an API key. */
  readonly key: boolean
}

/** A path of an engine that the gateway itself may call through the home ingress. Always a constant. */
export interface EngineRoute {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly use: 'inference' | 'probe'
}

/** A path that the home answers itself, beside its engines. */
export interface HomeRoute {
  readonly method: 'POST'
  readonly path: string
  readonly use: 'echo'
}

export const callerRoutes: readonly CallerRoute[] = [
  { method: 'POST', path: '/v1/chat/completions', handler: 'chat', key: true },
  { method: 'POST', path: '/v1/completions', handler: 'completions', key: true },
  { method: 'POST', path: '/v1/embeddings', handler: 'embeddings', key: true },
  { method: 'POST', path: '/v1/rerank', handler: 'rerank', key: true },
  { method: 'GET', path: '/v1/models', handler: 'models', key: true },
  { method: 'GET', path: '/v1/models/{id}', handler: 'model', key: true },
  { method: 'GET', path: '/health', handler: 'health', key: false },
  { method: 'GET', path: '/ready', handler: 'ready', key: false },
  { method: 'GET', path: '/openapi.json', handler: 'openapi', key: false },
  { method: 'GET', path: '/docs', handler: 'docs', key: false },
]

export const engineRoutes: readonly EngineRoute[] = [
  { method: 'POST', path: '/v1/chat/completions', use: 'inference' },
  { method: 'POST', path: '/v1/completions', use: 'inference' },
  { method: 'POST', path: '/v1/embeddings', use: 'inference' },
  { method: 'POST', path: '/v1/rerank', use: 'inference' },
  { method: 'GET', path: '/v1/models', use: 'probe' },
]

export const homeRoutes: readonly HomeRoute[] = [{ method: 'POST', path: '/-/echo', use: 'echo' }]
