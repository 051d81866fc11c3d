const known: ReadonlySet<string> = new Set([
  ...['stop', 'length', 'tool_calls', 'function_call', 'content_filter', 'error', 'abort'],
  ...['repetition', 'eos_token', 'stop_sequence', 'end_turn', 'max_tokens', 'timeout'],
])

/** The end that an engine names; `other` for what none is known to use: that is a text of the engine, which no log keeps. */
export function knownReason(said: string): string {
  return known.has(said) ? said : 'other'
}
