import type { BodyKind } from '../body/fields.ts'
import type { RequestState } from '../edge/request.ts'
import { toHearthError } from '../errors.ts'
import type { Operation } from '../metrics/gen-ai.ts'
import type { Meters } from '../metrics.ts'
import type { ModelRoute } from '../routing/engines.ts'
import type { RelayOutcome } from '../upstream/relay.ts'

const operations: Readonly<Record<BodyKind, Operation>> = {
  chat: 'chat',
  completions: 'text_completion',
  embeddings: 'embeddings',
  rerank: 'rerank',
}

/** What is known of an answer before it comes. */
export interface Metered {
  readonly kind: BodyKind
  readonly route: ModelRoute
  readonly pictures: number
}

/**
 * Counts the one answer that `answer` brings, however it ends. Of one that fails before its head only the time and the
 * code are known.
 */
export async function meterAnswer(
  { meters, now }: { readonly meters: Meters; readonly now: () => number },
  { kind, route, pictures }: Metered,
  request: Pick<RequestState, 'abort' | 'timing' | 'stream'>,
  answer: () => Promise<RelayOutcome>,
): Promise<RelayOutcome> {
  const { signal } = request.abort
  const startedAt = now()
  const common = { engine: route.engine.config.name, model: route.model.id, operation: operations[kind], pictures }
  try {
    const outcome = await answer()
    const { error, bytesOut, firstTokenMs, usage } = outcome
    meters.answer({
      ...common,
      code: error?.code ?? 'ok',
      ms: now() - startedAt,
      firstTokenMs: firstTokenMs === undefined ? undefined : (request.timing.queueMs ?? 0) + firstTokenMs,
      bytesOut,
      usage,
    })
    // What its signal ended is counted with the request.
    if (error !== undefined && !signal.aborted) meters.abort(error.code)
    return outcome
  } catch (thrown) {
    const { code } = toHearthError(thrown)
    meters.answer({ ...common, code, ms: now() - startedAt, firstTokenMs: undefined, bytesOut: 0, usage: undefined })
    // Its caller has the head of a stream already.
    if (request.stream?.begunEarly === true && !signal.aborted) meters.abort(code)
    throw thrown
  }
}
