import type { EngineConfig, ModelConfig } from '../config.ts'
import type { AnswerKind, Shaper } from './shaper.ts'

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

/** The shaper of one answer. */
export function createShaper(_options: ShaperOptions): Shaper {
  const nothing = Buffer.alloc(0)
  return {
    event: (event) => event,
    endOfEvents: () => nothing,
    piece: (bytes) => bytes,
    endOfPieces: () => nothing,
    generated: 0,
    usage: { promptTokens: undefined, completionTokens: undefined, cachedTokens: undefined, estimated: true },
    finishReason: undefined,
  }
}
