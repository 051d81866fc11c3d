import { chatBody } from './chat.data.ts'
import { completionsBody } from './completions.data.ts'
import { embeddingsBody } from './embeddings.data.ts'
import { rerankBody } from './rerank.data.ts'
import type { Schema } from './schema.ts'

/** The kinds of bodies that callers send. */
export type BodyKind = 'chat' | 'completions' | 'embeddings' | 'rerank'

/** What may stand in a body, kind by kind; the gateway checks by it and the API's description is made from it. */
export const bodySchemas: Readonly<Record<BodyKind, Schema>> = {
  chat: chatBody,
  completions: completionsBody,
  embeddings: embeddingsBody,
  rerank: rerankBody,
}
