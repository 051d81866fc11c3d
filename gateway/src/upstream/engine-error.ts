import { type ErrorCode, HearthError } from '../errors.ts'

/** An answer of an engine, or of the ingress before it, that is an error. */
export interface EngineFailure {
  readonly status: number
  readonly contentType: string
  /** The begin of its body. */
  readonly body: Buffer
}

/** An error body longer than this is cut: engines echo what they were sent. */
export const errorBodyBytesMax = 64 * 1024
const messageCharsMax = 2048
/** How engines say that the conversation is too long; the wording differs between their versions. */
const contextWords =
  /maximum context length|(exceeds? the|longer than the) (available|maximum|model's).{0,80}?(context|length)|^Input length/i

/** What belongs to the inside: addresses, names of the home, places in a program. No caller needs them. */
const inner =
  /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])|::[\da-f]|\.(?:ts\.net|local|internal|svc)\b|Traceback|\bFile "|\bat \/|\/site-packages\/|node_modules/i
/** The name of a field, as engines write it. */
const paramName = /^[\w.[\]-]{1,128}$/

/** Words of a failing engine that the log keeps: enough to search for. */
const logCharsMax = 200

/**
 * An engine's error in our shape. What the caller did wrong keeps the engine's words for the caller (without long runs
 * of base64) and not for the log, since engines echo what they were sent; what went wrong inside is told the other
 * way round.
 */
export function fromEngine(failure: EngineFailure): HearthError {
  const said = readError(failure)
  const code = codeFor(failure, said?.message ?? '')
  const answered = `The engine answered ${failure.status}`
  if (code !== 'invalid_request' && code !== 'context_length_exceeded') {
    const words = tidy(said?.message ?? failure.body.toString('utf8')).slice(0, logCharsMax)
    return new HearthError(code, { source: 'engine', detail: `${answered}: ${words}` })
  }
  const detail = `${answered} with ${failure.body.length} bytes`
  if (said === undefined || inner.test(said.message)) return new HearthError(code, { source: 'engine', detail })
  return new HearthError(code, { source: 'engine', detail, message: tidy(said.message), param: said.param })
}

function codeFor({ status, contentType }: EngineFailure, message: string): ErrorCode {
  const spokenByIngress = !/json/i.test(contentType)
  if (status === 400 || status === 413 || status === 422) {
    return contextWords.test(message) ? 'context_length_exceeded' : 'invalid_request'
  }
  if (status === 429 || (status === 503 && /busy/i.test(message))) return 'queue_full'
  if (spokenByIngress && (status === 404 || status === 502 || status === 503 || status === 504))
    return 'engine_unreachable'
  return status === 503 ? 'engine_unreachable' : 'engine_error'
}

/** The words of an error body: OpenAI's object, vLLM's `{"error":"text"}`, FastAPI's `{"detail":"text"}`. */
function readError({ body }: EngineFailure): { message: string; param: string | undefined } | undefined {
  let document: unknown
  try {
    document = JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
  const error = field(document, 'error') ?? field(document, 'detail') ?? document
  const message = typeof error === 'string' ? error : (field(error, 'message') ?? joinDetails(error))
  const param = field(error, 'param')
  if (typeof message !== 'string') return undefined
  return { message, param: typeof param === 'string' && paramName.test(param) ? param : undefined }
}

/** FastAPI's list of what is wrong, without the values it echoes. */
function joinDetails(detail: unknown): string | undefined {
  if (!Array.isArray(detail) || detail.length === 0) return undefined
  return detail
    .map((item) => `${[field(item, 'loc')].flat().map(word).join('.')}: ${word(field(item, 'msg'))}`)
    .join('; ')
}

/** A text or a number; what is neither could be nested without end, or bring its own way to become a text. */
function word(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '…'
}

function field(value: unknown, key: string): unknown {
  return value !== null && typeof value === 'object' ? Reflect.get(value, key) : undefined
}

/** Without long runs of base64, and without the salt that the gateway put into the body: engines echo both. */
function tidy(message: string): string {
  return message
    .replace(/[A-Za-z0-9+/=]+/g, (run) => (run.length < 200 ? run : '…'))
    .replace(/\b[0-9a-f]{64}\b/g, '…')
    .slice(0, messageCharsMax)
}
