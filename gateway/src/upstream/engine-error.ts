import { type ErrorCode, HearthError } from '../errors.ts'
import { hintsOf } from './engine-hints.ts'
import { type EngineWords, isInner, readWords, tidy } from './engine-words.ts'
import type { ModelNames } from './shaper.ts'

/** An answer of an engine, or of the ingress before it, that is an error. */
export interface EngineFailure {
  readonly status: number
  readonly contentType: string
  /** The begin of its body. */
  readonly body: Buffer
}

/** An error body longer than this is cut: engines echo what they were sent. */
export const errorBodyBytesMax = 64 * 1024
const lineEnd = /\r\n|\r|\n/
/** How engines say that their own line is full. */
const queueWords = /\bbusy\b|queue is full/i

/**
 * An engine's error in our shape. What the caller did wrong keeps the engine's words for the caller, without what it
 * echoes of the request; of what went wrong inside no caller reads a word. The log has its status, its length and what it
 * is about, in words of ours.
 */
export function fromEngine(failure: EngineFailure, names?: ModelNames): HearthError {
  const said = readWords(failure.body)
  const code = codeFor(failure, said)
  const detail = `The engine answered ${failure.status} with ${failure.body.length} bytes`
  if (code !== 'invalid_request' && code !== 'context_length_exceeded') {
    const hints = hintsOf(said?.message ?? failure.body.toString('utf8'))
    return new HearthError(code, { source: 'engine', detail: detail + hints })
  }
  const message = said === undefined ? '' : tidy(said.message, names)
  if (said === undefined || message === '' || isInner(said.message))
    return new HearthError(code, { source: 'engine', detail })
  return new HearthError(code, { source: 'engine', detail, message, param: said.param })
}

/**
 * The error event that an engine wrote into its own stream, in our shape: the same words with the same status would
 * have become the same code.
 */
export function fromErrorEvent(event: Buffer, names?: ModelNames): HearthError {
  const text = event.toString('utf8', 0, errorBodyBytesMax)
  const data = text.split(lineEnd).flatMap(dataOf).join('\n')
  const body = Buffer.from(data)
  const error = fromEngine({ status: readWords(body)?.status ?? 500, contentType: 'application/json', body }, names)
  const detail = error.detail?.replace('The engine answered', 'The engine reported in its stream')
  return new HearthError(error.code, { source: 'engine', detail, message: error.message, param: error.param })
}

/** Older versions of llama.cpp call the field of an error `error`. */
function dataOf(line: string): string[] {
  const colon = line.indexOf(':')
  return line.startsWith('data:') || line.startsWith('error:') ? [line.slice(colon + 1)] : []
}

function codeFor({ status, contentType }: EngineFailure, said: EngineWords | undefined): ErrorCode {
  if (status === 401 || status === 403) return 'engine_key_refused'
  if (status === 400 || status === 413 || status === 422) {
    return said?.tooLong === true ? 'context_length_exceeded' : 'invalid_request'
  }
  if (status === 429 || (status === 503 && queueWords.test(said?.message ?? ''))) return 'queue_full'
  const spokenByIngress = !/json/i.test(contentType)
  if (spokenByIngress && (status === 404 || status === 502 || status === 503 || status === 504))
    return 'engine_unreachable'
  return status === 503 ? 'engine_unreachable' : 'engine_error'
}
