import { accountFields, engineFieldPrefixes, engineFields, modelField, samplingFields } from './common.data.ts'
import type { Schema } from './schema.ts'

/** Fields of OpenAI that multiply the work or show the prompt again: refused, but where their value asks for nothing. */
const asksForNothing = new Set<string>(['best_of', 'echo'])

/** `POST /v1/completions`. */
export const completionsBody: Schema = {
  type: 'object',
  properties: {
    model: modelField,
    // Texts only: ids of tokens would reach the special ones, which no text does.
    prompt: { type: ['string', 'array'], items: { type: 'string' }, minItems: 1, maxItems: 4, policy: { large: true } },
    ...samplingFields,
    logprobs: { type: ['integer', 'null'], minimum: 0, maximum: 20 },
    best_of: { type: ['integer', 'null'], minimum: 1, maximum: 1, policy: { refusedAs: 'forbidden_field' } },
    echo: { type: ['boolean', 'null'], enum: [false, null], policy: { refusedAs: 'forbidden_field' } },
    suffix: { type: 'null', policy: { refusedAs: 'forbidden_field' } },
  },
  required: ['model', 'prompt'],
  policy: {
    refused: { forbidden_field: engineFields.filter((name) => !asksForNothing.has(name)) },
    refusedPrefixes: engineFieldPrefixes,
    silent: accountFields,
  },
}
