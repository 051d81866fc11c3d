import { createMiddleware } from 'hono/factory'
import type { RouteTable } from '../routes/table.ts'
import { rawPath } from './precheck.ts'
import type { AppEnv } from './request.ts'

/** What the OpenAI SDK adds to a request by itself; a browser asks for each of them. */
const sdkHeaders = [
  ...['retry-count', 'timeout', 'lang', 'os', 'arch', 'runtime', 'runtime-version', 'package-version'],
  ...['helper-method', 'poll-helper', 'custom-poll-interval'],
].map((name) => `x-stainless-${name}`)
const traceHeaders = ['traceparent', 'tracestate']
const allowedHeaders = [
  ...['authorization', 'content-type', 'openai-organization', 'openai-project'],
  ...traceHeaders,
  ...sdkHeaders,
]
/** By name each: there is no wildcard for a prefix, and `*` does not count where a key is sent. */
const exposedHeaders = [
  ...[
    'x-request-id',
    'retry-after',
    'x-should-retry',
    'server-timing',
    'x-hearth-error-source',
    'x-hearth-dropped-fields',
  ],
  ...['limit', 'remaining', 'reset'].flatMap((what) => [`x-ratelimit-${what}-requests`, `x-ratelimit-${what}-tokens`]),
]

/** The headers that let a page of `origin` read an answer; without the first of them where it is not listed. */
export type OpenTo = (origin: string | undefined) => Readonly<Record<string, string>>

/** Opens answers to the pages of the listed origins; `*` admits every page. */
export function openTo(origins: readonly string[]): OpenTo {
  const allowed = new Set(origins)
  const closed: Readonly<Record<string, string>> = allowed.size > 0 ? { vary: 'origin' } : {}
  return (origin) =>
    origin === undefined || !(allowed.has(origin) || allowed.has('*'))
      ? closed
      : {
          ...closed,
          'access-control-allow-origin': origin,
          'access-control-expose-headers': exposedHeaders.join(', '),
          'timing-allow-origin': origin,
        }
}

/** Lets the pages of the listed origins read our answers. Answers preflights itself. */
export function cors(origins: readonly string[], table: RouteTable) {
  const open = openTo(origins)
  return createMiddleware<AppEnv>(async function cors(c, next) {
    const { headers } = c.get('request')
    Object.assign(headers, open(c.env.incoming.headers.origin))
    if (headers['access-control-allow-origin'] === undefined) return next()
    const methods = table.find(rawPath(c.env.incoming.url ?? ''))?.methods
    if (c.env.incoming.method !== 'OPTIONS' || methods === undefined) return next()
    headers['access-control-allow-methods'] = [...methods].join(', ')
    headers['access-control-allow-headers'] = allowedHeaders.join(', ')
    headers['access-control-max-age'] = '600'
    return c.body(null, 204, headers)
  })
}
