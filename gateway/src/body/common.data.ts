import type { Schema } from './schema.ts'

/** Fields that reach into the engine, its cache, its order of work or its files: always refused, whatever their value. */
export const engineFields = [
  'chat_template',
  'media_io_kwargs',
  'mm_processor_kwargs',
  'prompt_embeds',
  'kv_transfer_params',
  'ec_transfer_params',
  'vllm_xargs',
  'cache_salt',
  'priority',
  'request_id',
  'session_id',
  'documents',
  'best_of',
  'use_beam_search',
  'truncate_prompt_tokens',
  'truncation_side',
  'prompt_logprobs',
  'echo',
  'add_generation_prompt',
  'continue_final_message',
  'add_special_tokens',
  'stream_interval',
] as const

/** The older family of `structured_outputs`: today's engines do nothing with it, silently. */
export const engineFieldPrefixes = ['guided_'] as const

/** What clients of OpenAI send as a matter of course and no engine needs. */
export const accountFields = [
  'user',
  'metadata',
  'store',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
] as const

export const modelField: Schema = { type: 'string', minLength: 1, maxLength: 256, description: 'The id of a model.' }

/** The JSON Schema of a caller, which engines compile. */
export const callerSchema: Schema = {
  type: ['object', 'null'],
  additionalProperties: true,
  policy: { holds: 'json-schema' },
}

/** How the next token is chosen, alike for chats and for plain completions. */
export const samplingFields: Readonly<Record<string, Schema>> = {
  max_tokens: { type: ['integer', 'null'], minimum: 0, maximum: 10_000_000 },
  temperature: { type: ['number', 'null'], minimum: 0, maximum: 2 },
  top_p: { type: ['number', 'null'], minimum: 0, maximum: 1 },
  top_k: { type: ['integer', 'null'], minimum: -1, maximum: 1_000_000 },
  min_p: { type: ['number', 'null'], minimum: 0, maximum: 1 },
  n: { type: ['integer', 'null'], minimum: 1, maximum: 4, description: 'How many answers are written.' },
  stop: {
    type: ['string', 'array', 'null'],
    items: { type: 'string' },
    maxItems: 4,
    description: 'Texts at which the answer ends.',
  },
  seed: { type: ['integer', 'null'], minimum: -(2 ** 63), maximum: 2 ** 63 },
  presence_penalty: { type: ['number', 'null'], minimum: -2, maximum: 2 },
  frequency_penalty: { type: ['number', 'null'], minimum: -2, maximum: 2 },
  repetition_penalty: { type: ['number', 'null'], minimum: 0, maximum: 10 },
  logit_bias: {
    type: ['object', 'null'],
    additionalProperties: { type: 'number', minimum: -100, maximum: 100 },
    maxProperties: 1024,
  },
  stream: { type: ['boolean', 'null'] },
  stream_options: {
    type: ['object', 'null'],
    properties: {
      include_usage: { type: ['boolean', 'null'] },
      continuous_usage_stats: { type: ['boolean', 'null'] },
    },
    policy: { silent: ['include_obfuscation'] },
  },
  response_format: {
    type: ['object', 'null'],
    properties: {
      type: { type: 'string', enum: ['text', 'json_object', 'json_schema'] },
      json_schema: {
        type: ['object', 'null'],
        properties: {
          name: { type: 'string', maxLength: 256 },
          description: { type: ['string', 'null'] },
          schema: callerSchema,
          strict: { type: ['boolean', 'null'] },
        },
      },
      schema: callerSchema,
    },
    required: ['type'],
  },
  structured_outputs: {
    type: ['object', 'null'],
    properties: {
      json: callerSchema,
      json_object: { type: ['boolean', 'null'] },
      choice: { type: ['array', 'null'], items: { type: 'string' }, minItems: 1, maxItems: 1000 },
    },
    // An engine compiles these, and some never end or take it down.
    policy: { refused: { forbidden_field: ['regex', 'grammar', 'structural_tag', 'whitespace_pattern'] } },
  },
}
