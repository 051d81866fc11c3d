import type { Patch } from './patches.data.ts'

const meter = 'gateway/src/upstream/dialects/meter.ts'
const shaping = 'gateway/src/upstream/shaping.ts'
const shapingTest = 'gateway/src/upstream/shaping.test.ts'
const namesTest = 'gateway/src/upstream/shaping-names.test.ts'
const reasoningTest = 'gateway/src/upstream/shaping-reasoning.test.ts'
const errorsTest = 'gateway/src/upstream/engine-errors-table.test.ts'
const wholeTest = 'a stream is whole only with a finish_reason of each choice'

/** What is taken away from the metering of answers, and from what makes them whole or not. */
export const meteringPatches: readonly Patch[] = [
  {
    name: 'a stream without a finish_reason passes as whole',
    row: 'R36',
    file: meter,
    was: 'if (this.#ended.size === 0) throw',
    text: 'if (this.#ended.size < 0) throw',
    seenBy: { file: shapingTest, test: wholeTest },
  },
  {
    name: 'the end of one choice stands for all',
    row: 'R36',
    file: meter,
    was: 'if (!this.#ended.has(index))',
    text: 'if (index < 0)',
    seenBy: { file: shapingTest, test: wholeTest },
  },
  {
    name: 'a stream that the engine dropped passes as whole',
    row: 'R36',
    file: meter,
    was: "if (reason === 'abort')",
    text: "if (reason === 'never')",
    seenBy: { file: shapingTest, test: 'a finish_reason that says it failed is no end' },
  },
  {
    name: 'a plain answer that was cut passes as whole',
    row: 'R36',
    file: 'gateway/src/upstream/dialects/plain-answer.ts',
    was: 'if (!this.#document.isWhole)',
    text: 'if (this.#heldBytes < 0)',
    seenBy: { file: namesTest, test: 'a plain answer that was cut is engine_died, wherever it was cut' },
  },
  {
    name: 'a plain answer leaves before its failure could be told',
    row: 'R36',
    file: 'gateway/src/upstream/dialects/plain-answer.ts',
    was: 'if (this.#isPassing) return passed',
    text: 'if (!this.#isPassing) return passed',
    seenBy: { file: namesTest, test: 'a plain answer that was cut is engine_died, wherever it was cut' },
  },
  {
    name: 'a stream is not asked what it cost',
    row: 'R34',
    file: 'gateway/src/body/fields.ts',
    was: "if (name === 'stream_options' && stream)",
    text: "if (name === 'stream_options' && !stream)",
    seenBy: { file: 'gateway/src/body/fields.test.ts', test: 'every stream is asked what it cost' },
  },
  {
    name: 'a caller who did not ask sees the account',
    row: 'R34',
    file: shaping,
    was: '!this.#showsUsage && reader.usageStart >= 0',
    text: 'this.#showsUsage && reader.usageStart >= 0',
    seenBy: { file: shapingTest, test: 'the chunk with the usage stays inside where the caller did not ask' },
  },
  {
    name: 'a stream that was cut costs nothing',
    row: 'R34',
    file: meter,
    was: 'if (brought) this.generated += 1',
    text: 'if (!brought) this.generated += 1',
    seenBy: { file: shapingTest, test: 'a stream that was cut costs the chunks with text that came' },
  },
  {
    name: 'several choices of llama.cpp cost as much as the last',
    row: 'R34',
    file: meter,
    was: "this.#sums = dialect === 'llamacpp'",
    text: "this.#sums = dialect === 'openai'",
    seenBy: { file: shapingTest, test: 'llama.cpp accounts for each choice by itself' },
  },
  {
    name: "the engine's name of a model reaches callers of streams",
    row: 'R60',
    file: shaping,
    was: 'this.#splices.add(modelStart, modelEnd, this.#modelToken)',
    text: 'this.#splices.add(modelStart, modelStart, Buffer.alloc(0))',
    seenBy: { file: namesTest, test: "the engine's name of the model reaches no caller, in streams" },
  },
  {
    name: "the engine's name of a model reaches callers of plain answers",
    row: 'R60',
    file: 'gateway/src/upstream/dialects/document.ts',
    was: "this.#key === 'model' &&",
    text: "this.#key === 'never' &&",
    seenBy: { file: namesTest, test: "the engine's name reaches no caller in plain answers" },
  },
  {
    name: 'a thought that never ends becomes an answer',
    row: 'R34',
    file: 'gateway/src/upstream/dialects/reasoning.ts',
    was: "content: isCutOff ? 'null' :",
    text: "content: !isCutOff ? 'null' :",
    seenBy: { file: reasoningTest, test: 'a message that was cut off while its model thought has no content' },
  },
  {
    name: 'what an engine echoes of a prompt reaches the caller',
    row: 'R60',
    file: 'gateway/src/upstream/engine-words.ts',
    was: 'const text = withoutInputs(message)',
    text: 'const text = message',
    seenBy: { file: errorsTest, test: 'what engines say becomes one shape: vllm-older-source.json' },
  },
  {
    name: 'the key that an engine refuses looks like the key of the caller',
    row: 'R60',
    file: 'gateway/src/upstream/engine-error.ts',
    was: "return 'engine_key_refused'",
    text: "return 'invalid_api_key'",
    seenBy: { file: errorsTest, test: 'a key that the engine refuses is never told as the key of the caller' },
  },
]
