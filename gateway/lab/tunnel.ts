import { request } from 'node:http'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { ask, codeOf, type Reply } from './ask.ts'

/** An open tunnel, or the sidecar's reason why not. */
export type Dialled = { readonly ms: number } & (
  | { readonly code: 'open'; readonly socket: Socket }
  | { readonly code: string; readonly socket?: undefined }
)

/** CONNECT to an upstream of a sidecar. Never rejects; whoever gets a socket closes it. */
export function dial(sidecarPort: number, upstream: string, timeoutMs: number): Promise<Dialled> {
  const startedAt = performance.now()
  const ms = () => Math.round(performance.now() - startedAt)
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const outgoing = request({
      host: '127.0.0.1',
      port: sidecarPort,
      method: 'CONNECT',
      path: upstream,
      agent: false,
      setHost: false,
      headers: { host: upstream },
      signal,
    })
    outgoing.on('error', (error: NodeJS.ErrnoException) =>
      resolve({ code: signal.aborted ? 'no_answer' : (error.code ?? error.message), ms: ms() }),
    )
    outgoing.on('connect', (response, socket: Socket, head) => {
      socket.on('error', () => {})
      if (response.statusCode === 200) return resolve({ code: 'open', socket, ms: ms() })
      socket.unshift(head)
      text(socket)
        .then((body) => resolve({ code: codeOf(body) ?? `status_${response.statusCode}`, ms: ms() }))
        .catch(() => resolve({ code: `status_${response.statusCode}`, ms: ms() }))
    })
    outgoing.end()
  })
}

export interface Through {
  readonly sidecarPort: number
  readonly upstream: string
  readonly timeoutMs: number
  readonly path?: string
  readonly body?: string | Buffer
}

/** Dials and asks once through the tunnel; the code is `ok` for a 200. Never rejects. */
export async function askThrough(question: Through): Promise<{ readonly code: string; readonly ms: number }> {
  const { sidecarPort, upstream, timeoutMs, path = '/health', body } = question
  const startedAt = performance.now()
  const ms = () => Math.round(performance.now() - startedAt)
  const dialled = await dial(sidecarPort, upstream, timeoutMs)
  if (dialled.socket === undefined) return dialled
  try {
    const rest = Math.max(1, timeoutMs - dialled.ms)
    const method = body === undefined ? 'GET' : 'POST'
    const reply: Reply = await ask({
      port: 0,
      path,
      method,
      timeoutMs: rest,
      socket: dialled.socket,
      ...(body === undefined ? {} : { body }),
    })
    return { code: reply.status === 200 ? 'ok' : `status_${reply.status}`, ms: ms() }
  } catch (error) {
    return { code: error instanceof Error ? error.name : String(error), ms: ms() }
  } finally {
    dialled.socket.destroy()
  }
}
