import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { plain, streamed } from './answers.ts'
import type { Message, Tool, ToolCall } from './ask.ts'
import { type Bench, type beatingKeys, models } from './bench.ts'
import { askInSilence, assertWhole, type Case, lastRequest } from './case.ts'

const words = ['Grüße', ' 你好', ' 🦊', ' naïve', '.\n']
const text = words.join('')
const question: readonly Message[] = [{ role: 'user', content: 'How is the weather in Paris?' }]
/** Eight by eight pixels, all different. */
const picture =
  'iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAeUlEQVR42g3JIQEAIRAAsIuBQhOCEOgluSRoQhACTRIi/M8uItTQg5Bhhh1uiGhq0xtNNrPZzW1/DHXogyGHOezhjj9STT1JmWba6eYfS136YsllLnu564+jHv1w5DGPfdzzx1Of/njymc9+7vujqEUvFFnMYhe3+ADCbkvB0Ab1XAAAAABJRU5ErkJggg=='

const weather: Tool = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
      additionalProperties: false,
    },
  },
}
const call: ToolCall = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Paris"}' } }
const callSeen = { id: 'call_1', name: 'weather', input: { city: 'Paris' } }

const noReasoning = '`ChatOpenAI` drops every field that OpenAI itself does not send'
const chatAlone = '`ChatOpenAI` has no call for that'

