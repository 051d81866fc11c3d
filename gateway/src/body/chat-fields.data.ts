/** Top-level fields of a chat request that reach the engine; engines take any other one silently and may obey it. */
export const allowedFields: ReadonlySet<string> = new Set([
  'model',
  'messages',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'n',
  'stop',
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'repetition_penalty',
  'stream',
  'stream_options',
  'response_format',
  'structured_outputs',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'logprobs',
  'top_logprobs',
  'logit_bias',
  'reasoning_effort',
  'chat_template_kwargs',
])

/** What clients of OpenAI send as a matter of course and no engine needs: dropped without a word. */
export const silentFields: ReadonlySet<string> = new Set(['user', 'metadata', 'store', 'service_tier'])

/** Fields that reach into the engine, its cache, its order of work or its files; beside these, all of `guided_…`. */
export const forbiddenFields: ReadonlySet<string> = new Set([
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
])

/** The switches of a chat template that a caller may set, both true or false. */
export const templateSwitches: ReadonlySet<string> = new Set(['enable_thinking', 'thinking'])

/** Fields whose value is a grammar or a schema: an engine compiles it, so it must not be deep either. */
export const compiledFields = ['response_format', 'structured_outputs', 'tools'] as const
