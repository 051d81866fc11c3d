import { Entry } from '@google-cloud/logging/build/src/entry.js'
import type { Render } from '../log.ts'
import { escapeUnseen } from './bounds.ts'
import { traceName } from './render.ts'

/**
 * Records as `@google-cloud/logging` writes them to stdout: its `toStructuredJSON`, with its id of each record, by which
 * Cloud Logging orders those of one millisecond. It is loaded when it is wanted and not before; the client behind it, which
 * opens connections and looks for credentials, not at all (docs/adr/2026-11-21-google-cloud-log.md).
 */
export function entryRender(project: string | undefined): Render {
  return ({ severity, time, message, httpRequest, trace, fields }) => {
    const about = trace && {
      trace: traceName(trace.traceId, project),
      spanId: trace.spanId,
      traceSampled: trace.sampled,
    }
    const data = { time: time.toISOString(), message, httpRequest, ...fields }
    // `time` says the same as `timestamp`, in the form that every reader of JSON knows.
    const { timestamp: _, ...record } = new Entry({ severity, timestamp: time, ...about }, data).toStructuredJSON(
      project,
      false,
    )
    return escapeUnseen(JSON.stringify(record))
  }
}
