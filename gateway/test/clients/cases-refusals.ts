import { deepEqual, equal, ok } from 'node:assert/strict'
import { errorTable } from '../../src/errors.ts'
import { chat } from '../wire.ts'
import { models } from './bench.ts'
import { assertError, assertWhole, type Case, type PerClient, settled, slowMs } from './case.ts'

const badRequest: PerClient = {
  'openai (npm)': 'BadRequestError',
  'openai (PyPI)': 'BadRequestError',
  'AI SDK': 'AI_APICallError',
  LangChain: 'OpenAIInvalidRequestError',
  litellm: 'BadRequestError',
}
const failed: PerClient = {
  'openai (npm)': 'InternalServerError',
  'openai (PyPI)': 'InternalServerError',
  'AI SDK': 'AI_APICallError',
  LangChain: 'OpenAIAPIError',
  litellm: 'ServiceUnavailableError',
}
const hot = { messages: [{ role: 'user', content: 'Hello.' }], temperature: 3 } as const
const tooHot = {
  status: 400,
  code: 'invalid_request',
  param: 'temperature',
  text: 'wants a number from 0 to 2',
} as const

export const refusalCases: readonly Case[] = [
  {
    name: 'a wrong key (401)',
    play: async (bench) => {
      const seen = await bench.ask({ key: 'hk_wrong', retries: 2 })
      equal(bench.engine.requests.length, 0)
      return assertError(bench, seen, {
        status: 401,
        code: 'invalid_api_key',
        class: {
          ...badRequest,
          'openai (npm)': 'AuthenticationError',
          'openai (PyPI)': 'AuthenticationError',
          LangChain: 'OpenAIAuthenticationError',
          litellm: 'AuthenticationError',
        },
      })
    },
  },
  {
    name: 'an unknown model (404)',
    play: async (bench) => {
      const seen = await bench.ask({ model: 'gpt-5', retries: 2 })
      equal(bench.engine.requests.length, 0)
      return assertError(bench, seen, {
        status: 404,
        code: 'model_not_found',
        param: 'model',
        class: {
          ...badRequest,
          'openai (npm)': 'NotFoundError',
          'openai (PyPI)': 'NotFoundError',
          LangChain: 'OpenAIModelNotFoundError',
          litellm: 'NotFoundError',
        },
      })
    },
  },
  {
    name: 'a bad field (400, with its name)',
    play: async (bench) => {
      const seen = await bench.ask({ fields: hot, retries: 2 })
      equal(bench.engine.requests.length, 0)
      equal(seen.error?.param, 'temperature')
      return assertError(bench, seen, { ...tooHot, class: badRequest })
    },
  },
  {
    name: 'a bad field of a stream (400, with its name)',
    play: async (bench) => {
      const seen = await bench.ask({ fields: hot, stream: true })
      equal(seen.error?.param, 'temperature')
      return assertError(bench, seen, { ...tooHot, class: badRequest })
    },
  },
  {
    name: 'a conversation that is too long (400)',
    play: async (bench) => {
      const content = 'word '.repeat(5_000)
      const seen = await bench.ask({ fields: { messages: [{ role: 'user', content }] } })
      return assertError(bench, seen, {
        status: 400,
        code: 'context_length_exceeded',
        param: 'input_tokens',
        text: 'maximum context length',
        class: { ...badRequest, litellm: 'ContextWindowExceededError' },
      })
    },
  },
  {
    name: 'a full line (429), tried again by the client itself',
    play: async (bench) => {
      const { engine, gateway, ask } = bench
      engine.script({ stall: 'head', tokens: ['first'] }, { tokens: ['second'] })
      const first = chat(gateway, { model: models.narrow })
      await engine.waitFor(({ running }) => running === 1, 'the only place is taken', slowMs)
      const answered = ask({ model: models.narrow, retries: 1 })
      await gateway.waitForLog(({ status }) => status === 429, 'it was refused', slowMs)
      engine.release()
      await (await first).text()
      assertWhole(await answered, 'second')
      deepEqual(await settled(bench), ['done', 'done'])
      const [one, other] = engine.requests
      const waitedS = ((other?.atMs ?? 0) - (one?.atMs ?? 0)) / 1000
      ok(waitedS >= errorTable.queue_full.retryAfterS, `it came again after ${waitedS} s, sooner than it was told`)
      return 'tried again'
    },
  },
  {
    name: 'an engine that cannot be reached (503)',
    play: async (bench) => {
      const seen = await bench.ask({ model: models.gone })
      return assertError(bench, seen, { status: 503, code: 'engine_unreachable', class: failed })
    },
  },
]
