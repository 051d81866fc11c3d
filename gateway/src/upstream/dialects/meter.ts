import type { EngineConfig } from '../../config.ts'
import { HearthError } from '../../errors.ts'
import type { Usage } from '../shaper.ts'
import type { AnswerReader } from './answer-reader.ts'
import { knownReason } from './finish-reason.ts'

/** A larger account of tokens is none. */
const usageBytesMax = 16 * 1024
const reasonBytesMax = 64

/**
 * Reads off the chunks of one answer what it cost, and whether each choice came to its end. llama.cpp accounts for each
 * choice by itself, the first perhaps before the others end; all others give one account, or one that grows.
 */
export class Meter {
  readonly #sums: boolean
  /** Chunks that brought something the model wrote. */
  generated = 0
  /** Why the engine stopped, of the choice that comes first; `other` for a reason that nobody knows. */
  finishReason: string | undefined
  #usage: Omit<Usage, 'estimated'> | undefined
  readonly #begun = new Set<number>()
  readonly #ended = new Set<number>()
  #firstChoice = Number.POSITIVE_INFINITY
  /** What the engine called the end, where that is no end of an answer. */
  #failure: HearthError | undefined

  constructor(dialect: EngineConfig['kind']) {
    this.#sums = dialect === 'llamacpp'
  }

  get usage(): Usage {
    if (this.#usage !== undefined) return { ...this.#usage, estimated: false }
    const completionTokens = this.generated > 0 ? this.generated : undefined
    return { promptTokens: undefined, completionTokens, cachedTokens: undefined, estimated: true }
  }

  /** The end that is none, once one came. */
  get failure(): HearthError | undefined {
    return this.#failure
  }

  fail(error: HearthError): void {
    this.#failure ??= error
  }

  /** Takes in what `reader` found in `bytes`. */
  note(bytes: Buffer, reader: AnswerReader): void {
    if (reader.usageStart >= 0) this.readUsage(bytes.subarray(reader.usageStart, reader.usageEnd))
    let brought = false
    for (let at = 0; at < reader.choiceCount; at += 1) {
      const choice = reader.choices[at]
      if (choice === undefined) break
      if (choice.hasText) brought = true
      this.#begun.add(choice.index)
      if (choice.finish.hasText) this.#end(choice.index, bytes, choice.finish.start, choice.finish.end)
    }
    if (brought) this.generated += 1
  }

  /** Takes the account of an engine: the last one counts. */
  readUsage(bytes: Buffer): void {
    if (bytes.length > usageBytesMax) return
    const said = parse(bytes)
    const completionTokens = count(said, 'completion_tokens')
    // Scores and vectors may be counted in total only.
    const promptTokens =
      count(said, 'prompt_tokens') ?? (completionTokens === undefined ? count(said, 'total_tokens') : undefined)
    if (promptTokens === undefined && completionTokens === undefined) return
    const cachedTokens = count(field(said, 'prompt_tokens_details'), 'cached_tokens')
    const before = this.#sums ? (this.#usage?.completionTokens ?? 0) : 0
    const sum = completionTokens === undefined ? undefined : completionTokens + before
    this.#usage = { promptTokens, completionTokens: sum, cachedTokens }
  }

  /** Throws where the answer has no end of its own, though its framing has one. */
  checkEnd(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#ended.size === 0) throw died('The engine ended its stream without any finish_reason')
    for (const index of this.#begun)
      if (!this.#ended.has(index)) throw died(`The engine ended its stream without a finish_reason of choice ${index}`)
  }

  #end(index: number, bytes: Buffer, start: number, end: number): void {
    this.#ended.add(index)
    const reason = end - start > reasonBytesMax ? '' : String(parse(bytes.subarray(start, end)))
    if (reason === 'error')
      this.fail(
        new HearthError('engine_error', {
          source: 'engine',
          detail: 'The engine gave "error" as its finish_reason',
        }),
      )
    // What engines write when they are stopped, or drop a request of their own accord.
    if (reason === 'abort') this.fail(died('The engine gave "abort" as its finish_reason'))
    if (index > this.#firstChoice) return
    this.#firstChoice = index
    this.finishReason = knownReason(reason)
  }
}

function died(detail: string): HearthError {
  return new HearthError('engine_died', { detail })
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

function field(value: unknown, key: string): unknown {
  return value !== null && typeof value === 'object' ? Reflect.get(value, key) : undefined
}

function count(value: unknown, key: string): number | undefined {
  const found = field(value, key)
  return typeof found === 'number' && Number.isSafeInteger(found) && found >= 0 ? found : undefined
}
