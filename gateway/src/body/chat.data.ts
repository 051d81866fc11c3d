import {
  accountFields,
  callerSchema,
  engineFieldPrefixes,
  engineFields,
  modelField,
  samplingFields,
} from './common.data.ts'
import { message } from './messages.data.ts'
import type { Schema } from './schema.ts'

const functionName: Schema = { type: 'string', minLength: 1, maxLength: 256 }

const tool: Schema = {
  type: 'object',
  properties: {
    type: { type: 'string', enum: ['function'] },
    function: {
      type: 'object',
      properties: {
        name: functionName,
        description: { type: ['string', 'null'] },
        parameters: callerSchema,
        strict: { type: ['boolean', 'null'] },
      },
      required: ['name'],
    },
  },
  required: ['type', 'function'],
}

const toolChoice: Schema = {
  type: ['string', 'object', 'null'],
  enum: ['none', 'auto', 'required', null],
  properties: {
    type: { type: 'string', enum: ['function'] },
    function: { type: 'object', properties: { name: functionName }, required: ['name'] },
  },
  required: ['type', 'function'],
  policy: { wanted: '"none", "auto", "required" or {"type":"function","function":{"name":…}}' },
}

/** `POST /v1/chat/completions`. */
export const chatBody: Schema = {
  type: 'object',
  properties: {
    model: modelField,
    messages: { type: 'array', items: message, policy: { large: true } },
    ...samplingFields,
    max_completion_tokens: { type: ['integer', 'null'], minimum: 0, maximum: 10_000_000 },
    tools: { type: ['array', 'null'], items: tool, maxItems: 256 },
    tool_choice: toolChoice,
    parallel_tool_calls: { type: ['boolean', 'null'] },
    logprobs: { type: ['boolean', 'null'] },
    top_logprobs: { type: ['integer', 'null'], minimum: 0, maximum: 20 },
    reasoning_effort: {
      type: ['string', 'null'],
      enum: ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max', null],
    },
    chat_template_kwargs: {
      type: ['object', 'null'],
      properties: { enable_thinking: { type: 'boolean' }, thinking: { type: 'boolean' } },
      additionalProperties: false,
    },
  },
  required: ['model', 'messages'],
  policy: {
    refused: { forbidden_field: engineFields },
    refusedPrefixes: engineFieldPrefixes,
    silent: accountFields,
  },
}
