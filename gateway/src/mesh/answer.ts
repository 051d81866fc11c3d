import { HearthError, isErrorCode } from '../errors.ts'

/** How a tunnel goes home, as the sidecar names it. */
export type MeshPath = 'direct' | 'peer_relay' | 'derp' | 'none'

/** What the sidecar says about a tunnel when it opens it. */
export interface Tunnel {
  /** Its name on the sidecar's status port; undefined from a sidecar that does not say. */
  readonly id: string | undefined
  readonly path: MeshPath | undefined
  readonly rttMs: number | undefined
}

/** undefined: more bytes are needed. */
export type Verdict = { readonly open: Tunnel } | { readonly refused: HearthError } | undefined

/** An answer of the sidecar to CONNECT is a few hundred bytes. */
const answerBytesMax = 16 * 1024

/**
 * Judges what the sidecar has answered to CONNECT so far; `ended` says that nothing more comes. The same bytes get the
 * same verdict, however they were cut into pieces: an answer is judged as soon as it is whole, never before.
 */
export function judgeAnswer(answer: Buffer, ended = false): Verdict {
  const headEnd = answer.indexOf('\r\n\r\n')
  if (headEnd < 0) {
    if (answer.length > answerBytesMax) return broken('an endless head')
    if (!mayBecomeHead(answer)) return broken('something that is no HTTP')
    return ended && answer.length > 0 ? broken('half a head') : undefined
  }
  const head = answer.toString('latin1', 0, headEnd)
  const status = Number(/^HTTP\/1\.1 (\d{3})(?: |\r\n|$)/.exec(head)?.[1])
  const body = answer.subarray(headEnd + 4)
  if (Number.isNaN(status)) return broken('something that is no HTTP')
  if (status === 200) return judgeOpen(head, body)
  if (body.length > answerBytesMax) return broken('an endless body')
  const length = Number(header(head, 'content-length') ?? Number.NaN)
  if (!ended && !(body.length >= length)) return undefined
  return refusal(status, Number.isNaN(length) ? body : body.subarray(0, length))
}

function judgeOpen(head: string, body: Buffer): Verdict {
  // Whoever speaks first at the other end is no HTTP server; handing these bytes to the parser would poison it.
  if (body.length > 0) {
    return { refused: new HearthError('mesh_early_bytes', { detail: 'Bytes came before the request was sent' }) }
  }
  return { open: { id: readId(head), path: readPath(header(head, 'mesh-path')), rttMs: readRtt(head) } }
}

/** Whether an answer that begins so can still be one to CONNECT: garbage is told from silence at its first bytes. */
function mayBecomeHead(answer: Buffer): boolean {
  const begin = 'HTTP/1.1 '
  return answer.toString('latin1', 0, begin.length) === begin.slice(0, Math.min(answer.length, begin.length))
}

function header(head: string, name: string): string | undefined {
  const line = head.split('\n').find((text) => text.toLowerCase().startsWith(`${name}:`))
  return line?.slice(name.length + 1).trim()
}

function readId(head: string): string | undefined {
  const id = header(head, 'mesh-tunnel')
  return id !== undefined && /^[\w.~-]{1,32}$/.test(id) ? id : undefined
}

/** A path of the sidecar's words; undefined for any other text. */
export function readPath(text: unknown): MeshPath | undefined {
  return text === 'direct' || text === 'peer_relay' || text === 'derp' || text === 'none' ? text : undefined
}

function readRtt(head: string): number | undefined {
  const text = header(head, 'mesh-rtt-ms')
  return text !== undefined && /^\d{1,6}(\.\d{1,6})?$/.test(text) ? Number(text) : undefined
}

function broken(what: string): Verdict {
  return { refused: new HearthError('mesh_unknown', { detail: `The sidecar answered CONNECT with ${what}` }) }
}

/** The sidecar's `{"code","message"}` as our error; a code that this gateway does not know keeps its text for the log. */
function refusal(status: number, body: Buffer): Verdict {
  let said: unknown
  try {
    said = JSON.parse(body.toString('utf8'))
  } catch {
    return broken(`status ${status} and no reason`)
  }
  const code: unknown = said !== null && typeof said === 'object' ? Reflect.get(said, 'code') : undefined
  const detail = `The sidecar refused CONNECT with ${status}: ${JSON.stringify(said).slice(0, 500)}`
  return { refused: new HearthError(meshCode(code), { detail }) }
}

/** A code as the sidecar wrote it; `mesh_unknown` for one that is not of the mesh or not of this version. */
export function meshCode(code: unknown) {
  return isErrorCode(code) && code.startsWith('mesh_') ? code : 'mesh_unknown'
}
