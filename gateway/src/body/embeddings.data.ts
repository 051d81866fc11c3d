import { accountFields, engineFieldPrefixes, engineFields, modelField } from './common.data.ts'
import type { Schema } from './schema.ts'

const inputMax = 2048
const input: Schema = {
  type: ['string', 'array'],
  items: { type: 'string' },
  minItems: 1,
  maxItems: inputMax,
  policy: { large: true },
}

/** `POST /v1/embeddings`. */
export const embeddingsBody: Schema = {
  type: 'object',
  properties: {
    model: modelField,
    input,
    texts: { ...input, description: 'Another name of input.', policy: { large: true, aliasOf: 'input' } },
    encoding_format: { type: ['string', 'null'], enum: ['float', 'base64', null] },
    dimensions: { type: ['integer', 'null'], minimum: 1, maximum: 65_536 },
  },
  required: ['input'],
  policy: {
    refused: { forbidden_field: engineFields },
    refusedPrefixes: engineFieldPrefixes,
    silent: accountFields,
  },
}
