/**
 * The one list of what may pass. The gateway's route table, the Traefik rules of the lab and of k3s are generated
 * from it, so an engine path that is not named here can be reached neither from the internet nor from the gateway.
 */

/** A route that callers of the public API may use. `handler` names the file in routes/ that answers it. */
export interface CallerRoute {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly handler: 'chat' | 'models' | 'health' | 'ready'
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
  { method: 'GET', path: '/v1/models', handler: 'models', key: true },
  { method: 'GET', path: '/health', handler: 'health', key: false },
  { method: 'GET', path: '/ready', handler: 'ready', key: false },
]

export const engineRoutes: readonly EngineRoute[] = [
  { method: 'POST', path: '/v1/chat/completions', use: 'inference' },
  { method: 'GET', path: '/v1/models', use: 'probe' },
]

export const homeRoutes: readonly HomeRoute[] = [{ method: 'POST', path: '/-/echo', use: 'echo' }]
