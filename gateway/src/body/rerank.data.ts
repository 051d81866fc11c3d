import { accountFields, engineFieldPrefixes, engineFields, modelField } from './common.data.ts'
import type { Schema } from './schema.ts'

const documentsMax = 1000

/** `POST /v1/rerank`. */
export const rerankBody: Schema = {
  type: 'object',
  properties: {
    model: modelField,
    query: { type: 'string', policy: { large: true } },
    documents: {
      type: 'array',
      items: {
        type: ['string', 'object'],
        properties: { text: { type: 'string' } },
        required: ['text'],
        policy: { unwrap: 'text' },
      },
      minItems: 1,
      maxItems: documentsMax,
      policy: { large: true },
    },
    top_n: { type: ['integer', 'null'], minimum: 0, maximum: documentsMax },
    return_documents: { type: ['boolean', 'null'] },
  },
  required: ['query', 'documents'],
  policy: {
    refused: { forbidden_field: engineFields.filter((name) => name !== 'documents') },
    refusedPrefixes: engineFieldPrefixes,
    silent: accountFields,
  },
}
