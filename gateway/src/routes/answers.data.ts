import type { JsonSchema } from './json-schema.ts'

const text: JsonSchema = { type: 'string' }
const orNull: JsonSchema = { type: ['string', 'null'] }
const whole: JsonSchema = { type: 'integer', minimum: 0 }
const wholeOrNull: JsonSchema = { type: ['integer', 'null'], minimum: 0 }
const usage: JsonSchema = {
  type: ['object', 'null'],
  description: 'Tokens that were read and written.',
  properties: { prompt_tokens: whole, completion_tokens: whole, total_tokens: whole },
}
const toolCalls: JsonSchema = { type: ['array', 'null'], items: { type: 'object' } }
const thoughts: Readonly<Record<string, JsonSchema>> = {
  reasoning: {
    ...orNull,
    description: 'What the model thought before it answered, apart from the answer; absent where it did not.',
  },
  reasoning_content: { ...orNull, description: 'The same as reasoning, by the name that other clients read.' },
}
const finishReason: JsonSchema = {
  ...orNull,
  description: 'Why it ended: stop, length, tool_calls … An answer without it was cut.',
}
const streamUsage: JsonSchema = {
  ...usage,
  description: 'In the last chunk, whose choices are empty, where stream_options.include_usage asked for it.',
}
const head: Readonly<Record<string, JsonSchema>> = { id: text, created: whole, model: text }
const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items })

const vector: JsonSchema = {
  type: 'object',
  properties: {
    object: { type: 'string', enum: ['embedding'] },
    index: whole,
    embedding: {
      description: 'Numbers, or with encoding_format base64 their float32 bytes.',
      anyOf: [list({ type: 'number' }), text],
    },
  },
  required: ['index', 'embedding'],
}

const model: JsonSchema = {
  type: 'object',
  properties: {
    id: text,
    object: { type: 'string', enum: ['model'] },
    created: whole,
    owned_by: text,
    max_model_len: { ...whole, description: 'Tokens, prompt and answer together.' },
    hearth: {
      type: 'object',
      properties: {
        task: { type: 'string', enum: ['chat', 'embed', 'rerank'], description: 'Which routes it answers.' },
        aliases: { ...list(text), description: 'Its other names.' },
        contextTokens: { ...wholeOrNull, description: 'As max_model_len; null where nobody said.' },
        reasoning: {
          type: 'string',
          enum: ['fields', 'tags', 'open-tags'],
          description:
            'How the model itself sets its thinking apart. Answers give it in reasoning and reasoning_content whichever it is.',
        },
        vision: {
          type: ['object', 'null'],
          description: 'How it sees pictures; null: it reads none.',
          properties: {
            coordinates: {
              type: 'string',
              enum: ['absolute', 'relative-1000', 'relative-1', 'none'],
              description:
                'How it writes places: in pixels of the picture as it sees it, in thousandths or in parts of its sides, or not at all.',
            },
            factor: { ...whole, description: 'Sides are rounded to multiples of so many pixels.' },
            minPixels: { ...whole, description: 'A smaller picture is enlarged to so many pixels.' },
            maxPixels: { ...whole, description: 'A larger picture is reduced to so many pixels.' },
            maxSide: { ...whole, description: 'Pixels to which the longer side should be reduced before it is sent.' },
          },
          required: ['coordinates', 'factor', 'minPixels', 'maxPixels', 'maxSide'],
        },
        state: {
          type: 'string',
          enum: ['ready', 'unreachable', 'unknown'],
          description:
            'What was heard last about its engine, stateAgeMs ago; nobody is asked for this answer. unknown: nothing yet.',
        },
        stateCode: { ...orNull, description: 'Why it could not be reached: a code of the table of errors.' },
        stateAgeMs: { ...wholeOrNull, description: 'Milliseconds since that was heard.' },
      },
      required: ['task', 'aliases', 'contextTokens', 'reasoning', 'vision', 'state', 'stateCode', 'stateAgeMs'],
    },
  },
  required: ['id', 'object', 'created', 'owned_by', 'hearth'],
}

