import type { BodyKind } from '../body/fields.ts'
import { type HearthError, toHearthError } from '../errors.ts'
import type { AnswerEnd } from '../metrics/answers.ts'
import type { Operation } from '../metrics/gen-ai.ts'
import type { Meters } from '../metrics.ts'
import type { ModelRoute } from '../routing/engines.ts'

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

/** How it ended, as the relay says. */
export interface MeteredOutcome {
  readonly bytesOut: number
  readonly error: HearthError | undefined
  /** From dispatch. */
  readonly firstTokenMs?: number | undefined
  readonly usage?: AnswerEnd['usage']
}

/**
 * Counts one answer, however it ends: `answer` brings it and is told when the request was handed to the engine. Of one
 * that fails before its head only the time and the code are known.
 */
export async function meterAnswer<Outcome extends MeteredOutcome>(
  { meters, now }: { readonly meters: Meters; readonly now: () => number },
  { kind, route, pictures }: Metered,
  signal: AbortSignal,
  answer: (onDispatch: () => void) => Promise<Outcome>,
): Promise<Outcome> {
  const startedAt = now()
  let dispatchedAt = startedAt
  const common = { engine: route.engine.config.name, model: route.model.id, operation: operations[kind], pictures }
  try {
    const outcome = await answer(() => {
      dispatchedAt = now()
    })
    const { error, bytesOut, firstTokenMs, usage } = outcome
    meters.answer({
      ...common,
      code: error?.code ?? 'ok',
      ms: now() - startedAt,
      firstTokenMs: firstTokenMs === undefined ? undefined : firstTokenMs + dispatchedAt - startedAt,
      bytesOut,
      usage,
    })
    // What its signal ended is counted with the request.
    if (error !== undefined && !signal.aborted) meters.abort(error.code)
    return outcome
  } catch (thrown) {
    const { code } = toHearthError(thrown)
    meters.answer({ ...common, code, ms: now() - startedAt, firstTokenMs: undefined, bytesOut: 0, usage: undefined })
    throw thrown
  }
}
