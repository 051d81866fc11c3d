import { createMiddleware } from 'hono/factory'
import { HearthError } from '../errors.ts'
import type { Keyring } from '../keys/keyring.ts'
import { timingHeaders } from '../upstream/server-timing.ts'
import type { AppEnv } from './request.ts'

const bearer = /^Bearer +(\S+) *$/i

/**
 * Finds the caller behind the key before a byte of the body is read; `wallMs` is for keys that expire, `now` measures.
 * Throws `missing_api_key` or `invalid_api_key`.
 */
export function authenticate(keyring: Keyring, wallMs: () => number, now: () => number) {
  return createMiddleware<AppEnv>(async function authenticate(c, next) {
    const request = c.get('request')
    const startedAt = now()
    const header = c.env.incoming.headers.authorization
    if (header === undefined) throw new HearthError('missing_api_key')
    const caller = keyring.identify(bearer.exec(header)?.[1] ?? '', wallMs())
    if (caller === undefined) throw new HearthError('invalid_api_key')
    request.caller = caller
    request.log.keyId = caller.keyId
    // Of a key that is known alone: how long one was looked for in vain says something about the keys that there are.
    request.timing.authMs = now() - startedAt
    Object.assign(request.headers, timingHeaders(request.timing))
    if (caller.timeouts.totalMs !== undefined) request.deadline.setTotal(caller.timeouts.totalMs)
    await next()
  })
}
