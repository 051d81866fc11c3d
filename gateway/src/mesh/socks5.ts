import { connect, isIPv4, type Socket } from 'node:net'
import { type ErrorCode, HearthError, toHearthError } from '../errors.ts'
import type { MeshAddress, MeshCallback } from './connect.ts'

export interface SocksDial {
  readonly proxy: MeshAddress
  /** Where the SOCKS server is to connect to: a name, which it resolves, or an IPv4 address. */
  readonly target: MeshAddress
  readonly timeoutMs: number
  /** Ends it at once; its reason is the error. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Opens a connection to `target` through a SOCKS5 server without a password (RFC 1928), such as tailscaled's: the
 * callback gets a socket once that server has connected, or a HearthError with what it said; in both cases exactly once.
 * Nothing of the request was sent before.
 */
export function connectSocks(dial: SocksDial, callback: MeshCallback): void {
  const { proxy, target, timeoutMs, signal } = dial
  if (signal?.aborted) return callback(toHearthError(signal.reason), null)
  const socket = connect({ host: proxy.host, port: proxy.port, noDelay: true, keepAlive: true })
  let said = Buffer.alloc(0)
  let askedAt: number | undefined
  const finish = (error: HearthError | null) => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
    socket.off('connect', onConnect).off('readable', onReadable).off('end', onEnd).off('error', onError)
    if (error === null) return callback(null, socket)
    socket.on('error', () => {})
    socket.destroy()
    callback(error, null)
  }
  const onConnect = () => socket.write(greeting)
  const onReadable = () => {
    for (let chunk = read(socket); chunk !== null; chunk = read(socket)) said = Buffer.concat([said, chunk])
    const waitedMs = askedAt === undefined ? undefined : performance.now() - askedAt
    const verdict = judgeSocks(said, waitedMs)
    if (verdict === 'ask') {
      askedAt = performance.now()
      socket.write(createSocksRequest(target))
    } else if (verdict === 'open') finish(null)
    else if (verdict !== 'wait') finish(verdict)
  }
  const onEnd = () => finish(proxyDown('The SOCKS server closed the connection before it answered'))
  const onError = (cause: Error) =>
    finish(
      proxyDown(`No SOCKS server at ${proxy.host}:${proxy.port}: does tailscaled run with --socks5-server?`, cause),
    )
  const onAbort = () => finish(toHearthError(signal?.reason))
  const timer = setTimeout(
    () =>
      finish(new HearthError('mesh_dial_timeout', { detail: `No answer of the SOCKS server within ${timeoutMs} ms` })),
    timeoutMs,
  )
  signal?.addEventListener('abort', onAbort)
  socket.on('connect', onConnect).on('readable', onReadable).on('end', onEnd).on('error', onError)
}

const version = 5
const noPassword = 0
/** "I speak version 5, and I offer one way to prove myself: none." */
const greeting = Buffer.from([version, 1, noPassword])

/** CONNECT to the target, as bytes. Throws for a name that SOCKS cannot carry (above 255 bytes). */
export function createSocksRequest({ host, port }: MeshAddress): Buffer {
  const name = Buffer.from(host, 'latin1')
  if (name.length > 255) throw new HearthError('mesh_unknown', { detail: `A name of ${name.length} bytes` })
  const address = isIPv4(host) ? [1, ...host.split('.').map(Number)] : [3, name.length, ...name]
  return Buffer.from([version, 1, 0, ...address, port >> 8, port & 0xff])
}

/**
 * What all bytes of the server so far mean: `wait` for more, `ask` for the target now, the tunnel is `open`, or an
 * error. `waitedMs` is the time since the target was asked for; undefined: it was not yet.
 */
export function judgeSocks(said: Buffer, waitedMs: number | undefined): 'wait' | 'ask' | 'open' | HearthError {
  if (said.length > 0 && said[0] !== version) return broken(`an answer that is not SOCKS5 (first byte ${said[0]})`)
  if (said.length < 2) return 'wait'
  if (said[1] !== noPassword) return broken('the wish for a password; wants a server without one, on loopback')
  if (waitedMs === undefined) return said.length === 2 ? 'ask' : broken('a reply before it was asked')
  const reply = said.subarray(2)
  if (reply.length > 0 && reply[0] !== version) return broken(`a reply that is not SOCKS5 (first byte ${reply[0]})`)
  const status = reply[1]
  if (status === undefined) return 'wait'
  if (status !== 0) return refusal(status, waitedMs)
  const length = lengthOf(reply)
  if (length === 'wait') return 'wait'
  if (length === undefined) return broken(`a reply with an address of the unknown kind ${reply[3]}`)
  if (reply.length <= length) return reply.length === length ? 'open' : 'wait'
  // Whoever speaks first at the other end is no HTTP server; handing these bytes to the parser would poison it.
  return new HearthError('mesh_early_bytes', { detail: `${reply.length - length} bytes came before the request` })
}

/** How many bytes a reply has, by the kind of the address in it: IPv4, name, IPv6. */
function lengthOf(reply: Buffer): number | 'wait' | undefined {
  const [, , , kind, nameLength] = reply
  if (kind === undefined) return 'wait'
  if (kind === 1) return 4 + 4 + 2
  if (kind === 4) return 4 + 16 + 2
  if (kind !== 3) return undefined
  return nameLength === undefined ? 'wait' : 4 + 1 + nameLength + 2
}

/** tailscaled gives up a dial after 5 s and then says the same "general failure" as for everything else. */
const tailscaledDialMs = 5_000
const clockSlackMs = 50

function refusal(status: number, waitedMs: number): HearthError {
  const after = `after ${Math.round(waitedMs)} ms`
  if (status === 1 && waitedMs >= tailscaledDialMs - clockSlackMs)
    return new HearthError('mesh_dial_timeout', { detail: `The SOCKS server gave up ${after}` })
  const [code, meaning] = replies.get(status) ?? ['mesh_unknown', 'an unknown reply']
  return new HearthError(code, { detail: `The SOCKS server refused ${after}: ${status} (${meaning})` })
}

const replies = new Map<number, readonly [code: ErrorCode, meaning: string]>([
  [
    1,
    ['mesh_unknown', 'general failure: tailscaled says no more; its log has a line "socks5: client connection failed"'],
  ],
  [2, ['mesh_unknown', 'not allowed by its rules']],
  [3, ['mesh_peer_missing', 'network unreachable']],
  [4, ['mesh_peer_missing', 'host unreachable']],
  [5, ['mesh_refused', 'connection refused']],
  [6, ['mesh_dial_timeout', 'time to live expired']],
  [7, ['mesh_unknown', 'it does not know CONNECT']],
  [8, ['mesh_unknown', 'it does not take this kind of address']],
])

function broken(what: string): HearthError {
  return new HearthError('mesh_unknown', { detail: `The SOCKS server answered with ${what}` })
}

function proxyDown(detail: string, cause?: Error): HearthError {
  return new HearthError('mesh_sidecar_down', { detail, cause })
}

function read(socket: Socket): Buffer | null {
  const chunk: unknown = socket.read()
  return Buffer.isBuffer(chunk) ? chunk : null
}
