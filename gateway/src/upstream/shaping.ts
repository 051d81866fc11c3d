import type { EngineConfig, ModelConfig } from '../config.ts'
import { AnswerReader } from './dialects/answer-reader.ts'
import { Meter } from './dialects/meter.ts'
import { PlainAnswer } from './dialects/plain-answer.ts'
import { Reasoning } from './dialects/reasoning.ts'
import { Splices } from './dialects/splices.ts'
import { fromErrorEvent } from './engine-error.ts'
import type { AnswerKind, ModelNames, Shaper, Usage } from './shaper.ts'

/** What is known of an answer before it comes. */
export interface ShaperOptions {
  readonly kind: AnswerKind
  readonly dialect: EngineConfig['kind']
  /** The name that callers see. */
  readonly model: string
  /** The engine's own name of the model, which stays inside. */
  readonly served: string
  /** Where the model's thinking stands. */
  readonly reasoning: ModelConfig['reasoning']
  /** Whether the caller asked for the chunk with the usage; the engine is always asked. */
  readonly showUsage: boolean
}

/** A written answer is held whole up to here: then its reasoning can be told apart, and a cut one becomes an error. */
const writtenBytesMax = 4 * 1024 * 1024
/** Of vectors and scores only the begin is held. */
const countedBytesMax = 64 * 1024
/** The error of some engines, with nothing around it. It begins so, or with its message. */
const bareError = /"object"\s*:\s*"error"/
const bareErrorBytes = 4096
const nothing = Buffer.alloc(0)

/** The shaper of one answer. */
export function createShaper(options: ShaperOptions): Shaper {
  return new AnswerShaper(options)
}

class AnswerShaper implements Shaper {
  readonly names: ModelNames
  readonly #showsUsage: boolean
  readonly #modelToken: Buffer
  readonly #reader = new AnswerReader()
  readonly #meter: Meter
  readonly #splices = new Splices()
  readonly #reasoning: Reasoning
  readonly #isWritten: boolean
  readonly #plain: PlainAnswer

  constructor(options: ShaperOptions) {
    this.#meter = new Meter(options.dialect)
    this.names = { model: options.model, served: options.served }
    this.#showsUsage = options.showUsage
    // A plain completion is text and nothing else, whatever tags are in it.
    this.#reasoning = new Reasoning(options.kind === 'chat' ? options.reasoning : 'fields')
    this.#modelToken = Buffer.from(JSON.stringify(options.model))
    this.#isWritten = options.kind === 'chat' || options.kind === 'completions'
    this.#plain = new PlainAnswer(this.#modelToken, this.#isWritten ? writtenBytesMax : countedBytesMax)
  }

  get generated(): number {
    return this.#meter.generated
  }

  get usage(): Usage {
    return this.#meter.usage
  }

  get finishReason(): string | undefined {
    return this.#meter.finishReason
  }

  event(event: Buffer): Buffer {
    const reader = this.#reader
    if (!reader.readEvent(event)) return event
    this.#meter.note(event, reader)
    if (!reader.hasChoices && bareError.test(event.toString('latin1', 0, bareErrorBytes)))
      this.#meter.fail(fromErrorEvent(event, this.names))
    // What follows an end that is none is no part of an answer either.
    if (this.#meter.failure !== undefined) return nothing
    if (!this.#showsUsage && reader.usageStart >= 0 && reader.hasChoices && reader.choiceCount === 0) return nothing
    return this.#rewrite(event, false)
  }

  endOfEvents(): Buffer {
    this.#meter.checkEnd()
    return nothing
  }

  piece(bytes: Buffer): Buffer {
    return this.#plain.piece(bytes)
  }

  endOfPieces(): Buffer {
    const held = this.#plain.end()
    if (!this.#isWritten || held.length === 0 || !this.#reader.read(held)) {
      if (this.#plain.usage !== undefined) this.#meter.readUsage(this.#plain.usage)
      return held
    }
    this.#meter.note(held, this.#reader)
    // The text of a plain answer came at once.
    this.#meter.generated = 0
    if (this.#meter.failure !== undefined) throw this.#meter.failure
    return this.#rewrite(held, true)
  }

  #rewrite(bytes: Buffer, isLast: boolean): Buffer {
    const { modelStart, modelEnd } = this.#reader
    if (modelStart >= 0 && !isSame(bytes, modelStart, modelEnd, this.#modelToken))
      this.#splices.add(modelStart, modelEnd, this.#modelToken)
    this.#reasoning.shape(bytes, this.#reader, this.#splices, isLast)
    return this.#splices.applyTo(bytes)
  }
}

function isSame(bytes: Buffer, start: number, end: number, token: Buffer): boolean {
  if (end - start !== token.length) return false
  for (let at = 0; at < token.length; at += 1) if (bytes[start + at] !== token[at]) return false
  return true
}
