/**
 * What OpenTelemetry's conventions for generative AI want: names as Prometheus has them, bounds and attributes.
 * See https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
 */

/** `gen_ai.operation.name`; the convention knows no name for ranking. */
export type Operation = 'chat' | 'text_completion' | 'embeddings' | 'rerank'

/** Upper bounds of the buckets, as the conventions name them. */
export const genAiBounds = {
  timeToFirstToken: [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
  timePerOutputToken: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5],
  requestDuration: [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92],
  tokenUsage: [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864],
} as const

/** What all of them say of a series. The name of an engine is ours alone, and a model has one engine. */
export function genAiLabels({ operation, model }: { readonly operation: string; readonly model: string }) {
  return { gen_ai_operation_name: operation, gen_ai_provider_name: 'hearth', gen_ai_request_model: model }
}
