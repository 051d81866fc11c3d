import { parseJson } from './json.ts'
import { type ErrorBody, readErrorBody } from './stream.ts'

/** What went wrong, as far as it changes what a person can do next. */
export type FailureKind =
  | 'offline'
  | 'unreachable'
  | 'cors'
  | 'mixed_content'
  | 'blocked_by_page'
  | 'bad_address'
  | 'wrong_address'
  | 'key_missing'
  | 'key_rejected'
  | 'key_forbidden'
  | 'model_not_found'
  | 'model_has_no_vision'
  | 'model_for_other_work'
  | 'picture_unsupported'
  | 'picture_damaged'
  | 'picture_too_large'
  | 'pictures_too_many'
  | 'picture_elsewhere'
  | 'content_unsupported'
  | 'field_refused'
  | 'context_full'
  | 'too_large'
  | 'rate_limited'
  | 'unavailable'
  | 'timed_out'
  | 'bad_request'
  | 'broken'
  | 'unexpected_answer'
  | 'cut'
  | 'stream_error'

export interface Failure {
  kind: FailureKind
  status?: number
  code?: string
  /** Public text of the gateway or engine. */
  message?: string
  requestId?: string
  /** Seconds until a new try makes sense; absent when the server asks for none. */
  retryAfterS?: number
}

/** The failure a person can act on, carried by an exception. */
export class ApiError extends Error {
  override name = 'ApiError'
  readonly failure: Failure

  constructor(failure: Failure, options?: ErrorOptions) {
    super(failure.message ?? failure.kind, options)
    this.failure = failure
  }
}

/** Maps an HTTP refusal to a failure; `headers` are those that CORS lets the page read. */
export function classifyRefusal(status: number, headers: Headers, bodyText: string): Failure {
  const body = readErrorBody(parseJson(bodyText))
  const failure: Failure = { kind: refusalKind(status, body), status }
  if (body?.code !== undefined) failure.code = body.code
  if (body?.message !== undefined) failure.message = body.message
  const requestId = headers.get('x-request-id')
  if (requestId !== null) failure.requestId = requestId
  const retryAfterS = readRetryAfterS(headers)
  if (retryAfterS !== undefined && (status === 429 || status === 503)) failure.retryAfterS = retryAfterS
  return failure
}

/** Maps an error event inside a stream; the part of the answer before it stays. */
export function classifyStreamError(error: ErrorBody): Failure {
  const failure: Failure = { kind: 'stream_error' }
  if (error.code !== undefined) failure.code = error.code
  if (error.message !== undefined) failure.message = error.message
  return failure
}

/** Codes of refusals that a person can do something about, beyond what their status says. */
const kindByCode: Readonly<Record<string, FailureKind>> = {
  model_has_no_vision: 'model_has_no_vision',
  wrong_task: 'model_for_other_work',
  unsupported_picture: 'picture_unsupported',
  bad_picture: 'picture_damaged',
  picture_too_large: 'picture_too_large',
  too_many_pictures: 'pictures_too_many',
  remote_picture: 'picture_elsewhere',
  unsupported_content: 'content_unsupported',
  forbidden_field: 'field_refused',
  unknown_field: 'field_refused',
  context_length_exceeded: 'context_full',
}

function refusalKind(status: number, body: ErrorBody | undefined): FailureKind {
  if (status === 401) return 'key_rejected'
  if (status === 403) return 'key_forbidden'
  if (status === 404)
    return body?.code === 'model_not_found' || body?.param === 'model' ? 'model_not_found' : 'wrong_address'
  if (status === 405) return 'wrong_address'
  if (status === 413) return 'too_large'
  if (status === 429) return 'rate_limited'
  if (status === 503) return 'unavailable'
  if (status === 408 || status === 504) return 'timed_out'
  if (status >= 500) return 'broken'
  const code = body?.code ?? ''
  if (Object.hasOwn(kindByCode, code)) return kindByCode[code] ?? 'bad_request'
  return isContextFull(body) ? 'context_full' : 'bad_request'
}

// Engines without a code of their own say it in words: vLLM "maximum context length", llama.cpp "exceeds the available context size".
function isContextFull(body: ErrorBody | undefined): boolean {
  return /context (length|size)/i.test(body?.message ?? '')
}

function readRetryAfterS(headers: Headers): number | undefined {
  if (headers.get('x-should-retry') === 'false') return undefined
  const value = headers.get('retry-after')
  if (value === null || !/^\d{1,6}$/.test(value)) return undefined
  return Number(value)
}
