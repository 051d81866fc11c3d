import type { Schema } from './schema.ts'

/** What a content part may be called or carry, and the gateway does not let through. */
export const unsupportedContent = [
  'video_url',
  'video',
  'audio_url',
  'audio',
  'input_audio',
  'file_url',
  'file',
  'input_file',
  'image_embeds',
  'audio_embeds',
  'prompt_embeds',
  'image_pil',
] as const

const wantedPicture = 'one url: {"url":"data:image/png;base64,…"}'

/** A picture in itself: its url, or an object with it. */
const picture: Schema = {
  type: ['object', 'string'],
  properties: {
    url: { type: 'string', policy: { holds: 'picture', wanted: wantedPicture } },
    detail: { type: ['string', 'null'], enum: ['auto', 'low', 'high', 'original', null] },
  },
  required: ['url'],
  policy: { holds: 'picture', wanted: wantedPicture },
}

const part: Schema = {
  type: 'object',
  properties: {
    type: {
      type: 'string',
      enum: ['text', 'input_text', 'output_text', 'refusal', 'thinking', 'image_url', 'input_image'],
      policy: { refusedAs: 'unsupported_content' },
    },
    text: { type: 'string' },
    refusal: { type: 'string' },
    thinking: { type: 'string' },
    image_url: picture,
    input_image: picture,
  },
  policy: {
    refused: { unsupported_content: unsupportedContent },
    // An engine takes it for the picture itself, so a guessed one shows or poisons another caller's.
    silent: ['uuid'],
  },
}

const toolCall: Schema = {
  type: 'object',
  properties: {
    id: { type: 'string', maxLength: 256 },
    type: { type: 'string', enum: ['function'] },
    function: {
      type: 'object',
      properties: {
        name: { type: 'string', minLength: 1, maxLength: 256 },
        // Engines parse it once more.
        arguments: { type: 'string', maxLength: 1024 * 1024, policy: { holds: 'json-text' } },
      },
      required: ['name', 'arguments'],
    },
  },
  required: ['function'],
  policy: { silent: ['index'] },
}

/** One of `messages`. */
export const message: Schema = {
  type: 'object',
  properties: {
    // Templates write the role out as it is, so another one could forge the marks between messages.
    role: { type: 'string', enum: ['system', 'developer', 'user', 'assistant', 'tool', 'function'] },
    content: { type: ['string', 'array', 'null'], items: part },
    name: { type: ['string', 'null'], maxLength: 256 },
    tool_calls: { type: ['array', 'null'], items: toolCall, maxItems: 256 },
    tool_call_id: { type: ['string', 'null'], maxLength: 256 },
    refusal: { type: ['string', 'null'] },
    reasoning: { type: ['string', 'null'] },
    reasoning_content: { type: ['string', 'null'] },
  },
  required: ['role'],
  policy: {
    refused: { remote_picture: ['image_url', 'input_image'] },
    // What an answer of OpenAI carries, and comes back with the conversation.
    silent: ['annotations', 'audio', 'function_call'],
  },
}
