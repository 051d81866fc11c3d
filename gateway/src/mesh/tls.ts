import { isIP, type Socket } from 'node:net'
import { connect, createSecureContext, getCACertificates, type SecureContext, type TLSSocket } from 'node:tls'
import { type ErrorCode, HearthError, toHearthError } from '../errors.ts'

export interface Handshake {
  /** Host of the engine's url: sent as SNI where it is a name, and what the certificate must be for. */
  readonly host: string
  readonly trust: SecureContext
  readonly timeoutMs: number
  /** Ends it at once; its reason is the error. */
  readonly signal?: AbortSignal | undefined
  /** What it is when the other end never answers the handshake, or hangs up in the middle of it. */
  readonly unanswered: ErrorCode
}

/** An encrypted connection or the reason why not, in the shape of undici's connectors. */
export type TlsCallback = (...result: [error: null, socket: TLSSocket] | [error: Error, socket: null]) => void

/** Whom to believe: the authorities of `ca` (PEM) alone, or without one those of Node and of the system. TLS 1.2 at least. */
export function createTrust(ca: readonly string[] | undefined): SecureContext {
  const authorities = ca ?? [...new Set([...getCACertificates('default'), ...getCACertificates('system')])]
  return createSecureContext({ ca: [...authorities], minVersion: 'TLSv1.2' })
}

/**
 * Speaks TLS over an open connection: the callback gets the encrypted one once the other end has proved to be `host`,
 * or a HearthError; in both cases exactly once, and after an error the connection is closed. Nothing of a request
 * is sent before the proof.
 */
export function startTls(raw: Socket, handshake: Handshake, callback: TlsCallback): void {
  const { host, timeoutMs, signal } = handshake
  const socket = connect({
    socket: raw,
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    secureContext: handshake.trust,
    ALPNProtocols: ['http/1.1'],
    // Said aloud, so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch it off.
    rejectUnauthorized: true,
  })
  const finish = (error: HearthError | null) => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
    socket.off('secureConnect', onSecure).off('error', onError)
    if (error === null) return callback(null, socket)
    socket.on('error', () => {})
    socket.destroy()
    callback(error, null)
  }
  const onSecure = () => finish(null)
  const onError = (cause: Error) => finish(explain(cause, socket, handshake))
  const onAbort = () => finish(toHearthError(signal?.reason))
  const silent = `No end of the TLS handshake with ${host} within ${Math.round(timeoutMs)} ms`
  const timer = setTimeout(() => finish(new HearthError(handshake.unanswered, { detail: silent })), timeoutMs)
  signal?.addEventListener('abort', onAbort)
  socket.on('secureConnect', onSecure).on('error', onError)
  if (signal?.aborted) onAbort()
}

/** Traefik hangs up on an entry point without TLS, other servers answer in plain words. */
const noTls = 'does this port speak plain http?'
const hungUp = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'])

function explain(cause: Error, socket: TLSSocket, { host, unanswered }: Handshake): HearthError {
  const code = String(Reflect.get(cause, 'code') ?? cause.name)
  if (socket.authorizationError !== undefined && socket.authorizationError !== null)
    return new HearthError('engine_tls_untrusted', { cause, detail: `${code}: ${words(cause)}; ${mend(code, host)}` })
  if (hungUp.has(code))
    return new HearthError(unanswered, {
      cause,
      detail: `Hung up in the TLS handshake with ${host} (${code}); ${noTls}`,
    })
  const hint = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/.test(code) ? `; ${noTls}` : ''
  return new HearthError('engine_tls_failed', { cause, detail: `${code}: ${words(cause)}${hint}` })
}

function mend(code: string, host: string): string {
  if (code === 'CERT_HAS_EXPIRED') return `wants a certificate of ${host} that is in force: renew it at home`
  if (code === 'CERT_NOT_YET_VALID') return 'compare the clocks of the home and of this machine'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `wants a certificate that names ${host} (subjectAltName)`
  return 'wants tls.caFile to hold the authority that signed it'
}

/** OpenSSL's words, and what the other end wrote into its certificate: short enough for a log. */
function words({ message }: Error): string {
  return JSON.stringify(message.trim().slice(0, 300))
}
