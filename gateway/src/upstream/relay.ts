import type { ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { errorEvent, HearthError, toHearthError } from '../errors.ts'
import { classify } from './classify.ts'
import { ErrorAnswer } from './error-answer.ts'
import { EventPath } from './events.ts'
import { isEventStream, plainHeaders, problemOfHead, streamHeaders } from './headers.ts'
import type { Heartbeat } from './heartbeat.ts'
import { Outlet } from './outlet.ts'
import type { Shaper, Usage } from './shaper.ts'
import { Silence } from './silence.ts'

/** How an answer ended, for the log. */
export interface RelayOutcome {
  readonly status: number
  readonly bytesOut: number
  /** Milliseconds from dispatch to the first byte of the answer's body, where one came. */
  readonly firstByteMs: number | undefined
  /** Milliseconds from dispatch to the first event with text; undefined for a plain answer. */
  readonly firstTokenMs: number | undefined
  /** What the answer cost as far as it came, also where it was cut. */
  readonly usage: Usage
  readonly finishReason: string | undefined
  /** Why the answer was cut after its head was sent; undefined when it is whole. */
  readonly error: HearthError | undefined
}

/** How far an answer has come, in milliseconds from dispatch. */
export type AnswerProgress = Pick<RelayOutcome, 'firstByteMs' | 'firstTokenMs'>

export interface RelayOptions {
  readonly response: ServerResponse
  /** Headers of every answer: request id, CORS and the like. */
  readonly headers: Readonly<Record<string, string>>
  /** Ends the attempt; its reason is a HearthError (caller gone, deadline, draining). */
  readonly signal: AbortSignal
  readonly viaMesh: boolean
  /** The value of `server-timing`, for the head and again for the end of a stream; empty where nothing is known. */
  readonly timing: (progress: AnswerProgress) => string
  /** What the caller gets of each piece. */
  readonly shaper: Shaper
  /** Breaks the silence of a stream; undefined where the caller asked for none. */
  readonly heartbeat: Heartbeat | undefined
  /** From the sent request to the first byte of the answer's body. */
  readonly firstByteMs: number
  /** From then on between two pieces. An engine's own comments count: they prove the connection. */
  readonly idleMs: number
  /** Told of the time between two reads that brought tokens. */
  readonly onTokenGap: (ms: number) => void
  /** Longest time a caller may leave a full buffer unread. */
  readonly callerStallMs: number
  /** Most bytes of an answer that are passed on. */
  readonly answerBytesMax: number
  readonly now: () => number
}

/** Interim answers (1xx) before the answer. */
const interimMax = 8
const graceShare = 0.01
/** How long an engine may take to end its stream after the last event of it. */
const tailMs = 2_000

type Mode = 'waiting' | 'events' | 'plain' | 'error'
type Controller = Dispatcher.DispatchController

/**
 * Copies one engine answer to the caller with backpressure both ways. `done` resolves when the answer ended, whole or
 * cut after its head (then the caller saw one SSE error event without `[DONE]`, or a broken connection); it rejects
 * with a HearthError while nothing was sent, so that the one writer of errors can answer.
 */
export class Relay implements Dispatcher.DispatchHandler {
  readonly done: Promise<RelayOutcome>
  readonly #options: RelayOptions
  readonly #settle: { resolve(outcome: RelayOutcome): void; reject(error: HearthError): void }
  readonly #outlet: Outlet
  readonly #silence: Silence
  readonly #startedAt: number
  readonly #onAbort: () => void
  #controller: Controller | undefined
  #mode: Mode = 'waiting'
  #events: EventPath | undefined
  #errorAnswer: ErrorAnswer | undefined
  /** Headers of a plain answer until they are sent. */
  #head: Record<string, string> | undefined
  #ended = false
  #firstByteMs: number | undefined
  #firstTokenMs: number | undefined
  #tokenAt = 0
  #tokens = 0
  #tail: NodeJS.Timeout | undefined
  #interims = 0

  constructor(options: RelayOptions) {
    const { promise, resolve, reject } = Promise.withResolvers<RelayOutcome>()
    this.done = promise
    this.#settle = { resolve, reject }
    this.#options = options
    this.#startedAt = options.now()
    const { response, callerStallMs, answerBytesMax } = options
    const onStall = (error: HearthError) => this.#fail(error)
    const turns = { onFull: () => this.#pause(), onRoom: () => this.#resume(), onStall }
    this.#outlet = new Outlet({ response, callerStallMs, answerBytesMax, ...turns })
    this.#silence = new Silence(options.now, () => this.#fail(this.#overdue()))
    this.#onAbort = () => this.#fail(options.signal.reason)
    options.signal.addEventListener('abort', this.#onAbort, { once: true })
    if (options.signal.aborted) this.#onAbort()
  }

  onRequestStart(controller: Controller): void {
    // Before this moment there is no handle to abort by, so an abort that came earlier is carried out here.
    this.#controller = controller
    if (this.#ended) controller.abort(toHearthError(this.#options.signal.reason))
    else this.#silence.start(withGrace(this.#options.firstByteMs))
  }

  onResponseStart(_controller: Controller, status: number, headers: Record<string, string | string[]>): void {
    if (this.#ended) return
    if (status < 200) return this.#countInterim()
    const problem = problemOfHead(status, headers)
    if (problem !== undefined) return this.#fail(badAnswer(problem))
    if (status >= 400) {
      this.#mode = 'error'
      // Written down for the answer that becomes of it.
      this.#options.timing(this.#progress())
      this.#errorAnswer = new ErrorAnswer(status, String(headers['content-type'] ?? ''), this.#options.shaper.names)
    } else if (isEventStream(headers)) this.#openEvents()
    else this.#openPlain(headers)
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (this.#ended) return
    const nowMs = this.#options.now()
    if (this.#firstByteMs === undefined) this.#noteFirstByte(nowMs)
    this.#silence.heard(nowMs)
    if (this.#events !== undefined) return this.#relayEvents(this.#events, chunk, nowMs)
    try {
      if (this.#errorAnswer !== undefined) this.#relayError(this.#errorAnswer, chunk)
      else this.#relayPlain(chunk)
    } catch (error) {
      this.#fail(error)
    }
  }

  onResponseEnd(): void {
    clearTimeout(this.#tail)
    if (this.#ended) return
    if (this.#errorAnswer !== undefined) return this.#fail(this.#errorAnswer.toError())
    if (this.#mode === 'plain') return this.#endPlain()
    this.#fail(new HearthError('engine_died', { detail: 'The stream ended without its terminal event' }))
  }

  onResponseError(_controller: Controller | null, error: Error): void {
    clearTimeout(this.#tail)
    if (this.#ended) return
    const answered = this.#mode !== 'waiting'
    this.#fail(classify(error, { answered, viaMesh: this.#options.viaMesh }))
  }

  /** The head of a stream leaves at once: it may be silent for long after it. */
  #openEvents(): void {
    this.#mode = 'events'
    const { shaper, heartbeat, response } = this.#options
    const passQuiet = heartbeat === undefined || heartbeat.settings.form === 'comment'
    this.#events = new EventPath({ shaper, passQuiet, lastComment: () => this.#lastComment() })
    if (heartbeat?.begunEarly === true) return
    response.writeHead(200, { ...streamHeaders, ...this.#headers() })
    response.flushHeaders()
    heartbeat?.opened()
  }

  /** The head of a plain answer leaves with its first bytes: until then a failure can still become an error answer. */
  #openPlain(headers: Record<string, string | string[]>): void {
    const { heartbeat } = this.#options
    if (heartbeat?.begunEarly === true) return this.#fail(badAnswer('a plain answer to a stream that had begun'))
    heartbeat?.stop()
    this.#mode = 'plain'
    try {
      this.#outlet.check(Number(headers['content-length'] ?? 0))
      this.#head = { ...plainHeaders, ...this.#headers() }
    } catch (error) {
      this.#fail(error)
    }
  }

  #headers(): Record<string, string> {
    const { timing, headers } = this.#options
    const value = timing(this.#progress())
    return value === '' ? { ...headers } : { ...headers, 'server-timing': value }
  }

  #lastComment(): string {
    const { heartbeat, timing } = this.#options
    if (heartbeat?.settings.form !== 'comment') return ''
    const value = timing(this.#progress())
    return value === '' ? '' : `server-timing ${value}`
  }

  #noteFirstByte(nowMs: number): void {
    this.#firstByteMs = nowMs - this.#startedAt
    this.#silence.start(withGrace(this.#options.idleMs))
  }

  #relayEvents(path: EventPath, chunk: Buffer, nowMs: number): void {
    const { heartbeat } = this.#options
    const bytes = path.feed(chunk)
    this.#noteTokens(nowMs)
    if (bytes.length > 0) {
      try {
        this.#outlet.write(bytes)
      } catch (error) {
        return this.#fail(error)
      }
      heartbeat?.wrote(bytes, nowMs)
    }
    const { end } = path
    if (end === 'whole') this.#completeEvents()
    else if (end !== 'open') this.#fail(end.error)
  }

  #noteTokens(nowMs: number): void {
    const { shaper, onTokenGap } = this.#options
    const { generated } = shaper
    if (generated === this.#tokens) return
    if (this.#firstTokenMs === undefined) this.#firstTokenMs = nowMs - this.#startedAt
    else onTokenGap(nowMs - this.#tokenAt)
    this.#tokens = generated
    this.#tokenAt = nowMs
  }

  #relayPlain(chunk: Buffer): void {
    const bytes = this.#options.shaper.piece(chunk)
    if (bytes.length === 0) return
    this.#outlet.check(bytes.length)
    this.#sendHead({})
    this.#outlet.write(bytes)
  }

  /** A plain answer is whole when the shaper says that its document is: how its connection ended proves nothing. */
  #endPlain(): void {
    try {
      const rest = this.#options.shaper.endOfPieces()
      this.#outlet.check(rest.length)
      this.#sendHead({ 'content-length': String(rest.length) })
      if (rest.length > 0) this.#outlet.write(rest)
    } catch (error) {
      return this.#fail(error)
    }
    this.#complete()
  }

  #sendHead(more: Record<string, string>): void {
    if (this.#head === undefined) return
    this.#options.response.writeHead(200, { ...this.#head, ...more })
    this.#head = undefined
  }

  #relayError(answer: ErrorAnswer, chunk: Buffer): void {
    answer.add(chunk)
    if (answer.isFull) this.#fail(answer.toError())
  }

  #countInterim(): void {
    this.#interims += 1
    if (this.#interims > interimMax) this.#fail(badAnswer(`more than ${interimMax} interim answers`))
  }

  /** Which of the two deadlines passed. */
  #overdue(): HearthError {
    const { firstByteMs, idleMs } = this.#options
    return this.#firstByteMs === undefined
      ? new HearthError('engine_timeout', { detail: `No byte of the answer within ${firstByteMs} ms` })
      : new HearthError('engine_stalled', { detail: `Nothing more of the answer within ${idleMs} ms` })
  }

  /** While the caller does not read, the engine cannot be blamed for silence. */
  #pause(): void {
    this.#silence.stop()
    this.#controller?.pause()
  }

  #resume(): void {
    this.#silence.start(withGrace(this.#options.idleMs))
    this.#controller?.resume()
  }

  /** The stream is whole with its last event; an engine that goes on for all that loses its connection. */
  #completeEvents(): void {
    const controller = this.#controller
    // It was paused for this caller, who waits for nothing more.
    if (this.#outlet.isFull) controller?.resume()
    this.#complete()
    const late = new HearthError('engine_bad_answer', { detail: 'The stream went on after its last event' })
    this.#tail = setTimeout(() => controller?.abort(late), tailMs).unref()
  }

  #complete(): void {
    this.#options.response.end()
    this.#finish()
    this.#settle.resolve(this.#outcome(undefined))
  }

  #fail(reason: unknown): void {
    if (this.#ended) return
    const error = reason instanceof HearthError ? reason : new HearthError('internal_error', { cause: reason })
    this.#finish()
    this.#controller?.abort(error)
    const { response, heartbeat } = this.#options
    if (!response.headersSent) return this.#settle.reject(error)
    const isStream = this.#mode === 'events' || heartbeat?.begunEarly === true
    if (isStream && error.code !== 'client_gone') response.end(errorEvent(error))
    else response.destroy()
    this.#settle.resolve(this.#outcome(error))
  }

  #finish(): void {
    this.#ended = true
    this.#silence.stop()
    this.#options.heartbeat?.stop()
    this.#outlet.close()
    this.#options.signal.removeEventListener('abort', this.#onAbort)
  }

  #progress(): AnswerProgress {
    return { firstByteMs: this.#firstByteMs, firstTokenMs: this.#firstTokenMs }
  }

  #outcome(error: HearthError | undefined): RelayOutcome {
    const { usage, finishReason } = this.#options.shaper
    return { status: 200, bytesOut: this.#outlet.bytesOut, ...this.#progress(), usage, finishReason, error }
  }
}

/** A silence that is exactly as long as it may be passes: what ends it takes its time to arrive. */
function withGrace(limitMs: number): number {
  return limitMs * (1 + graceShare)
}

function badAnswer(what: string): HearthError {
  return new HearthError('engine_bad_answer', { detail: `The engine answered with ${what}` })
}
