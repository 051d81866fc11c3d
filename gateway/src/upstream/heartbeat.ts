import type { ServerResponse } from 'node:http'
import { streamHeaders } from './headers.ts'
import type { AnswerKind } from './shaper.ts'
import { Silence } from './silence.ts'

/** How a silent stream shows that it is alive. */
export interface HeartbeatSettings {
  /** `comment`: a line that parsers skip. `empty-delta`: a chunk without text, for parsers that do not. */
  readonly form: 'comment' | 'empty-delta' | 'off'
  /** Silence before the first, and between two. */
  readonly everyMs: number
  /** Whether a stream may begin with 200 and a heartbeat before the engine said anything: later errors are then events. */
  readonly earlyHeaders: boolean
}

/** Proxies on the way cut what is silent for a minute or two; a quarter of a minute is early enough for all of them. */
export const heartbeatDefault: HeartbeatSettings = { form: 'comment', everyMs: 15_000, earlyHeaders: true }

export interface HeartbeatOptions {
  readonly settings: HeartbeatSettings
  readonly response: ServerResponse
  /** Headers of every answer, for a head that leaves before the engine's is here. */
  readonly headers: Readonly<Record<string, string>>
  readonly kind: AnswerKind
  /** The name of the model that callers see. */
  readonly model: string
  readonly requestId: string
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Wall-clock milliseconds, for a chunk that says when it was made. */
  readonly wallMs: () => number
}

const comment = ': keep-alive\n\n'
/** The name of a stream stands at the begin of its chunks. */
const nameBytesMax = 1_024

/**
 * Breaks the silence of one stream, from before it is admitted until its end. It writes whole events only, as the relay
 * does, so that it always stands between events. Whoever starts it stops it.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  readonly #silence: Silence
  #opened = false
  #early = false
  #id: string | undefined
  #created: number | undefined

  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.#silence = new Silence(options.now, () => this.#beat())
  }

  get settings(): HeartbeatSettings {
    return this.#options.settings
  }

  /** Whether the stream began with a head of ours, before the engine said anything. */
  get begunEarly(): boolean {
    return this.#early
  }

  /** Counts the silence before the engine's head, where the caller takes an early one. */
  start(): void {
    if (this.settings.earlyHeaders) this.#count()
  }

  /** The head of the stream is out. */
  opened(): void {
    this.#opened = true
    this.#count()
  }

  /** Whole events went to the caller at `atMs`. */
  wrote(events: Buffer, atMs: number): void {
    this.#silence.heard(atMs)
    if (this.#created === undefined && this.settings.form === 'empty-delta') this.#learn(events)
  }

  stop(): void {
    this.#silence.stop()
  }

  /** An empty chunk bears the names that the others bear. */
  #learn(events: Buffer): void {
    const text = events.toString('latin1', 0, nameBytesMax)
    this.#id = /"id": ?"([\w.:-]{1,128})"/.exec(text)?.[1] ?? this.#id
    const created = /"created": ?(\d{1,12})/.exec(text)?.[1]
    if (created !== undefined) this.#created = Number(created)
  }

  #count(): void {
    if (this.settings.form !== 'off') this.#silence.start(this.settings.everyMs)
  }

  #beat(): void {
    const { response, headers } = this.#options
    if (response.destroyed || response.writableEnded) return
    if (!this.#opened) {
      this.#opened = true
      this.#early = true
      response.writeHead(200, { ...streamHeaders, ...headers })
    }
    // A caller who does not read has no need of more to read.
    if (!response.writableNeedDrain) response.write(this.settings.form === 'comment' ? comment : this.#emptyChunk())
    this.#count()
  }

  #emptyChunk(): string {
    const { kind, model, requestId, wallMs } = this.#options
    const isChat = kind === 'chat'
    // vLLM names its answers by the request in the same way.
    this.#id ??= `${isChat ? 'chatcmpl' : 'cmpl'}-${requestId}`
    const created = this.#created ?? Math.floor(wallMs() / 1_000)
    const object = isChat ? 'chat.completion.chunk' : 'text_completion'
    const choice = isChat
      ? { index: 0, delta: {}, finish_reason: null }
      : { index: 0, text: '', logprobs: null, finish_reason: null }
    return `data: ${JSON.stringify({ id: this.#id, object, created, model, choices: [choice] })}\n\n`
  }
}
