import { connect, type Socket } from 'node:net'
import { HearthError, toHearthError } from '../errors.ts'
import { judgeAnswer, type Tunnel } from './answer.ts'

export interface MeshAddress {
  readonly host: string
  readonly port: number
}

export interface MeshDial {
  readonly sidecar: MeshAddress
  /** The upstream as MESH_UPSTREAMS of the sidecar names it. */
  readonly upstream: string
  readonly timeoutMs: number
  /** Ends the dial: the connection is destroyed, so that the sidecar sees the caller leave. Its reason is the error. */
  readonly signal?: AbortSignal | undefined
  /** Told what the sidecar says about the tunnel, just before the callback gets its socket. */
  readonly onTunnel?: ((tunnel: Tunnel) => void) | undefined
}

/** An open tunnel or the reason why not, in the shape of undici's connectors. */
export type MeshCallback = (...result: [error: null, socket: Socket] | [error: Error, socket: null]) => void

/**
 * Opens a tunnel to a named upstream through the sidecar: the callback gets a socket once the mesh dial is open,
 * or a HearthError with the sidecar's own reason; in both cases exactly once. Nothing of the request was sent before.
 * The error never carries a code of undici, on which its clients would dial for ever.
 */
export function connectMesh(dial: MeshDial, callback: MeshCallback): void {
  const { signal } = dial
  if (signal?.aborted) return callback(toHearthError(signal.reason), null)
  const socket = connect({ host: dial.sidecar.host, port: dial.sidecar.port, noDelay: true, keepAlive: true })
  let answer = Buffer.alloc(0)
  const finish = (error: HearthError | null) => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
    socket.off('connect', onConnect).off('readable', onReadable).off('end', onEnd).off('error', onError)
    // Until its next owner listens, an error of the socket must not end the process.
    socket.on('error', () => {})
    if (error === null) return callback(null, socket)
    socket.destroy()
    callback(error, null)
  }
  const judge = (ended: boolean) => {
    const verdict = judgeAnswer(answer, ended)
    if (verdict === undefined)
      return ended && finish(sidecarDown('The sidecar closed the connection without an answer'))
    if ('open' in verdict) dial.onTunnel?.(verdict.open)
    finish('open' in verdict ? null : verdict.refused)
  }
  const onConnect = () => socket.write(`CONNECT ${dial.upstream} HTTP/1.1\r\nHost: ${dial.upstream}\r\n\r\n`)
  const onReadable = () => {
    for (let chunk = read(socket); chunk !== null; chunk = read(socket)) answer = Buffer.concat([answer, chunk])
    judge(false)
  }
  const onEnd = () => judge(true)
  const onError = (cause: Error) => finish(sidecarDown(describeDown(answer), cause))
  const onAbort = () => finish(toHearthError(signal?.reason))
  const timer = setTimeout(() => finish(tooSlow(dial.timeoutMs)), dial.timeoutMs)
  signal?.addEventListener('abort', onAbort)
  socket.on('connect', onConnect).on('readable', onReadable).on('end', onEnd).on('error', onError)
}

function read(socket: Socket): Buffer | null {
  const chunk: unknown = socket.read()
  return Buffer.isBuffer(chunk) ? chunk : null
}

function describeDown(answer: Buffer): string {
  if (answer.length > 0) return 'The sidecar broke the connection in the middle of its answer'
  return 'No sidecar at HEARTH_MESH_ADDR: is meshlink running?'
}

function sidecarDown(detail: string, cause?: Error): HearthError {
  return new HearthError('mesh_sidecar_down', { detail, cause })
}

function tooSlow(timeoutMs: number): HearthError {
  return new HearthError('mesh_dial_timeout', { detail: `No answer to CONNECT within ${timeoutMs} ms` })
}
