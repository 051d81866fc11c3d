import type { LogRecord, Render } from '../log.ts'
import { escapeUnseen } from './bounds.ts'

/** The keys of a record that Cloud Logging reads, beside `severity`, `time`, `message` and `httpRequest`. */
export const traceKey = 'logging.googleapis.com/trace'
export const spanKey = 'logging.googleapis.com/spanId'
export const sampledKey = 'logging.googleapis.com/trace_sampled'

/** The name of a trace; with the project that it belongs to, as Cloud Logging joins records by, where that is known. */
export function traceName(traceId: string, project: string | undefined): string {
  return project === undefined ? traceId : `projects/${project}/traces/${traceId}`
}

/** One JSON object with Cloud Logging's names of fields, for `jq` and every collector. */
export function jsonRender(project: string | undefined): Render {
  return ({ severity, time, message, httpRequest, trace, fields }) => {
    const about = trace && {
      [traceKey]: traceName(trace.traceId, project),
      [spanKey]: trace.spanId,
      [sampledKey]: trace.sampled,
    }
    const record = { severity, time: time.toISOString(), message, httpRequest, ...about, ...fields }
    return escapeUnseen(JSON.stringify(record))
  }
}

/** For a person at a terminal: the time of day, what happened, and the fields. */
export function renderPretty({ severity, time, message, fields }: LogRecord): string {
  const shown = Object.entries(fields).map(([name, value]) => `${bare(name)}=${JSON.stringify(value)}`)
  return escapeUnseen(
    `${time.toISOString().slice(11, 23)} ${severity.padEnd(7)} ${bare(message)} ${shown.join(' ')}`.trimEnd(),
  )
}

/** A text as JSON would write it, without its quotes. */
function bare(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}
