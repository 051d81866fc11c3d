/** What one code means to a caller: status, OpenAI's error type, and whether trying again later can help. */
interface ErrorRow {
  readonly status: number
  readonly type: 'invalid_request_error' | 'authentication_error' | 'rate_limit_error' | 'server_error'
  /** Seconds a caller should wait before the next try (at most 60); absent where trying again cannot help. */
  readonly retryAfterS?: number
  /** Public text. Never names a host, an address or a cause of the inside. */
  readonly text: string
  /** What the operator does about it; only logged. Codes of the road have one, since their cause is not in the request. */
  readonly fix?: string
}

/** The one table of errors. Each code has its entry in docs/failure-modes.md; a test holds the two together. */
export const errorTable = {
  invalid_request: { status: 400, type: 'invalid_request_error', text: 'The request is not valid.' },
  invalid_json: { status: 400, type: 'invalid_request_error', text: 'The body is not valid JSON.' },
  malformed_request: {
    status: 400,
    type: 'invalid_request_error',
    text: 'The bytes of the request are no valid HTTP.',
  },
  bad_request_line: {
    status: 400,
    type: 'invalid_request_error',
    text: 'The first line of the request is not accepted.',
  },
  bad_header: { status: 400, type: 'invalid_request_error', text: 'A header of the request is not accepted.' },
  forbidden_field: {
    status: 400,
    type: 'invalid_request_error',
    text: 'A field of the request may not be set through this gateway.',
  },
  unknown_field: {
    status: 400,
    type: 'invalid_request_error',
    text: 'The request has fields that are not known here, and this key wants none dropped.',
  },
  remote_picture: {
    status: 400,
    type: 'invalid_request_error',
    text: 'Pictures are not fetched from elsewhere. Send the picture itself: {"type":"image_url","image_url":{"url":"data:image/png;base64,…"}}, where … is the file in base64.',
  },
  unsupported_content: {
    status: 400,
    type: 'invalid_request_error',
    text: 'Messages may hold texts and pictures only.',
  },
  model_has_no_vision: {
    status: 400,
    type: 'invalid_request_error',
    text: 'This model reads no pictures. Send text only, or ask the owner for a model with vision (npm start -- --engine URL, or --model FILE --mmproj FILE).',
  },
  wrong_task: {
    status: 400,
    type: 'invalid_request_error',
    text: 'This model does other work than this route asks for.',
  },
  unsupported_picture: {
    status: 400,
    type: 'invalid_request_error',
    text: 'A picture of the request is of a kind that is not read here. Send a still PNG, JPEG or WebP as a data: URL.',
  },
  bad_picture: { status: 400, type: 'invalid_request_error', text: 'A picture of the request is damaged.' },
  picture_too_large: { status: 400, type: 'invalid_request_error', text: 'A picture of the request is too large.' },
  too_many_pictures: { status: 400, type: 'invalid_request_error', text: 'The request holds too many pictures.' },
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
  head_timeout: { status: 408, type: 'invalid_request_error', text: 'The head of the request arrived too slowly.' },
  body_timeout: { status: 408, type: 'invalid_request_error', text: 'The body of the request arrived too slowly.' },
  body_too_large: { status: 413, type: 'invalid_request_error', text: 'The body of the request is too large.' },
  encoded_body: {
    status: 415,
    type: 'invalid_request_error',
    text: 'Compressed bodies are not read here. Send the body without Content-Encoding.',
  },
  expectation_failed: {
    status: 417,
    type: 'invalid_request_error',
    text: 'The only expectation that is met here is "100-continue".',
  },
  too_many_headers: {
    status: 431,
    type: 'invalid_request_error',
    text: 'The headers of the request are too many or too large.',
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
  engine_key_refused: {
    status: 502,
    type: 'server_error',
    text: 'The engine does not accept this gateway.',
    fix: 'Set HEARTH_ENGINE_API_KEY to the key that the engine was started with.',
  },
  engine_died: {
    status: 502,
    type: 'server_error',
    text: 'The engine stopped before the answer was complete. What arrived is a part of it.',
  },
  engine_bad_answer: { status: 502, type: 'server_error', text: 'The engine gave an answer that cannot be passed on.' },
  answer_too_large: {
    status: 502,
    type: 'server_error',
    text: 'The answer of the engine is longer than this gateway passes on. What arrived is a part of it.',
  },
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
    fix: 'Start the ingress at home, on the port that MESH_UPSTREAMS names.',
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
    fix: 'Start meshlink; MESH_ADDR and HEARTH_MESH_ADDR must be the same address.',
  },
  mesh_not_ready: {
    status: 503,
    type: 'server_error',
    retryAfterS: 3,
    text: 'The mesh is still starting. Try again in a moment.',
    fix: 'Wait; if it stays so, read /v1/status of the sidecar.',
  },
  mesh_frozen: {
    status: 503,
    type: 'server_error',
    retryAfterS: 2,
    text: 'The mesh slept and is finding its way home again. Try again in a moment.',
    fix: 'Keep the CPU allocated between requests; without that it passes by itself within seconds.',
  },
  mesh_tunnels_full: {
    status: 503,
    type: 'server_error',
    retryAfterS: 3,
    text: 'All tunnels of the mesh are in use. Try again in a moment.',
    fix: 'Raise MESH_MAX_TUNNELS, or lower capacity in hearth.yaml.',
  },
  mesh_draining: {
    status: 503,
    type: 'server_error',
    retryAfterS: 2,
    text: 'The mesh sidecar is shutting down.',
    fix: 'Nothing during a deployment; else look who stopped the sidecar.',
  },
  mesh_auth_missing_key: {
    status: 503,
    type: 'server_error',
    retryAfterS: 60,
    text: 'The gateway has no key to join the mesh.',
    fix: 'Set TS_AUTHKEY_FILE or TS_AUTHKEY to a reusable, ephemeral auth key.',
  },
  mesh_auth_invalid_key: {
    status: 503,
    type: 'server_error',
    retryAfterS: 60,
    text: 'The mesh refused the key of this gateway.',
    fix: 'Make a new auth key and replace the old one.',
  },
  mesh_auth_expired: {
    status: 503,
    type: 'server_error',
    retryAfterS: 60,
    text: 'The mesh key of this gateway has expired.',
    fix: 'Make a new auth key and replace the old one.',
  },
  mesh_tag_not_permitted: {
    status: 503,
    type: 'server_error',
    retryAfterS: 60,
    text: 'The mesh did not permit this gateway its place.',
    fix: 'Let the key or the OAuth client own the tags of TS_TAGS; with keys of headscale leave TS_TAGS empty.',
  },
  mesh_needs_approval: {
    status: 503,
    type: 'server_error',
    retryAfterS: 60,
    text: 'This gateway waits to be approved in the mesh.',
    fix: 'Approve the device, or use a pre-approved auth key.',
  },
  mesh_control_unreachable: {
    status: 503,
    type: 'server_error',
    retryAfterS: 15,
    text: 'The control plane of the mesh cannot be reached.',
    fix: 'Check TS_CONTROL_URL and the way out to the internet.',
  },
  mesh_control_busy: {
    status: 503,
    type: 'server_error',
    retryAfterS: 15,
    text: 'The control plane of the mesh asks to wait.',
    fix: 'Nothing if it passes; else look for instances that start over and over.',
  },
  mesh_peer_missing: {
    status: 503,
    type: 'server_error',
    retryAfterS: 15,
    text: 'The home is not in the mesh at the moment.',
    fix: 'Start the home node; check its tag or name and the access rules.',
  },
  mesh_peer_offline: {
    status: 503,
    type: 'server_error',
    retryAfterS: 15,
    text: 'The home is offline.',
    fix: 'Start the home node or its network.',
  },
  mesh_derp_unreachable: {
    status: 503,
    type: 'server_error',
    retryAfterS: 15,
    text: 'The home cannot be reached: there is no direct way and no relay.',
    fix: 'Let TCP 443 out to the relays, or open a direct way (UDP 41641 or IPv6 at home).',
  },
  mesh_dial_timeout: {
    status: 504,
    type: 'server_error',
    retryAfterS: 5,
    text: 'The home did not answer through the mesh in time.',
    fix: 'Look whether the home node runs and reaches the internet.',
  },
  mesh_acl_timeout: {
    status: 504,
    type: 'server_error',
    text: 'The home is there, but does not let this gateway in.',
    fix: 'Grant tag:gateway the port in the access rules; look at the firewall at home.',
  },
  mesh_peer_lost: {
    status: 502,
    type: 'server_error',
    text: 'The home went away while it worked on this request.',
    fix: 'Look whether the home node or its network went down at that time.',
  },
  mesh_blackhole: {
    status: 504,
    type: 'server_error',
    text: 'Large packets get lost on the way to the home.',
    fix: 'Set MESH_MTU to what /v1/status of the sidecar recommends, and the same at home.',
  },
  mesh_refused: {
    status: 502,
    type: 'server_error',
    text: 'The home refused the connection.',
    fix: 'Start the ingress on the port that MESH_UPSTREAMS names.',
  },
  mesh_unknown_upstream: {
    status: 502,
    type: 'server_error',
    text: 'The mesh sidecar does not know this engine.',
    fix: 'Make via: mesh:NAME in hearth.yaml and MESH_UPSTREAMS agree.',
  },
  mesh_bad_request: {
    status: 502,
    type: 'server_error',
    text: 'The gateway and its mesh sidecar do not understand each other.',
    fix: 'Run gateway and meshlink of the same version; HEARTH_MESH_ADDR must be meshlink.',
  },
  mesh_early_bytes: {
    status: 502,
    type: 'server_error',
    text: 'The mesh sidecar broke its protocol.',
    fix: 'Check the port in MESH_UPSTREAMS: what listens there is no HTTP server.',
  },
  mesh_unknown: {
    status: 502,
    type: 'server_error',
    text: 'The mesh failed for a reason that has no name yet.',
    fix: 'Read the detail, and report it so that it gets a name.',
  },
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

/** What the operator does about a failure, where its cause is not in the request. */
export function fixOf(code: ErrorCode): string | undefined {
  const row: ErrorRow = errorTable[code]
  return row.fix
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

const noJson = ' is not valid JSON'

/** What an error says, without the piece of its input that V8 and Node quote in their messages. */
export function wordsOf({ message }: Error): string {
  if (message.endsWith(noJson)) return `${message.slice(0, message.indexOf("', ") + 1)}${noJson}`.trimStart()
  const received = message.indexOf('. Received ')
  return received < 0 ? message : message.slice(0, received)
}

/** A thrown value in one line for the operator, causes included. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = `${error.name}: ${wordsOf(error)}`
  return error.cause === undefined ? own : `${own} ← ${describe(error.cause)}`
}
