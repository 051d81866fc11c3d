import { createMiddleware } from 'hono/factory'
import { type MethodsByPath, rawPath } from './precheck.ts'
import type { AppEnv } from './request.ts'

const allowedHeaders = [
  'authorization',
  'content-type',
  'openai-organization',
  'openai-project',
  ...[
    'retry-count',
    'timeout',
    'lang',
    'os',
    'arch',
    'runtime',
    'runtime-version',
    'package-version',
    'helper-method',
  ].map((name) => `x-stainless-${name}`),
].join(', ')
const exposedHeaders = 'x-request-id, retry-after, x-should-retry, x-hearth-error-source, x-hearth-dropped-fields'

/** Lets the pages of the listed origins read our answers; `*` admits every page. Answers preflights itself. */
export function cors(origins: readonly string[], table: MethodsByPath) {
  const allowed = new Set(origins)
  return createMiddleware<AppEnv>(async function cors(c, next) {
    const { headers } = c.get('request')
    const origin = c.env.incoming.headers.origin
    if (allowed.size > 0) headers['vary'] = 'origin'
    if (origin === undefined || !(allowed.has(origin) || allowed.has('*'))) return next()
    headers['access-control-allow-origin'] = origin
    headers['access-control-expose-headers'] = exposedHeaders
    const methods = table.get(rawPath(c.env.incoming.url ?? ''))
    if (c.env.incoming.method !== 'OPTIONS' || methods === undefined) return next()
    headers['access-control-allow-methods'] = [...methods].join(', ')
    headers['access-control-allow-headers'] = allowedHeaders
    headers['access-control-max-age'] = '600'
    return c.body(null, 204, headers)
  })
}
