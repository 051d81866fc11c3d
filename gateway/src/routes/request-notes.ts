import type { RequestState } from '../edge/request.ts'
import { fixOf } from '../errors.ts'
import type { Engine } from '../routing/engines.ts'
import { knownReason } from '../upstream/dialects/finish-reason.ts'
import type { RelayOutcome } from '../upstream/relay.ts'
import type { Carried } from '../upstream/tunnels.ts'
import type { PictureFacts } from '../vision/pictures.ts'

/** What the pictures come to; nothing for a request without any. */
export function notePictures({ log }: Pick<RequestState, 'log'>, facts: readonly PictureFacts[]): void {
  if (facts.length === 0) return
  log.pictures = facts.length
  log.picturePixels = facts.reduce((sum, { width, height }) => sum + width * height, 0)
  log.pictureBytes = facts.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** The connection that carries the request. */
export function noteConnection({ log }: RequestState, { reused, tries }: Carried, connectMs: number): void {
  log.connectMs = connectMs
  log.reused = reused
  if (tries > 1) log.connectTries = tries
}

/** The way through the mesh, where there is one. */
export function noteWay({ log }: RequestState, { upstream }: Engine): void {
  const way = upstream.way()
  if (way === undefined) return
  log.meshPath = way.path
  log.meshRttMs = way.rttMs
}

/** What an answer came to, whole or cut; `ms` is how long it took, with its time in the line. */
export function noteAnswer(
  { log, timing }: Pick<RequestState, 'log' | 'timing'>,
  outcome: RelayOutcome,
  ms: number,
): void {
  const { bytesOut, firstByteMs, firstTokenMs, usage, finishReason, error } = outcome
  const { promptTokens, completionTokens, cachedTokens, estimated } = usage
  const ttftMs = firstTokenMs === undefined ? undefined : (timing.queueMs ?? 0) + firstTokenMs
  const tokensPerSecond = rateOf(completionTokens, ttftMs, ms)
  const tokens = { promptTokens, cachedTokens, completionTokens, tokensEstimated: estimated, tokensPerSecond }
  Object.assign(log, { bytesOut, firstByteMs, ttftMs, ...tokens, finishReason: reasonOf(finishReason) })
  if (error !== undefined) Object.assign(log, { outcome: error.code, detail: error.detail, fix: fixOf(error.code) })
}

/** Why the engine stopped, in words of ours: its own word is a text like any other that it writes. */
function reasonOf(said: string | undefined): string | undefined {
  return said === undefined ? undefined : knownReason(said)
}

/** Tokens a second from the first one on; undefined where there was no time between them. */
function rateOf(tokens: number | undefined, firstMs: number | undefined, lastMs: number): number | undefined {
  if (tokens === undefined || firstMs === undefined || tokens < 2 || lastMs - firstMs < 1) return undefined
  return ((tokens - 1) * 1000) / (lastMs - firstMs)
}
