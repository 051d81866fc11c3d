import { request } from 'node:http'
import type { Socket } from 'node:net'

export interface Question {
  readonly port: number
  readonly path: string
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  readonly timeoutMs: number
  /** Asks over this connection instead of a new one to `port`. */
  readonly socket?: Socket
}

export interface Reply {
  readonly status: number
  readonly text: string
  readonly ms: number
}

/**
 * Asks a server on loopback once, over a connection of its own. Rejects when it cannot be reached, when the answer is cut
 * and when the whole takes longer than `timeoutMs`.
 */
export function ask({ port, path, method = 'GET', headers = {}, body, timeoutMs, socket }: Question): Promise<Reply> {
  const startedAt = performance.now()
  return new Promise((resolve, reject) => {
    const outgoing = request({
      // With an agent of any kind Node asks it for the connection.
      ...(socket === undefined ? { host: '127.0.0.1', port, agent: false } : { createConnection: () => socket }),
      path,
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
      signal: AbortSignal.timeout(timeoutMs),
    })
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, ms: performance.now() - startedAt }))
    })
    outgoing.end(body)
  })
}

/** The `code` of an answer, ours (`{"error":{"code"}}`) or the sidecar's (`{"code"}`); undefined where there is none. */
export function codeOf(text: string): string | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const inner = field(value, 'error') ?? value
  const code = field(inner, 'code')
  return typeof code === 'string' ? code : undefined
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
