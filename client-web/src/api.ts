import { ApiError, classifyRefusal, type Failure } from './failure.ts'
import { member, textOf } from './json.ts'

export interface Connection {
  baseUrl: string
  key: string
}

export interface ChatMessage {
  role: 'user' | 'assistant'
  content: string
}

export interface Api {
  /** The ids of `GET /v1/models` that can chat. Throws ApiError, or the abort reason. */
  listModels(connection: Connection, signal: AbortSignal): Promise<readonly string[]>
  /** Opens one streamed answer; the caller reads or cancels the body. Throws ApiError, or the abort reason. */
  openChat(
    connection: Connection,
    request: { model: string; messages: readonly ChatMessage[] },
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>>
}

export interface ApiOptions {
  fetch: typeof fetch
  pageUrl: string
  /** Origins that the page's own policy lets it call; undefined when it may call any. */
  allowedOrigins: readonly string[] | undefined
  isOnline: () => boolean
}

const probeTimeoutMs = 3000

/** The two calls the page makes, with every failure turned into one a person can act on. */
export function createApi(options: ApiOptions): Api {
  const call = async (connection: Connection, path: string, init: RequestInit): Promise<Response> => {
    const base = normalizeBaseUrl(connection.baseUrl)
    if (base === undefined) throw new ApiError({ kind: 'bad_address' })
    const headers = new Headers(init.headers)
    if (connection.key !== '') headers.set('authorization', `Bearer ${connection.key}`)
    const response = await options.fetch(`${base}${path}`, { ...init, headers }).catch(async (cause: unknown) => {
      init.signal?.throwIfAborted()
      throw new ApiError(await diagnose(base, options), { cause })
    })
    if (response.ok) return response
    const body = await response.text().catch(() => '')
    const failure = classifyRefusal(response.status, response.headers, body)
    const isKeyless = failure.kind === 'key_rejected' && connection.key === ''
    throw new ApiError(isKeyless ? { ...failure, kind: 'key_missing' } : failure)
  }
  return {
    listModels: async (connection, signal) => {
      const response = await call(connection, '/models', { signal })
      const body: unknown = await response.json().catch(() => undefined)
      return readModelIds(body)
    },
    openChat: async (connection, request, signal) => {
      const response = await call(connection, '/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
        body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
        signal,
      })
      const type = response.headers.get('content-type') ?? ''
      if (response.body === null || !type.startsWith('text/event-stream')) {
        await response.body?.cancel()
        throw new ApiError({ kind: 'unexpected_answer', status: response.status })
      }
      return response.body
    },
  }
}

/** `https://host` and `https://host/v1/` both become `https://host/v1`; undefined when it is no http(s) address. */
export function normalizeBaseUrl(text: string): string | undefined {
  const trimmed = text.trim()
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`)
  if (trimmed === '' || url === null || !/^https?:$/.test(url.protocol)) return undefined
  const path = url.pathname.replace(/\/+$/, '')
  return `${url.origin}${path === '' ? '/v1' : path}`
}

function readModelIds(body: unknown): readonly string[] {
  const data = member(body, 'data')
  if (!Array.isArray(data)) throw new ApiError({ kind: 'unexpected_answer' })
  return (data as readonly unknown[])
    .filter(isForChat)
    .map((model) => textOf(member(model, 'id')))
    .filter((id) => id !== undefined)
}

// A gateway says what each model does; of other servers nothing is known, so all of theirs are shown.
function isForChat(model: unknown): boolean {
  const task = textOf(member(member(model, 'hearth'), 'task'))
  return task === undefined || task === 'chat'
}

// fetch() says only "TypeError" for every reason, so the reason is found by what else is known.
async function diagnose(base: string, options: ApiOptions): Promise<Failure> {
  const target = new URL(base)
  const page = new URL(options.pageUrl)
  const isSelf = target.origin === page.origin
  if (!isSelf && options.allowedOrigins !== undefined && !options.allowedOrigins.includes(target.origin)) {
    return { kind: 'blocked_by_page' }
  }
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(target.hostname)
  if (!options.isOnline() && !isLoopback) return { kind: 'offline' }
  if (page.protocol === 'https:' && target.protocol === 'http:' && !isLoopback) return { kind: 'mixed_content' }
  const answers = await options
    .fetch(`${target.origin}/health`, {
      mode: 'no-cors',
      cache: 'no-store',
      signal: AbortSignal.timeout(probeTimeoutMs),
    })
    .then(() => true)
    .catch(() => false)
  return { kind: answers && !isSelf ? 'cors' : 'unreachable' }
}
