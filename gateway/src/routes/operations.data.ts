import type { BodyKind } from '../body/kinds.data.ts'
import type { answerSchemas } from './answers.data.ts'
import type { CallerRoute } from './routes.data.ts'

/** What the description of the API says of one route. */
export interface OperationText {
  readonly summary: string
  readonly description: string
  /** Where there is a body: its kind, and one that works. `MODEL` stands for the id of a model. */
  readonly request?: { readonly kind: BodyKind; readonly example: Readonly<Record<string, unknown>> }
  /** Undefined: this document itself, or the page made of it. */
  readonly answer?: keyof typeof answerSchemas
  readonly answerType?: 'application/json' | 'text/html'
  /** What each event of a stream holds, where `stream: true` makes the answer one. */
  readonly chunk?: keyof typeof answerSchemas
  /** Whether the answer has the same shape where the status is 503. */
  readonly saysUnavailable?: true
}

const streamText = 'With stream: true the answer comes as server-sent events and ends in "data: [DONE]".'

export const operationTexts: Readonly<Record<CallerRoute['handler'], OperationText>> = {
  chat: {
    summary: 'Answer a conversation',
    description: `Takes texts, and pictures where the model has vision. Pictures are sent inline, as data: URLs of PNG, JPEG or WebP. ${streamText}`,
    request: {
      kind: 'chat',
      example: {
        model: 'MODEL',
        messages: [{ role: 'user', content: 'Name three uses of a home GPU.' }],
        max_tokens: 200,
      },
    },
    answer: 'ChatCompletion',
    chunk: 'ChatCompletionChunk',
  },
  completions: {
    summary: 'Continue a text',
    description: `For models of the task chat, without their template. ${streamText}`,
    request: { kind: 'completions', example: { model: 'MODEL', prompt: 'The lighthouse keeper', max_tokens: 40 } },
    answer: 'Completion',
    chunk: 'CompletionChunk',
  },
  embeddings: {
    summary: 'Turn texts into vectors',
    description:
      'Without model it takes the first model of the task embed that the key may use. The texts stand in input or in texts.',
    request: { kind: 'embeddings', example: { input: ['a cat on a mat', 'a dog in the fog'] } },
    answer: 'Embeddings',
  },
  rerank: {
    summary: 'Order documents by a question',
    description: 'Without model it takes the first model of the task rerank that the key may use.',
    request: {
      kind: 'rerank',
      example: { query: 'How warm is the GPU?', documents: ['It reads 61 °C.', 'Cats sleep a lot.'], top_n: 1 },
    },
    answer: 'Ranking',
  },
  models: {
    summary: 'List the models',
    description:
      'Those that the key may use, whether or not the home is awake: nobody is asked. What was heard last about the engine of each stands in hearth.state.',
    answer: 'ModelList',
  },
  model: {
    summary: 'Show one model',
    description: 'By its id or one of its other names.',
    answer: 'Model',
  },
  health: { summary: 'Is the gateway up?', description: 'Asks nothing else.', answer: 'Health' },
  ready: {
    summary: 'Can answers be had?',
    description:
      'Asks each engine through its whole road: 200 when every model can answer, else 503 with the codes of those that cannot.',
    answer: 'Readiness',
    saysUnavailable: true,
  },
  openapi: {
    summary: 'This description',
    description: 'OpenAPI 3.1, made at the start from what the gateway checks by.',
    answerType: 'application/json',
  },
  docs: { summary: 'This page', description: 'The same description for people.', answerType: 'text/html' },
}
