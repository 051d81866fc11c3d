import type { Usage } from './stream.ts'

/** Instants of one answer, in milliseconds of one clock. */
export interface Timing {
  startedAtMs: number
  firstTokenAtMs: number | undefined
  lastTokenAtMs: number | undefined
  endedAtMs: number
  deltaCount: number
  usage: Usage | undefined
}

export interface Stats {
  tokens: number
  tokensPerSecond: number | undefined
  promptTokens: number | undefined
  firstTokenMs: number | undefined
  totalMs: number
  /** True when the engine gave no usage, so that the stream's pieces were counted in its place. */
  isEstimate: boolean
}

/** The figures below an answer. Speed covers generation alone: from the first token to the last. */
export function measure(timing: Timing): Stats {
  const { startedAtMs, firstTokenAtMs, lastTokenAtMs, endedAtMs, deltaCount, usage } = timing
  const tokens = usage?.completionTokens ?? deltaCount
  return {
    tokens,
    tokensPerSecond: speed(tokens, firstTokenAtMs, lastTokenAtMs),
    promptTokens: usage?.promptTokens,
    firstTokenMs: firstTokenAtMs === undefined ? undefined : firstTokenAtMs - startedAtMs,
    totalMs: endedAtMs - startedAtMs,
    isEstimate: usage === undefined,
  }
}

// The first token only starts the clock, so n tokens span n − 1 intervals. What came in one burst was timed by the network.
const burstMs = 100

function speed(tokens: number, firstAtMs: number | undefined, lastAtMs: number | undefined): number | undefined {
  if (firstAtMs === undefined || lastAtMs === undefined || tokens < 2 || lastAtMs - firstAtMs < burstMs)
    return undefined
  return ((tokens - 1) * 1000) / (lastAtMs - firstAtMs)
}
