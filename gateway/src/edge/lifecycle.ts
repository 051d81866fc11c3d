import type { ServerResponse } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import { createMiddleware } from 'hono/factory'
import { HearthError, isErrorCode, toHearthError } from '../errors.ts'
import { logRequest } from '../log/request-record.ts'
import type { Log } from '../log.ts'
import type { Meters } from '../metrics.ts'
import { type AppEnv, headersOfAll, type RequestState } from './request.ts'
import { shownPath } from './shown-path.ts'
import { openTrace } from './trace.ts'
import { WholeDeadline } from './whole-deadline.ts'

/** The requests under way in this process; knows when to refuse new ones and how to end the rest. */
export class InFlight {
  readonly #open = new Set<AbortController>()
  #draining = false
  #onEmpty: (() => void) | undefined

  get size(): number {
    return this.#open.size
  }

  get draining(): boolean {
    return this.#draining
  }

  enter(abort: AbortController): void {
    this.#open.add(abort)
  }

  leave(abort: AbortController): void {
    this.#open.delete(abort)
    if (this.#open.size === 0) this.#onEmpty?.()
  }

  /**
   * Refuses new work from now on and resolves when the last request ended; what is still open after `deadlineMs` is
   * cut with `draining`, which streams report to their callers.
   */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true
    if (this.#open.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onEmpty = resolve
    const cut = () => {
      for (const abort of this.#open) abort.abort(new HearthError('draining'))
    }
    const timer = setTimeout(cut, deadlineMs)
    await promise
    clearTimeout(timer)
  }
}

export interface LifecycleOptions {
  readonly inFlight: InFlight
  /** Of a whole request, until its key or its model say otherwise. */
  readonly totalMs: number
  /** How long a finished answer may wait for its caller to read it. */
  readonly callerStallMs: number
  readonly log: Log
  readonly meters: Pick<Meters, 'request'>
  readonly newId: () => string
  /** Requests that broke off in their body: the front door has answered them, and written their record. */
  readonly answeredAtDoor: WeakSet<ServerResponse>
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/**
 * Opens and closes every request: gives it an id and one signal that ends it (caller gone, whole deadline, drain),
 * and writes its one log record when the answer is over.
 */
export function lifecycle(options: LifecycleOptions) {
  return createMiddleware<AppEnv>(async function lifecycle(c, next) {
    const request = openRequest(options, c.env)
    c.set('request', request)
    const { outgoing } = c.env
    options.inFlight.enter(request.abort)
    // The record waits for both ends: the answer is over, and the handler has noted how it went.
    let openEnds = 2
    const closeEnd = () => {
      openEnds -= 1
      if (openEnds === 0 && !options.answeredAtDoor.has(outgoing)) writeRecord(options, request, c.env)
    }
    outgoing.once('close', () => {
      request.deadline.close()
      if (!outgoing.writableFinished) request.abort.abort(new HearthError('client_gone'))
      options.inFlight.leave(request.abort)
      closeEnd()
    })
    await next()
    cutWhenUnread(outgoing, options.callerStallMs)
    closeEnd()
  })
}

/** The last bytes of an answer wait in our memory while their caller does not read: not for ever. */
function cutWhenUnread(outgoing: ServerResponse, callerStallMs: number): void {
  if (outgoing.writableFinished || outgoing.destroyed) return
  const timer = setTimeout(() => {
    // Without a socket it waits for the answer before it on the same connection.
    if (outgoing.socket === null) timer.refresh()
    else outgoing.destroy()
  }, callerStallMs)
  outgoing.once('close', () => clearTimeout(timer))
}

function openRequest({ newId, now, totalMs }: LifecycleOptions, { incoming }: HttpBindings): RequestState {
  const id = newId()
  const startedAt = now()
  const abort = new AbortController()
  const onEnd = () => abort.abort(new HearthError('deadline_exceeded'))
  return {
    id,
    startedAt,
    headers: headersOfAll(id),
    abort,
    deadline: new WholeDeadline({ totalMs, startedAt, now, onEnd }),
    trace: openTrace(incoming.headers),
    caller: undefined,
    timing: {},
    stream: undefined,
    log: {},
  }
}

function writeRecord(options: LifecycleOptions, request: RequestState, { incoming, outgoing }: HttpBindings): void {
  const whole = outgoing.writableFinished
  const outcome = request.log.outcome ?? (whole ? 'ok' : 'client_gone')
  const status = outcome === 'client_gone' ? 499 : outgoing.statusCode
  // A stream that was cut has the status of its head.
  const failed = isErrorCode(outcome) ? new HearthError(outcome).status : status
  const severity = failed >= 500 && outcome !== 'draining' ? 'WARNING' : 'INFO'
  const ms = options.now() - request.startedAt
  const { signal } = request.abort
  options.meters.request({
    route: String(request.log.route ?? 'other'),
    status,
    code: String(outcome),
    ms,
    ...(signal.aborted ? { aborted: toHearthError(signal.reason).code } : {}),
  })
  const { method, httpVersion, url = '', headers } = incoming
  const path = request.log.route === undefined ? shownPath(url) : String(request.log.route)
  const exchange = { method, httpVersion, path, status, ms, trace: request.trace, userAgent: headers['user-agent'] }
  logRequest(options.log, severity, exchange, { ...request.log, requestId: request.id, outcome })
}

/** Refuses new work while the process drains; the health of the process itself stays readable. */
export function refuseWhileDraining(inFlight: InFlight) {
  return createMiddleware<AppEnv>(async function refuseWhileDraining(c, next) {
    if (inFlight.draining) {
      c.get('request').headers['connection'] = 'close'
      throw new HearthError('draining')
    }
    await next()
  })
}
