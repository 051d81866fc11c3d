/** What one code means to a caller: status, OpenAI's error type, and whether trying again later can help. */
interface ErrorRow {
  readonly status: number
  readonly type: 'invalid_request_error' | 'authentication_error' | 'rate_limit_error' | 'server_error'
  /** Seconds a caller should wait before the next try (at most 60); absent where trying again cannot help. */
  readonly retryAfterS?: number
  /** Public text. Never names a host, an address or a cause of the inside. */
  readonly text: string
}

/** The one table of errors. Each code has its entry in docs/failure-modes.md; a test holds the two together. */
export const errorTable = {
  invalid_request: { status: 400, type: 'invalid_request_error', text: 'The request is not valid.' },
  invalid_json: { status: 400, type: 'invalid_request_error', text: 'The body is not valid JSON.' },
  model_has_no_vision: {
    status: 400,
    type: 'invalid_request_error',
    text: 'This model reads no pictures. Send text only, or ask the owner for a model with vision (npm start -- --engine URL, or --model FILE --mmproj FILE).',
  },
  context_length_exceeded: {
    status: 400,
    type: 'invalid_request_error',
    text: 'The conversation and the answer together are longer than the model can read.',
  },
  missing_api_key: {
    status: 401,
    type: 'authentication_error',
    text: 'No API key was sent. Put it in the header "Authorization: Bearer hk_…".',
  },
  invalid_api_key: {
    status: 401,
    type: 'authentication_error',
    text: 'This API key is not valid: it is unknown, revoked, expired or mistyped.',
  },
  unknown_route: { status: 404, type: 'invalid_request_error', text: 'There is no such route.' },
  model_not_found: { status: 404, type: 'invalid_request_error', text: 'There is no such model for this key.' },
  method_not_allowed: {
    status: 405,
    type: 'invalid_request_error',
    text: 'This route does not answer that method; the header "allow" names the ones it does.',
  },
  body_timeout: { status: 408, type: 'invalid_request_error', text: 'The body of the request arrived too slowly.' },
  body_too_large: { status: 413, type: 'invalid_request_error', text: 'The body of the request is too large.' },
  encoded_body: {
    status: 415,
    type: 'invalid_request_error',
    text: 'Compressed bodies are not read here. Send the body without Content-Encoding.',
  },
  queue_full: {
    status: 429,
    type: 'rate_limit_error',
    retryAfterS: 5,
    text: 'The line to the GPU is full. Try again in a moment.',
  },
  client_gone: { status: 499, type: 'invalid_request_error', text: 'The caller left before the answer was complete.' },
  internal_error: { status: 500, type: 'server_error', text: 'The gateway made a mistake. It was logged.' },
  engine_error: { status: 502, type: 'server_error', text: 'The engine failed while it worked on this request.' },
  engine_died: {
    status: 502,
    type: 'server_error',
    text: 'The engine stopped before the answer was complete. What arrived is a part of it.',
  },
  engine_bad_answer: { status: 502, type: 'server_error', text: 'The engine gave an answer that cannot be passed on.' },
  engine_tls_untrusted: {
    status: 502,
    type: 'server_error',
    text: 'The engine did not prove who it is: its certificate is not to be trusted.',
  },
  engine_tls_failed: {
    status: 502,
    type: 'server_error',
    text: 'The gateway and the engine could not open an encrypted connection.',
  },
  engine_unreachable: {
    status: 503,
    type: 'server_error',
    retryAfterS: 5,
    text: 'The engine cannot be reached at the moment.',
  },
  ingress_down: {
    status: 503,
    type: 'server_error',
    retryAfterS: 5,
    text: 'The road to the home is open, but nothing answers at its end.',
  },
  queue_timeout: {
    status: 503,
    type: 'server_error',
    retryAfterS: 10,
    text: 'The request waited too long in the line to the GPU.',
  },
  body_budget: {
    status: 503,
    type: 'server_error',
    retryAfterS: 2,
    text: 'Too many large requests are in flight. Try again in a moment.',
  },
  draining: {
    status: 503,
    type: 'server_error',
    retryAfterS: 2,
    text: 'This instance is shutting down. Try again: another one answers.',
  },
  engine_timeout: { status: 504, type: 'server_error', text: 'The engine did not begin its answer in time.' },
  engine_stalled: { status: 504, type: 'server_error', text: 'The engine fell silent in the middle of its answer.' },
  deadline_exceeded: { status: 504, type: 'server_error', text: 'The answer took longer than a request may take.' },
  mesh_sidecar_down: {
    status: 503,
    type: 'server_error',
    retryAfterS: 5,
    text: 'The mesh sidecar of this gateway does not answer.',
  },
  mesh_not_ready: {
    status: 503,
    type: 'server_error',
    retryAfterS: 3,
    text: 'The mesh is still starting. Try again in a moment.',
  },
  mesh_auth_missing_key: {
    status: 503,
    type: 'server_error',
    retryAfterS: 60,
    text: 'The gateway has no key to join the mesh.',
  },
  mesh_auth_invalid_key: {
    status: 503,
    type: 'server_error',
    retryAfterS: 60,
    text: 'The mesh refused the key of this gateway.',
  },
  mesh_auth_expired: {
    status: 503,
    type: 'server_error',
    retryAfterS: 60,
    text: 'The mesh key of this gateway has expired.',
  },
  mesh_needs_approval: {
    status: 503,
    type: 'server_error',
    retryAfterS: 60,
    text: 'This gateway waits to be approved in the mesh.',
  },
  mesh_control_unreachable: {
    status: 503,
    type: 'server_error',
    retryAfterS: 15,
    text: 'The control plane of the mesh cannot be reached.',
  },
  mesh_peer_missing: {
    status: 503,
    type: 'server_error',
    retryAfterS: 15,
    text: 'The home is not in the mesh at the moment.',
  },
  mesh_peer_offline: { status: 503, type: 'server_error', retryAfterS: 15, text: 'The home is offline.' },
  mesh_draining: { status: 503, type: 'server_error', retryAfterS: 2, text: 'The mesh sidecar is shutting down.' },
  mesh_dial_timeout: {
    status: 504,
    type: 'server_error',
    retryAfterS: 5,
    text: 'The home did not answer through the mesh in time.',
  },
  mesh_refused: { status: 502, type: 'server_error', text: 'The home refused the connection.' },
  mesh_unknown_upstream: { status: 502, type: 'server_error', text: 'The mesh sidecar does not know this engine.' },
  mesh_early_bytes: { status: 502, type: 'server_error', text: 'The mesh sidecar broke its protocol.' },
  mesh_unknown: { status: 502, type: 'server_error', text: 'The mesh failed for a reason that has no name yet.' },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof errorTable

export interface ErrorDetails {
  /** Public text instead of the table's; must name nothing of the inside. */
  readonly message?: string | undefined
  /** The field of the request that is wrong. */
  readonly param?: string | undefined
  /** Who made the error: the header x-hearth-error-source carries it. */
  readonly source?: 'gateway' | 'engine' | undefined
  /** For the operator's log only, never sent: what happened and how to mend it. */
  readonly detail?: string | undefined
  readonly cause?: unknown
}

/** Every failure that a caller can see. Thrown anywhere, rendered once. */
export class HearthError extends Error {
  override readonly name = 'HearthError'
  readonly code: ErrorCode
  readonly param: string | undefined
  readonly source: 'gateway' | 'engine'
  readonly detail: string | undefined

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    super(details.message ?? errorTable[code].text, { cause: details.cause })
    this.code = code
    this.param = details.param
    this.source = details.source ?? 'gateway'
    this.detail = details.detail
  }

  get status(): number {
    return errorTable[this.code].status
  }
}

