import { HearthError } from '../errors.ts'

/** How far an attempt had come when its transport failed. */
export interface AttemptState {
  /** Whether the head of the answer was there. */
  readonly answered: boolean
  /** Whether the engine stands behind the mesh and its ingress. */
  readonly viaMesh: boolean
}

const notReached = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
])
const cutOff = new Set([
  'UND_ERR_SOCKET',
  'ECONNRESET',
  'EPIPE',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_CLOSED',
  'UND_ERR_DESTROYED',
])

/** What TLS fails with once the handshake is over; before, mesh/tls.ts names it (a refused client speaks only then). */
const tlsBroke = /^(ERR_TLS|ERR_SSL|EPROTO)/

/** The one place where a failure of the transport becomes a code; judged by `error.code`, never by its text. */
export function classify(error: unknown, state: AttemptState): HearthError {
  if (error instanceof HearthError) return error
  const code = codeOf(error)
  const details = { cause: error, detail: `${code}${state.answered ? ' after the head of the answer' : ''}` }
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return new HearthError('engine_timeout', details)
  if (code === 'UND_ERR_BODY_TIMEOUT') return new HearthError('engine_stalled', details)
  if (!state.answered && notReached.has(code)) return new HearthError('engine_unreachable', details)
  if (tlsBroke.test(code)) return new HearthError(state.answered ? 'engine_died' : 'engine_tls_failed', details)
  // Before the head is whole, a length that does not fit is one of two framings.
  const isNonsense = isParserError(code) || code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'
  if (code === 'UND_ERR_HEADERS_OVERFLOW' || (isNonsense && !state.answered))
    return new HearthError('engine_bad_answer', details)
  // In the middle of an answer undici's parser does not tell a connection that ended from bytes that make no sense.
  if (!cutOff.has(code) && !notReached.has(code) && !isParserError(code))
    return new HearthError('internal_error', details)
  // A tunnel that opens and then closes without a word: the home took it, but its ingress is not there.
  return new HearthError(!state.answered && state.viaMesh ? 'ingress_down' : 'engine_died', details)
}

/** undici's parser complains, or asserts: an answer with the status 000 is one that it never thought of. */
function isParserError(code: string): boolean {
  return code.startsWith('HPE_') || code === 'HTTPParserError' || code === 'ERR_ASSERTION'
}

/** undici names an answer that is no HTTP by its class alone. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'string' ? code : error.name
}
