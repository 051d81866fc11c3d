import { boundFields, boundText } from './log/bounds.ts'

/** Severities as Cloud Logging names them. */
export type Severity = 'DEBUG' | 'INFO' | 'NOTICE' | 'WARNING' | 'ERROR' | 'CRITICAL'

/** Values a record may carry: numbers, short texts, flags. Never a prompt, a picture, an answer or a key. */
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>

/** One HTTP exchange in Cloud Logging's words. */
export interface HttpRequest {
  readonly requestMethod: string | undefined
  /** A path of ours or the shape of a strange one; never a query. */
  readonly requestUrl: string | undefined
  readonly requestSize: string | undefined
  readonly status: number
  readonly responseSize: string | undefined
  /** The kind of client, in our own words. */
  readonly userAgent: string | undefined
  /** As `1.234s`. */
  readonly latency: string
  readonly protocol: string | undefined
}

/** The trace that a record belongs to. */
export interface TraceIds {
  readonly traceId: string
  readonly spanId: string
  readonly sampled: boolean
}

/** What a record says of the request that it is about. */
export interface LogContext {
  readonly httpRequest?: HttpRequest
  readonly trace?: TraceIds
}

export type Log = (severity: Severity, message: string, fields?: Fields, context?: LogContext) => void

/** One record, its texts within their bounds. */
export interface LogRecord extends LogContext {
  readonly severity: Severity
  readonly time: Date
  readonly message: string
  readonly fields: Readonly<Record<string, string | number | boolean>>
}

/** Writes one record as one line, without its end. */
export type Render = (record: LogRecord) => string

/** Writes one record a line, in the form of `render`. */
export function createLog(render: Render, write: (line: string) => void, now: () => Date): Log {
  return (severity, message, fields = {}, context = {}) =>
    write(
      `${render({ ...context, severity, time: now(), message: boundText(message), fields: boundFields(fields) })}\n`,
    )
}

/**
 * Joins the lines of one turn of the event loop into one write, which under load saves a system call per request.
 * `flush` writes what is left, at once; call it before the process ends.
 */
export function joinLines(write: (text: string) => void): { write(line: string): void; flush(): void } {
  let waiting = ''
  const flush = () => {
    const text = waiting
    waiting = ''
    if (text !== '') write(text)
  }
  return {
    write: (line) => {
      if (waiting === '') setImmediate(flush)
      waiting += line
    },
    flush,
  }
}
