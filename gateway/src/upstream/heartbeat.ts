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
