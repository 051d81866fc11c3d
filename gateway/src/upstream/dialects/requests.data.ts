import type { EngineConfig } from '../../config.ts'

/**
 * Fields that an engine knows by another name than OpenAI or the rest. vLLM, SGLang and OpenAI take all that passes by
 * the names it has; llama.cpp drops without a word what it does not know.
 */
export const renamedFields: Readonly<Record<EngineConfig['kind'], Readonly<Record<string, string>>>> = {
  vllm: {},
  sglang: {},
  openai: {},
  // Its newer versions know both names of the first.
  llamacpp: { max_completion_tokens: 'max_tokens', repetition_penalty: 'repeat_penalty' },
}
