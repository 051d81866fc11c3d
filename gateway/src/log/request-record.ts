import type { Fields, Log, Severity, TraceIds } from '../log.ts'
import { clientOf } from './client.ts'
import { type RequestField, requestFields } from './request-fields.data.ts'

/** What is noted about a request on its way. */
export type RequestNotes = { [Name in RequestField]?: Fields[string] }

/** An exchange that is over, as HTTP saw it. */
export interface Exchange {
  /** Undefined where no head could be read. */
  readonly method: string | undefined
  /** A path that may be told. */
  readonly path: string | undefined
  readonly httpVersion: string | undefined
  /** As the caller wrote it. */
  readonly userAgent: string | undefined
  readonly status: number
  readonly ms: number
  readonly trace: TraceIds | undefined
}

/** Writes the one record of a request. `notes` must hold its id and its outcome. */
export function logRequest(log: Log, severity: Severity, exchange: Exchange, notes: RequestNotes): void {
  const { method, path, httpVersion, userAgent, status, ms, trace } = exchange
  const fields: { [Name in RequestField]?: Fields[string] } = {}
  for (const name of requestFields) fields[name] = notes[name]
  fields.status = status
  fields.ms = ms
  const httpRequest = {
    requestMethod: method,
    requestUrl: path,
    requestSize: countOf(notes.bytesIn),
    status,
    responseSize: countOf(notes.bytesOut),
    userAgent: clientOf(userAgent),
    latency: `${(ms / 1000).toFixed(3)}s`,
    protocol: httpVersion === undefined ? undefined : `HTTP/${httpVersion}`,
  }
  log(severity, messageOf(exchange, notes), fields, trace === undefined ? { httpRequest } : { httpRequest, trace })
}

/** Cloud Logging writes 64-bit numbers as texts. */
function countOf(value: Fields[string]): string | undefined {
  return typeof value === 'number' ? String(value) : undefined
}

/** The request in one line for a person: `POST /v1/chat/completions 200 qwen2.5-vl-7b 1.2 s 143 tokens`. */
function messageOf({ method, path, status, ms }: Exchange, notes: RequestNotes): string {
  const { outcome, model, completionTokens } = notes
  const took = ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
  const tokens = typeof completionTokens === 'number' ? `${completionTokens} tokens` : undefined
  const failure = outcome === 'ok' ? undefined : outcome
  const words = [method ?? 'request', path, status, failure, model, took, tokens]
  return words.filter((word) => word !== undefined).join(' ')
}
