import { connect, type Socket } from 'node:net'
import { HearthError, isErrorCode } from '../errors.ts'

export interface MeshAddress {
  readonly host: string
  readonly port: number
}

export interface MeshDial {
  readonly sidecar: MeshAddress
  /** The upstream as MESH_UPSTREAMS of the sidecar names it. */
  readonly upstream: string
  readonly timeoutMs: number
}

/** An open tunnel or the reason why not, in the shape of undici's connectors. */
export type MeshCallback = (...result: [error: null, socket: Socket] | [error: Error, socket: null]) => void

/** An answer of the sidecar to CONNECT is a few hundred bytes. */
const answerBytesMax = 16 * 1024

/**
 * Opens a tunnel to a named upstream through the sidecar: the callback gets a socket once the mesh dial is open,
 * or a HearthError with the sidecar's own reason; in both cases exactly once. Nothing of the request was sent before.
 */
export function connectMesh(dial: MeshDial, callback: MeshCallback): void {
  const socket = connect({ host: dial.sidecar.host, port: dial.sidecar.port, noDelay: true, keepAlive: true })
  let answer = Buffer.alloc(0)
  const finish = (error: HearthError | null) => {
    clearTimeout(timer)
    socket.off('connect', onConnect).off('readable', onReadable).off('end', onEnd).off('error', onError)
    if (error === null) return callback(null, socket)
    socket.on('error', () => {})
    socket.destroy()
    callback(error, null)
  }
  const onConnect = () => socket.write(`CONNECT ${dial.upstream} HTTP/1.1\r\nHost: ${dial.upstream}\r\n\r\n`)
  const onReadable = () => {
    for (let chunk = read(socket); chunk !== null; chunk = read(socket)) answer = Buffer.concat([answer, chunk])
    const verdict = judge(answer)
    if (verdict !== undefined) finish(verdict)
  }
  const onEnd = () => finish(judge(answer, true) ?? sidecarDown('The sidecar closed the connection before it answered'))
  const onError = (cause: Error) => finish(sidecarDown('No sidecar at HEARTH_MESH_ADDR: is meshlink running?', cause))
  const timer = setTimeout(
    () => finish(new HearthError('mesh_dial_timeout', { detail: `No answer to CONNECT within ${dial.timeoutMs} ms` })),
    dial.timeoutMs,
  )
  socket.on('connect', onConnect).on('readable', onReadable).on('end', onEnd).on('error', onError)
}

function read(socket: Socket): Buffer | null {
  const chunk: unknown = socket.read()
  return Buffer.isBuffer(chunk) ? chunk : null
}

function sidecarDown(detail: string, cause?: Error): HearthError {
  return new HearthError('mesh_sidecar_down', { detail, cause })
}

/** null: the tunnel is open. An error: it is not. undefined: more bytes are needed. */
function judge(answer: Buffer, ended = false): HearthError | null | undefined {
  const headEnd = answer.indexOf('\r\n\r\n')
  if (headEnd < 0) return answer.length > answerBytesMax ? broken('an endless head') : undefined
  const head = answer.toString('latin1', 0, headEnd)
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(`${head.split('\r\n', 1)[0]} `)?.[1])
  const body = answer.subarray(headEnd + 4)
  if (status === 200) {
    // Whoever speaks first at the other end is no HTTP server; handing these bytes to the parser would poison it.
    return body.length === 0
      ? null
      : new HearthError('mesh_early_bytes', { detail: `${body.length} bytes came before the request` })
  }
  const length = Number(/^content-length: *(\d+)\r?$/im.exec(head)?.[1] ?? Number.NaN)
  if (body.length > answerBytesMax) return broken('an endless body')
  if (!ended && !(body.length >= length)) return undefined
  return refusal(status, body)
}

function broken(what: string): HearthError {
  return new HearthError('mesh_unknown', { detail: `The sidecar answered CONNECT with ${what}` })
}

/** The sidecar's `{"code","message"}` as our error; a code that this gateway does not know keeps its text for the log. */
function refusal(status: number, body: Buffer): HearthError {
  let said: unknown
  try {
    said = JSON.parse(body.toString('utf8'))
  } catch {
    return broken(`status ${status} and no reason`)
  }
  const code: unknown = said !== null && typeof said === 'object' ? Reflect.get(said, 'code') : undefined
  const detail = `The sidecar refused CONNECT with ${status}: ${JSON.stringify(said).slice(0, 500)}`
  return new HearthError(isErrorCode(code) && code.startsWith('mesh_') ? code : 'mesh_unknown', { detail })
}
