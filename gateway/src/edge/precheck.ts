import { createMiddleware } from 'hono/factory'
import { HearthError } from '../errors.ts'
import type { RouteTable } from '../routes/table.ts'
import type { AppEnv } from './request.ts'

/** The path of a raw request target, without its query. */
export function rawPath(target: string): string {
  const query = target.indexOf('?')
  return query < 0 ? target : target.slice(0, query)
}

/**
 * Lets only what the table of routes names pass, judged on the raw target: a path that merely normalises to a known
 * one (`//v1/models`, `/v1/%6dodels`) is unknown. Throws `unknown_route` or `method_not_allowed`.
 */
export function precheck(table: RouteTable) {
  return createMiddleware<AppEnv>(async function precheck(c, next) {
    const { method = '', url = '' } = c.env.incoming
    const route = table.find(rawPath(url))
    if (route === undefined) throw new HearthError('unknown_route')
    c.get('request').log.route = route.path
    if (!route.methods.has(method)) {
      c.get('request').headers['allow'] = [...route.methods].join(', ')
      throw new HearthError('method_not_allowed')
    }
    await next()
  })
}

/** Ends a request whose body brought trailers: unannounced ones are seen only when the last byte is. */
export const refuseTrailers = createMiddleware<AppEnv>(async function refuseTrailers(c, next) {
  const { incoming } = c.env
  // Heard before the reader of the body hears the same, so nothing is sent home by then.
  incoming.once('end', () => {
    if (incoming.rawTrailers.length === 0) return
    const request = c.get('request')
    request.headers['connection'] = 'close'
    request.abort.abort(new HearthError('bad_header', { message: 'Trailers are not read here.' }))
  })
  await next()
})