const streamWords = [
  'Each event is "data: " and a chunk, the last one "data: [DONE]". Lines that begin with ":" are comments, which clients skip:',
  'a heartbeat after a silence, of 15 s unless the key says otherwise, and before the last event server-timing.',
  'A stream that cannot be finished ends in "event: error" with the error object instead, without "data: [DONE]"; so may one that began',
  'with 200 and a heartbeat before its engine answered.',
].join(' ')

/** The shapes of the answers; engines may add to them. */
export const answerSchemas = {
  ChatCompletion: {
    type: 'object',
    properties: {
      ...head,
      object: { type: 'string', enum: ['chat.completion'] },
      choices: list({
        type: 'object',
        properties: {
          index: whole,
          message: {
            type: 'object',
            properties: {
              role: text,
              content: {
                ...orNull,
                description: 'Null where it calls tools instead, or was cut off while the model still thought.',
              },
              ...thoughts,
              tool_calls: toolCalls,
            },
            required: ['role', 'content'],
          },
          finish_reason: finishReason,
        },
        required: ['index', 'message', 'finish_reason'],
      }),
      usage,
    },
    required: ['id', 'object', 'created', 'model', 'choices'],
  },
  ChatCompletionChunk: {
    type: 'object',
    description: streamWords,
    properties: {
      ...head,
      object: { type: 'string', enum: ['chat.completion.chunk'] },
      choices: list({
        type: 'object',
        properties: {
          index: whole,
          delta: {
            type: 'object',
            description: 'What came to the answer; {} in a heartbeat of the form empty-delta.',
            properties: { role: text, content: orNull, ...thoughts, tool_calls: toolCalls },
          },
          finish_reason: finishReason,
        },
        required: ['index', 'delta'],
      }),
      usage: streamUsage,
    },
    required: ['id', 'object', 'created', 'model', 'choices'],
  },
  CompletionChunk: {
    type: 'object',
    description: streamWords,
    properties: {
      ...head,
      object: { type: 'string', enum: ['text_completion'] },
      choices: list({
        type: 'object',
        properties: { index: whole, text, finish_reason: finishReason },
        required: ['index', 'text'],
      }),
      usage: streamUsage,
    },
    required: ['id', 'object', 'created', 'model', 'choices'],
  },
  Completion: {
    type: 'object',
    properties: {
      ...head,
      object: { type: 'string', enum: ['text_completion'] },
      choices: list({
        type: 'object',
        properties: { index: whole, text, finish_reason: finishReason },
        required: ['index', 'text', 'finish_reason'],
      }),
      usage,
    },
    required: ['id', 'object', 'created', 'model', 'choices'],
  },
  Embeddings: {
    type: 'object',
    properties: { object: { type: 'string', enum: ['list'] }, model: text, data: list(vector), usage },
    required: ['object', 'model', 'data'],
  },
  Ranking: {
    type: 'object',
    properties: {
      id: text,
      model: text,
      results: {
        ...list({
          type: 'object',
          properties: {
            index: { ...whole, description: 'Which of the documents that were sent, counted from 0.' },
            relevance_score: { type: 'number' },
            document: { type: ['object', 'null'], properties: { text: orNull } },
          },
          required: ['index', 'relevance_score'],
        }),
        description: 'The best first.',
      },
      usage,
    },
    required: ['model', 'results'],
  },
  Model: model,
  ModelList: {
    type: 'object',
    properties: { object: { type: 'string', enum: ['list'] }, data: list({ $ref: '#/components/schemas/Model' }) },
    required: ['object', 'data'],
  },
  Health: { type: 'object', properties: { status: { type: 'string', enum: ['ok'] } }, required: ['status'] },
  Readiness: {
    type: 'object',
    properties: {
      ready: { type: 'boolean' },
      code: { ...text, description: 'Why no model is asked for; only while this instance shuts down.' },
      models: {
        type: 'object',
        description: 'By the public name of each model.',
        additionalProperties: {
          type: 'object',
          properties: { state: { type: 'string', enum: ['ready', 'unreachable'] }, code: text, message: text },
          required: ['state'],
        },
      },
    },
    required: ['ready'],
  },
} as const satisfies Record<string, JsonSchema>
