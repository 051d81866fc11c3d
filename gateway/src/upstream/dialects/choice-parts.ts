const quote = 0x22

/** Where one value stands in the bytes of an answer. */
export class ValuePlace {
  start = -1
  end = -1
  /** Where its key begins, quote included. */
  keyStart = -1
  isText = false

  get isThere(): boolean {
    return this.start >= 0
  }

  /** Whether it is a text with at least one character. */
  get hasText(): boolean {
    return this.isText && this.end - this.start > 2
  }

  set(bytes: Buffer, start: number, end: number, keyStart = -1): void {
    this.start = start
    this.end = end
    this.keyStart = keyStart
    this.isText = bytes[start] === quote
  }

  clear(): void {
    this.start = -1
    this.isText = false
  }
}

/** The parts of one choice: places in the bytes of the answer that was read last. */
export class ChoiceParts {
  index = 0
  /** The place behind its opening brace. */
  start = 0
  readonly finish = new ValuePlace()
  /** The text of a plain completion. */
  readonly text = new ValuePlace()
  readonly content = new ValuePlace()
  readonly reasoning = new ValuePlace()
  readonly reasoningContent = new ValuePlace()
  /** Whether it calls a tool. */
  calls = false
  /** Between the braces of its message or delta; -1 where it has none. */
  messageStart = -1
  messageEnd = -1

  /** Whether it brings something that the model wrote. */
  get hasText(): boolean {
    return (
      this.content.hasText || this.text.hasText || this.reasoning.hasText || this.reasoningContent.hasText || this.calls
    )
  }

  clear(start: number): void {
    this.index = 0
    this.start = start
    this.calls = false
    this.messageStart = -1
    this.finish.clear()
    this.text.clear()
    this.content.clear()
    this.reasoning.clear()
    this.reasoningContent.clear()
  }
}