/** Whether `code` (as a sidecar wrote it) is one of ours. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorTable, code)
}

/** Any thrown value as a HearthError; what is not one already is a bug of ours and becomes `internal_error`. */
export function toHearthError(error: unknown): HearthError {
  if (error instanceof HearthError) return error
  return new HearthError('internal_error', { cause: error, detail: describe(error) })
}

/** The one shape of an error body: `{"error":{"message","type","param","code"}}` as JSON text. */
export function errorBody(error: HearthError): string {
  const { type } = errorTable[error.code]
  return JSON.stringify({ error: { message: error.message, type, param: error.param ?? null, code: error.code } })
}

/** Headers that belong to an error answer: who made it, and when to try again (429 and 503 always say). */
export function errorHeaders(error: HearthError): Record<string, string> {
  const row: ErrorRow = errorTable[error.code]
  const headers: Record<string, string> = {
    'content-type': 'application/json; charset=utf-8',
    'x-hearth-error-source': error.source,
  }
  if (row.retryAfterS !== undefined) headers['retry-after'] = String(row.retryAfterS)
  // SDKs repeat a 408 by themselves too, and would upload the same large body over the same thin line.
  else if (row.status >= 500 || row.status === 408) headers['x-should-retry'] = 'false'
  return headers
}

/** The one SSE event that ends a stream which cannot be finished; no `[DONE]` follows it. */
export function errorEvent(error: HearthError): string {
  return `event: error\ndata: ${errorBody(error)}\n\n`
}

/** A thrown value in one line for the operator, causes included. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = `${error.name}: ${error.message}`
  return error.cause === undefined ? own : `${own} ← ${describe(error.cause)}`
}
