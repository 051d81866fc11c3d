import { isErrorCode } from './errors.ts'
import { type AnswerMeters, createAnswerMeters } from './metrics/answers.ts'
import type { Catalog } from './metrics/catalog.ts'
import { createCounter } from './metrics/counter.ts'
import { Histogram } from './metrics/histogram.ts'

/** A request that is over. */
export interface RequestEnd {
  readonly route: string
  readonly status: number
  /** `ok` or the code of its failure. */
  readonly code: string
  readonly ms: number
  /** The code for which its signal ended it before its own end. */
  readonly aborted?: string
}

/** What the gateway counts. Gauges are read from where they live: see `registerGauges` in app.ts. */
export interface Meters extends AnswerMeters {
  request(end: RequestEnd): void
  /** An answer was cut behind its head, or a request ended by its signal: by a code of the table of errors. */
  abort(code: string): void
  /** A request left the line to an engine: with its turn, in vain, or at once, since the line was full. */
  queued(engine: string, ms: number): void
  firstByte(engine: string, ms: number): void
  /** A dial ended: `ok` or the code of its failure. */
  dial(engine: string, result: string): void
  /** A request that was never sent is tried again: `dial` after a failed dial, `stale` after a dead kept connection. */
  retry(engine: string, why: 'dial' | 'stale'): void
  /** A connection of a caller was closed: `full` at once, since there was no place, `idle` to make place for others. */
  connectionShed(why: 'full' | 'idle'): void
}

const secondsBounds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900]

/** Makes every metric that is counted. No label holds what a caller chose: see docs/metrics.md. */
export function createMeters(catalog: Catalog): Meters {
  return { ...createRequestMeters(catalog), ...createRoadMeters(catalog), ...createAnswerMeters(catalog) }
}

function createRequestMeters(catalog: Catalog) {
  const labelNames = ['route', 'status', 'code'] as const
  const requests = createCounter(catalog, 'hearth_requests_total', 'Requests by how they ended.', labelNames)
  const aborts = createCounter(catalog, 'hearth_aborts_total', 'Answers and requests that were cut before their end.', [
    'side',
    'reason',
  ])
  const seconds = new Histogram(catalog, {
    name: 'hearth_request_seconds',
    help: 'Whole requests.',
    labelNames: ['route'],
    bounds: secondsBounds,
  })
  const abort: Meters['abort'] = (code) => aborts.add({ side: sideOf(code), reason: knownCode(code) })
  return {
    request: ({ route, status, code, ms, aborted }: RequestEnd) => {
      requests.add({ route, status: `${Math.floor(status / 100)}xx`, code: knownCode(code) })
      seconds.observe({ route }, ms / 1000)
      if (aborted !== undefined) abort(aborted)
    },
    abort,
    connectionShed: createShedMeter(catalog),
  }
}

function createShedMeter(catalog: Catalog): Meters['connectionShed'] {
  const help = 'Connections of callers closed for want of places.'
  const shed = createCounter(catalog, 'hearth_connections_shed_total', help, ['why'])
  return (why) => shed.add({ why })
}

function createRoadMeters(catalog: Catalog) {
  const dials = createCounter(catalog, 'hearth_connect_attempts_total', 'Dials by how they ended.', [
    'engine',
    'result',
  ])
  const retries = createCounter(catalog, 'hearth_retries_total', 'Tries again of what was never sent.', [
    'engine',
    'why',
  ])
  const labelNames = ['engine'] as const
  const bounds = secondsBounds
  const waits = new Histogram(catalog, {
    name: 'hearth_queue_seconds',
    help: 'In the line to an engine, with or without a turn at its end; 0 also for who found it full.',
    labelNames,
    bounds: [0.001, ...bounds],
  })
  const firstBytes = new Histogram(catalog, {
    name: 'hearth_first_byte_seconds',
    help: 'From dispatch to the first byte of the answer.',
    labelNames,
    bounds,
  })
  return {
    queued: (engine: string, ms: number) => waits.observe({ engine }, ms / 1000),
    firstByte: (engine: string, ms: number) => firstBytes.observe({ engine }, ms / 1000),
    dial: (engine: string, result: string) => dials.add({ engine, result }),
    retry: (engine: string, why: 'dial' | 'stale') => retries.add({ engine, why }),
  }
}

/** Codes of the table alone: what else a record may say is for people. */
function knownCode(code: string): string {
  return code === 'ok' || isErrorCode(code) ? code : 'other'
}

const ofCaller: ReadonlySet<string> = new Set(['client_gone', 'bad_header'])
const ofGateway: ReadonlySet<string> = new Set(['deadline_exceeded', 'draining', 'answer_too_large', 'internal_error'])

/** Who ended it: whoever called, this gateway, the road home, or the engine. */
function sideOf(code: string): 'caller' | 'gateway' | 'mesh' | 'engine' {
  if (ofCaller.has(code)) return 'caller'
  if (ofGateway.has(code)) return 'gateway'
  return code.startsWith('mesh_') ? 'mesh' : 'engine'
}