export const answerCases: readonly Case[] = [
  {
    name: 'chat',
    play: async ({ engine, ask }) => {
      engine.script({ tokens: words })
      const seen = await ask()
      assertWhole(seen, text)
      equal(seen.usage?.completion, words.length)
      ok((seen.usage?.prompt ?? 0) > 10)
      return undefined
    },
  },
  {
    name: 'stream',
    play: async (bench) => {
      bench.engine.script({ tokens: words, sliceBytes: 7 })
      const seen = await bench.ask({ stream: true })
      assertWhole(seen, text)
      equal(seen.pieces, words.length)
      equal(seen.usage, null, 'usage that nobody asked for')
      deepEqual(lastRequest(bench).json['stream_options'], { include_usage: true })
      return undefined
    },
  },
  {
    name: 'stream with usage',
    play: async ({ engine, ask }) => {
      engine.script({ tokens: words })
      const seen = await ask({ stream: true, usage: true })
      assertWhole(seen, text)
      equal(seen.usage?.completion, words.length)
      return undefined
    },
  },
  {
    name: 'tool call',
    play: async (bench) => {
      bench.engine.script(plain({ tool_calls: [call] }, 'tool_calls'))
      const seen = await bench.ask({ fields: { messages: question, tools: [weather] } })
      assertWhole(seen, '', 'tool_calls')
      deepEqual(seen.toolCalls, [callSeen])
      assertToolsArrived(bench)
      return undefined
    },
  },
  {
    name: 'tool call in a stream',
    play: async (bench) => {
      const { id, type, function: named } = call
      const first = { tool_calls: [{ index: 0, id, type, function: { name: named.name, arguments: '' } }] }
      const parts = ['{"ci', 'ty":"Par', 'is"}'].map((part) => {
        return { tool_calls: [{ index: 0, function: { arguments: part } }] }
      })
      bench.engine.script(streamed([first, ...parts], 'tool_calls'))
      const seen = await bench.ask({ stream: true, fields: { messages: question, tools: [weather] } })
      assertWhole(seen, '', 'tool_calls')
      deepEqual(seen.toolCalls, [callSeen])
      assertToolsArrived(bench)
      return undefined
    },
  },
  {
    name: 'result of a tool',
    play: async (bench) => {
      bench.engine.script({ tokens: words })
      const messages: readonly Message[] = [
        ...question,
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', tool_call_id: call.id, content: 'sunny' },
      ]
      assertWhole(await bench.ask({ fields: { messages, tools: [weather] } }), text)
      const [, second, result] = messagesOf(bench)
      const [asked] = toolCallsOf(second)
      equal(asked?.id, call.id)
      equal(asked?.function.name, weather.function.name)
      deepEqual(JSON.parse(asked?.function.arguments ?? ''), callSeen.input)
      equal(result?.['tool_call_id'], call.id)
      match(JSON.stringify(result?.['content']), /sunny/)
      return undefined
    },
  },
  {
    name: 'structured output',
    play: async (bench) => {
      bench.engine.script({ tokens: ['{"city":', '"Paris","popu', 'lation":2100000}'] })
      const seen = await bench.ask({ shaped: true })
      equal(seen.error, null, JSON.stringify(seen.error))
      deepEqual(seen.parsed, { city: 'Paris', population: 2_100_000 })
      const format = JSON.stringify(lastRequest(bench).json['response_format'])
      match(format, /"type":"json_schema"/)
      match(format, /"population":\{[^}]*"type":"integer"/)
      return undefined
    },
  },
  {
    name: 'picture',
    play: async (bench) => {
      bench.engine.script({ tokens: words })
      const content = [
        { type: 'text', text: 'What is this?' },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${picture}` } },
      ] as const
      assertWhole(await bench.ask({ fields: { messages: [{ role: 'user', content }] } }), text)
      const sha256 = createHash('sha256').update(picture).digest('hex')
      deepEqual(lastRequest(bench).body?.dataUris, [{ bytes: picture.length, sha256 }])
      return undefined
    },
  },
  {
    name: 'reasoning',
    without: { LangChain: noReasoning },
    play: async ({ engine, ask }) => {
      engine.script(plain({ content: text, reasoning: 'Hm.' }, 'stop'))
      const seen = await ask()
      assertWhole(seen, text)
      equal(seen.reasoning, 'Hm.')
      return undefined
    },
  },
  {
    name: 'reasoning in a stream',
    without: { LangChain: noReasoning },
    play: async ({ engine, ask }) => {
      const thoughts = ['Hm', '.'].map((reasoning) => ({ reasoning }))
      engine.script(streamed([...thoughts, ...words.map((content) => ({ content }))], 'stop'))
      const seen = await ask({ stream: true })
      assertWhole(seen, text)
      equal(seen.reasoning, 'Hm.')
      return undefined
    },
  },
  {
    name: 'reasoning that the engine leaves in the text',
    play: async (bench) => {
      bench.engine.script({ tokens: ['Hm', '.</th', 'ink>\n\n', ...words] })
      const seen = await bench.ask({ stream: true, model: models.thinker })
      assertWhole(seen, text)
      const shown = bench.client.name === 'LangChain' ? null : 'Hm.'
      equal(seen.reasoning, shown)
      return shown === null ? 'taken out' : undefined
    },
  },
  {
    name: 'logprobs',
    without: { 'AI SDK': 'its provider shows none' },
    play: async (bench) => {
      const content = words.map((token) => ({ token, logprob: -0.5, bytes: [...Buffer.from(token)], top_logprobs: [] }))
      bench.engine.script(plain({ content: text }, 'stop', { logprobs: { content } }))
      const seen = await bench.ask({ fields: { messages: question, logprobs: true } })
      assertWhole(seen, text)
      deepEqual(seen.logprobs, words)
      equal(lastRequest(bench).json['logprobs'], true)
      return undefined
    },
  },
  {
    name: 'two answers at once (n: 2)',
    without: { 'AI SDK': 'it gives one answer for each call' },
    play: async (bench) => {
      bench.engine.script({ tokens: words })
      const seen = await bench.ask({ fields: { messages: question, n: 2 } })
      deepEqual(seen.texts, [text, text])
      deepEqual(seen.finishes, ['stop', 'stop'])
      equal(lastRequest(bench).json['n'], 2)
      return undefined
    },
  },
  {
    name: 'seed, temperature and the longest answer',
    play: async (bench) => {
      bench.engine.script({ tokens: words })
      const fields = { messages: question, seed: 7, temperature: 0.5, max_completion_tokens: 3 }
      assertWhole(await bench.ask({ fields }), words.slice(0, 3).join(''), 'length')
      const { json } = lastRequest(bench)
      equal(json['seed'], 7)
      equal(json['temperature'], 0.5)
      equal(json['max_completion_tokens'] ?? json['max_tokens'], 3)
      return json['max_completion_tokens'] === undefined ? 'as `max_tokens`' : undefined
    },
  },
  {
    name: 'comments and odd but legal events in a stream',
    play: async ({ engine, ask }) => {
      for (const badSse of ['comments', 'crlf', 'multi-line-data'] as const) {
        engine.script({ tokens: words, badSse })
        assertWhole(await ask({ stream: true }), text)
      }
      return undefined
    },
  },
  {
    name: 'an engine that is silent for long, shown by comments',
    play: (bench) => listenThroughSilence(bench, 'comment'),
  },
  {
    name: 'an engine that is silent for long, shown by empty chunks',
    play: (bench) => listenThroughSilence(bench, 'empty-delta'),
  },
  {
    name: 'id of the request',
    play: async (bench) => {
      bench.engine.script({ tokens: words })
      const { requestId } = await bench.ask({ stream: true })
      equal(lastRequest(bench).headers['x-request-id'], requestId)
      return undefined
    },
  },
  {
    name: 'text completion, plain and in a stream',
    play: async ({ engine, ask }) => {
      for (const stream of [false, true]) {
        engine.script({ on: '/v1/completions', tokens: words })
        const seen = await ask({ call: 'completion', stream, fields: { prompt: 'Once' } })
        equal(seen.error, null, JSON.stringify(seen.error))
        deepEqual(seen.texts, [text])
        equal(seen.ended, true)
        equal(engine.requests.at(-1)?.path, '/v1/completions')
      }
      return undefined
    },
  },
  {
    name: 'embeddings',
    play: async ({ ask }) => {
      const seen = await ask({ call: 'embeddings', model: models.embed, fields: { input: ['ab', 'c'] } })
      equal(seen.error, null, JSON.stringify(seen.error))
      deepEqual(
        seen.vectors,
        ['abab', 'cccc'].map((letters) => [...letters].map((letter) => letter.charCodeAt(0) / 256)),
      )
      return undefined
    },
  },
  {
    name: 'rerank',
    without: {
      'openai (npm)': 'OpenAI has no such route',
      'openai (PyPI)': 'OpenAI has no such route',
      'AI SDK': 'its provider has no such model',
      LangChain: 'the package has no such class',
    },
    play: async ({ ask }) => {
      const fields = { query: 'a red fox', documents: ['the sea', 'one red fox', 'fox'] }
      const seen = await ask({ call: 'rerank', model: models.rerank, fields })
      equal(seen.error, null, JSON.stringify(seen.error))
      deepEqual(seen.ranking, [2, 1, 0])
      return 'as `hosted_vllm/`'
    },
  },
  {
    name: 'list of models',
    without: { 'AI SDK': 'it has no call for that', LangChain: chatAlone },
    play: async ({ ask }) => {
      deepEqual((await ask({ call: 'models' })).models, Object.values(models))
      return undefined
    },
  },
  {
    name: 'one model',
    without: { 'AI SDK': 'it has no call for that', LangChain: chatAlone, litellm: 'it has no call for that' },
    play: async ({ ask }) => {
      deepEqual((await ask({ call: 'model' })).models, [models.chat])
      return undefined
    },
  },
]

/** The client gets the same answer when the engine is silent before it, and when it is silent in the middle of it. */
async function listenThroughSilence(bench: Bench, form: keyof typeof beatingKeys): Promise<undefined> {
  for (const stall of ['head', { afterEvents: 3 }] as const) {
    const seen = await askInSilence(bench, form, { tokens: words, stall })
    // An empty chunk before the engine has said anything cannot bear the id that the engine will choose.
    const own = form === 'empty-delta' && stall === 'head' ? seen.ids.slice(-1) : seen.ids
    assertWhole({ ...seen, ids: own }, text)
    equal(seen.pieces, words.length)
  }
  return undefined
}

function messagesOf(bench: Bench): readonly Readonly<Record<string, unknown>>[] {
  const { messages } = lastRequest(bench).json
  ok(Array.isArray(messages))
  return messages
}

function toolCallsOf(message: Readonly<Record<string, unknown>> | undefined): readonly ToolCall[] {
  const calls = message?.['tool_calls']
  ok(Array.isArray(calls) && calls.length === 1)
  return calls
}

function assertToolsArrived(bench: Bench): void {
  const { tools } = lastRequest(bench).json
  ok(Array.isArray(tools) && tools.length === 1)
  equal(tools[0].function.name, weather.function.name)
  deepEqual(tools[0].function.parameters.properties, weather.function.parameters['properties'])
}
