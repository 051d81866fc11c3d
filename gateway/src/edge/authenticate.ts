import { createMiddleware } from 'hono/factory'
import { HearthError } from '../errors.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { AppEnv } from './request.ts'

const bearer = /^Bearer +(\S+) *$/i

/** Finds the caller behind the key before a byte of the body is read. Throws `missing_api_key` or `invalid_api_key`. */
export function authenticate(keyring: Keyring, nowMs: () => number) {
  return createMiddleware<AppEnv>(async function authenticate(c, next) {
    const request = c.get('request')
    const header = c.env.incoming.headers.authorization
    if (header === undefined) throw new HearthError('missing_api_key')
    const caller = keyring.identify(bearer.exec(header)?.[1] ?? '', nowMs())
    if (caller === undefined) throw new HearthError('invalid_api_key')
    request.caller = caller
    request.log['keyId'] = caller.keyId
    if (caller.timeouts.totalMs !== undefined) request.deadline.setTotal(caller.timeouts.totalMs)
    await next()
  })
}
