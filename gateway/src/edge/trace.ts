import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { TraceIds } from '../log.ts'

/** Where a request stands in a trace: its caller's, or one of its own. `spanId` is the gateway's part of it. */
export interface Trace extends TraceIds {
  /** What other systems of the trace want to be passed on, checked; undefined where there is none. */
  readonly state: string | undefined
}

/** What a caller said of its trace. */
type Parent = Omit<Trace, 'spanId'>

const traceparent = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/s
const cloudContext = /^([\da-f]{32})(?:\/(\d{1,20}))?(?:;o=([01]))?$/i
const nothing = /^0+$/
const traceparentCharsMax = 128
const stateCharsMax = 512
const stateMembersMax = 32
const stateMember =
  /^[a-z\d][a-z\d_\-*/]{0,255}(?:@[a-z][a-z\d_\-*/]{0,13})?=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

/**
 * Opens the gateway's span in the trace of W3C's `traceparent`, else of Google's `X-Cloud-Trace-Context`, else in a new
 * trace that is not sampled. Of what the caller sent only what is letter by letter valid is kept.
 */
export function openTrace(headers: IncomingHttpHeaders): Trace {
  const parent = readTraceparent(headers) ?? readCloudContext(headers)
  const spanId = newSpanId()
  if (parent !== undefined) return { ...parent, spanId }
  return { traceId: randomUUID().replaceAll('-', ''), spanId, sampled: false, state: undefined }
}

/** The `traceparent` of what the gateway asks of others on behalf of a request. */
export function traceparentOf({ traceId, spanId, sampled }: TraceIds): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`
}

function readTraceparent(headers: IncomingHttpHeaders): Parent | undefined {
  const text = headers['traceparent']
  // Node joins several of them with a comma, and then it is none.
  if (typeof text !== 'string' || text.length > traceparentCharsMax) return undefined
  const [, version, traceId, parentId, flags, more] = traceparent.exec(text) ?? []
  if (traceId === undefined || parentId === undefined || nothing.test(traceId) || nothing.test(parentId))
    return undefined
  // A later version may go on behind a dash; this one ends here, and `ff` is none.
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined
  return { traceId, sampled: isSampled(flags), state: readState(headers['tracestate']) }
}

function readCloudContext(headers: IncomingHttpHeaders): Parent | undefined {
  const text = headers['x-cloud-trace-context']
  if (typeof text !== 'string' || text.length > traceparentCharsMax) return undefined
  const [, traceId, , option] = cloudContext.exec(text) ?? []
  if (traceId === undefined || nothing.test(traceId)) return undefined
  return { traceId: traceId.toLowerCase(), sampled: option === '1', state: undefined }
}

function isSampled(flags: string | undefined): boolean {
  return (Number.parseInt(flags ?? '0', 16) & 1) === 1
}

/** All of it or nothing: a list that is cut or mended would say what nobody said. */
function readState(text: string | string[] | undefined): string | undefined {
  if (typeof text !== 'string' || text.length > stateCharsMax) return undefined
  const members = text.split(',').map((member) => member.trim())
  const present = members.filter((member) => member !== '')
  if (present.length === 0 || present.length > stateMembersMax) return undefined
  return present.every((member) => stateMember.test(member)) ? present.join(',') : undefined
}

/** The random digits of a UUID: its own fixed ones apart, and never all zeros. Node draws UUIDs from a store, single bytes not. */
function newSpanId(): string {
  for (;;) {
    const uuid = randomUUID()
    const id = `${uuid.slice(0, 8)}${uuid.slice(9, 13)}${uuid.slice(24, 28)}`
    if (!nothing.test(id)) return id
  }
}
