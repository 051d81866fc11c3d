import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { HearthError } from '../src/errors.ts'
import { Heartbeat, type HeartbeatSettings } from '../src/upstream/heartbeat.ts'
import { Relay, type RelayOptions } from '../src/upstream/relay.ts'
import type { AnswerKind, Shaper } from '../src/upstream/shaper.ts'

/** Stands for undici's handle of one exchange. */
export class StubController {
  paused = false
  reason: Error | null = null
  get aborted(): boolean {
    return this.reason !== null
  }
  abort(reason: Error): void {
    this.reason ??= reason
  }
  pause(): void {
    this.paused = true
  }
  resume(): void {
    this.paused = false
  }
}

/** Stands for Node's response; `room` says whether more may be written at once. */
export class StubCaller extends EventEmitter {
  headersSent = false
  head: Record<string, string> = {}
  status = 0
  room = true
  /** Each write by itself. */
  readonly writes: Buffer[] = []
  written = ''
  writableEnded = false
  destroyed = false
  get writableNeedDrain(): boolean {
    return !this.room
  }
  writeHead(status: number, head: Record<string, string>): void {
    this.status = status
    this.head = head
    this.headersSent = true
  }
  flushHeaders(): void {}
  write(bytes: Buffer | string): boolean {
    this.writes.push(Buffer.from(bytes))
    this.written += bytes.toString()
    return this.room
  }
  end(text = ''): void {
    this.written += text
    this.writableEnded = true
  }
  destroy(): void {
    this.destroyed = true
  }
  asResponse(): ServerResponse {
    return this as unknown as ServerResponse
  }
}

/** A shaper that changes nothing and notes what it was shown; a test replaces what it needs. */
export class StubShaper implements Shaper {
  readonly names = { model: 'm', served: 'm' }
  readonly shown: string[] = []
  generated = 0
  finishReason: string | undefined
  readonly usage = { promptTokens: 3, completionTokens: 5, cachedTokens: undefined, estimated: false }
  #held = ''

  event(event: Buffer): Buffer {
    const text = event.toString()
    this.shown.push(text)
    if (text.includes('"content"')) this.generated += 1
    this.finishReason = /"finish_reason":"(\w+)"/.exec(text)?.[1] ?? this.finishReason
    return event
  }

  endOfEvents(): Buffer {
    if (this.finishReason === undefined) throw new HearthError('engine_died', { detail: 'no finish reason' })
    return Buffer.alloc(0)
  }

  piece(bytes: Buffer): Buffer {
    this.#held += bytes.toString()
    return Buffer.alloc(0)
  }

  endOfPieces(): Buffer {
    try {
      JSON.parse(this.#held)
    } catch (cause) {
      throw new HearthError('engine_died', { cause })
    }
    return Buffer.from(this.#held)
  }
}

/** A shaper that passes plain answers as they come. */
export class OpenShaper extends StubShaper {
  override piece(bytes: Buffer): Buffer {
    return bytes
  }
  override endOfPieces(): Buffer {
    return Buffer.alloc(0)
  }
}

export interface ExchangeOptions extends Partial<Omit<RelayOptions, 'shaper' | 'heartbeat' | 'response'>> {
  readonly shaper?: Shaper
  readonly heartbeat?: HeartbeatSettings
  readonly kind?: AnswerKind
}

/** A relay between stubs: `say` is the engine, `caller` what the caller got. Times are those of `Date.now()`, which a test may mock. */
export function startExchange({ heartbeat: settings, kind = 'chat', ...options }: ExchangeOptions = {}) {
  const controller = new StubController()
  const caller = new StubCaller()
  const shaper = options.shaper ?? new StubShaper()
  const response = caller.asResponse()
  const now = () => Date.now()
  const names = { kind, model: 'm', requestId: 'r-1', headers: { 'x-request-id': 'r-1' } }
  const heartbeat = settings && new Heartbeat({ settings, response, ...names, now, wallMs: now })
  heartbeat?.start()
  const relay = new Relay({
    response,
    headers: names.headers,
    signal: new AbortController().signal,
    viaMesh: false,
    timing: () => 'engine;dur=1',
    firstByteMs: 60_000,
    idleMs: 60_000,
    onTokenGap: () => {},
    callerStallMs: 60_000,
    answerBytesMax: 1_000_000,
    now,
    ...options,
    shaper,
    heartbeat,
  })
  const handle = controller as unknown as Dispatcher.DispatchController
  relay.onRequestStart(handle)
  const say = {
    head: (type: string, more: Record<string, string> = {}, status = 200) =>
      relay.onResponseStart(handle, status, { 'content-type': type, 'transfer-encoding': 'chunked', ...more }),
    body: (bytes: string | Buffer) => relay.onResponseData(handle, Buffer.from(bytes)),
    end: () => relay.onResponseEnd(),
    fail: (error: Error) => relay.onResponseError(null, error),
  }
  return { relay, heartbeat, caller, controller, say, shaper }
}

/** An event of a chat completion. */
export function chatEvent(content: string, finish?: string): string {
  const choice = { index: 0, delta: { content }, finish_reason: finish ?? null }
  return `data: ${JSON.stringify({ id: 'chatcmpl-7', object: 'chat.completion.chunk', created: 42, choices: [choice] })}\n\n`
}
