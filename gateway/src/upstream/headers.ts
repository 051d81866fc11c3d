/** What an engine is told; nothing of the caller's own headers passes. */
export interface EngineHeaders {
  readonly requestId: string
  readonly engineApiKey: string | undefined
  readonly bodyBytes: number
  readonly stream: boolean
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
  return headers
}

type IncomingHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** The names of an engine's answer that reach the caller; all others stay inside. */
const answerAllowed = ['content-type', 'content-length'] as const

/** The headers of an engine's answer that may pass. */
export function callerAnswerHeaders(headers: IncomingHeaders): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const name of answerAllowed) {
    const value = headers[name]
    if (typeof value === 'string') passed[name] = value
  }
  return passed
}

/** Whether the answer is an event stream. */
export function isEventStream(headers: IncomingHeaders): boolean {
  const type = headers['content-type']
  return typeof type === 'string' && /^text\/event-stream\b/i.test(type)
}

/** Whether the answer is compressed, though it was asked for plainly. */
export function isEncoded(headers: IncomingHeaders): boolean {
  const encoding = headers['content-encoding']
  return encoding !== undefined && encoding !== 'identity'
}
