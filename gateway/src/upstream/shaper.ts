/** The kinds of answers, as the routes that ask for them. */
export type AnswerKind = 'chat' | 'completions' | 'embeddings' | 'rerank'

/** The two names of one model. */
export interface ModelNames {
  /** The name that callers see. */
  readonly model: string
  /** The engine's own name, which stays inside: it may be a path. */
  readonly served: string
}

/** What an answer cost so far. */
export interface Usage {
  readonly promptTokens: number | undefined
  readonly completionTokens: number | undefined
  /** Tokens of the prompt that the engine had in its cache. */
  readonly cachedTokens: number | undefined
  /** Whether the engine gave no figure (yet), and events with text were counted instead. */
  readonly estimated: boolean
}

/**
 * Turns what one engine says into what one caller gets, and reads the meter on the way. One for each answer; it holds no
 * socket and no timer. Everything it returns may be written at once.
 */
export interface Shaper {
  /** The names of the model: errors of the engine speak of it by its own. */
  readonly names: ModelNames
  /**
   * One whole event of a stream, its blank line included; never a comment, `[DONE]` or an error. Returns the very same
   * bytes where no rule touches it, and none where it stays inside.
   */
  event(event: Buffer): Buffer
  /** Asked once, before the terminal event is passed on: what was held back. Throws `engine_died` where an answer has no end. */
  endOfEvents(): Buffer
  /** The next bytes of a plain answer. Returns what may go to the caller now. Throws `engine_bad_answer`, `answer_too_large`. */
  piece(bytes: Buffer): Buffer
  /** Asked once, when the last byte of a plain answer came: the rest. Throws `engine_died` where the document is not whole. */
  endOfPieces(): Buffer
  /** Events so far that brought text of the answer: it grows by one an event at most. 0 for a plain answer. */
  readonly generated: number
  readonly usage: Usage
  /** Why the engine stopped, once it said so: `stop`, `length`, `tool_calls`… The first choice's; `other` where nobody knows the word. */
  readonly finishReason: string | undefined
}
