/** What an engine is told; nothing of the caller's own headers passes. */
export interface EngineHeaders {
  readonly requestId: string
  readonly engineApiKey: string | undefined
  readonly bodyBytes: number
  readonly stream: boolean
  /** The trace that the request belongs to, in W3C's words: made by us, checked where a caller brought it. */
  readonly traceparent: string | undefined
  readonly tracestate: string | undefined
}

/** Headers of a request to an engine, built anew from constants. `Host` comes from the engine's url. */
export function engineRequestHeaders(from: EngineHeaders): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'content-length': String(from.bodyBytes),
    accept: from.stream ? 'text/event-stream' : 'application/json',
    // Without it Traefik asks the engine for gzip, decompresses, and drops the length of the answer.
    'accept-encoding': 'identity',
    'x-request-id': from.requestId,
  }
  if (from.engineApiKey !== undefined) headers['authorization'] = `Bearer ${from.engineApiKey}`
  if (from.traceparent !== undefined) headers['traceparent'] = from.traceparent
  if (from.tracestate !== undefined) headers['tracestate'] = from.tracestate
  return headers
}

type IncomingHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

const eventsType = /^text\/event-stream(?=[;\s]|$)/i
const jsonType = /^application\/json(?=[;\s]|$)/i

/** The head of a stream to its caller; the second line is for proxies that would collect it. */
export const streamHeaders = { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' }
/** The head of a plain answer to its caller, in our own words as well: no header of an engine passes. */
export const plainHeaders = { 'content-type': 'application/json' }

/** Whether the answer is an event stream. */
export function isEventStream(headers: IncomingHeaders): boolean {
  const type = headers['content-type']
  return typeof type === 'string' && eventsType.test(type)
}

/**
 * Why an engine's answer cannot be passed on, in words for the log; undefined where it can. What is compressed is never
 * opened, what points elsewhere never followed, and an answer whose end two readers could see in two places is none.
 */
export function problemOfHead(status: number, headers: IncomingHeaders): string | undefined {
  if (status >= 300 && status < 400) return `a redirect (${status})`
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') return 'a compressed body'
  const framing = problemOfFraming(headers)
  if (framing !== undefined || status >= 400) return framing
  if (status !== 200) return `the status ${status}`
  if (isEventStream(headers)) return undefined
  const type = headers['content-type']
  // A body may end with its connection: whether it is whole, its own text says.
  return typeof type === 'string' && jsonType.test(type) ? undefined : 'a type that is neither JSON nor an event stream'
}

function problemOfFraming(headers: IncomingHeaders): string | undefined {
  const coding = headers['transfer-encoding']
  const length = headers['content-length']
  if (coding !== undefined && String(coding).toLowerCase() !== 'chunked')
    return 'a transfer coding that is not "chunked"'
  if (coding !== undefined && length !== undefined) return 'two framings'
  return length === undefined || /^\d{1,15}$/.test(String(length)) ? undefined : 'a length that is no number'
}
