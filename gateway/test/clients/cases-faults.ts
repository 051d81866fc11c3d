import { deepEqual, equal, ok } from 'node:assert/strict'
import type { Seen } from './ask.ts'
import type { Bench } from './bench.ts'
import { askInSilence, assertError, type Case, type PerClient, settled, slowMs } from './case.ts'

const words = ['One', ' two', ' three', ' four', ' five', ' six', ' seven', ' eight', ' nine', ' ten']
const text = words.join('')
/** Some of the words, and not all. */
const cutAt = 1_500

const dead: PerClient = {
  'openai (npm)': 'InternalServerError',
  'openai (PyPI)': 'InternalServerError',
  'AI SDK': 'AI_APICallError',
  LangChain: 'OpenAIAPIError',
  litellm: 'BadGatewayError',
}
const cut: PerClient = {
  'openai (npm)': 'APIError',
  'openai (PyPI)': 'APIError',
  'AI SDK': 'AI_StreamProviderError',
  LangChain: 'APIError',
  litellm: 'MidStreamFallbackError',
}

export const faultCases: readonly Case[] = [
  {
    name: 'the engine dies before it answers (502)',
    play: async (bench) => {
      bench.engine.script({ cut: { how: 'rst', at: 'head' }, times: 2 })
      const seen = await bench.ask({ retries: 1 })
      // Nobody knows how far the engine had come: the answer says that the client is to leave it (x-should-retry: false).
      const tries = bench.client.name === 'AI SDK' ? 2 : 1
      equal(bench.engine.requests.length, tries)
      const name = assertError(bench, seen, {
        status: 502,
        code: 'engine_died',
        class: { ...dead, 'AI SDK': 'AI_RetryError' },
      })
      return tries === 1 ? `${name}, not tried again` : `${name}, tried again: it does not read \`x-should-retry\``
    },
  },
  {
    name: 'the engine dies in a stream',
    play: async (bench) => {
      bench.engine.script({ tokens: words, cut: { how: 'rst', at: cutAt } })
      return assertCut(bench, await bench.ask({ stream: true, retries: 2 }), 'engine_died')
    },
  },
  {
    name: 'a stream that ends cleanly, but not with its last event',
    play: async (bench) => {
      bench.engine.script({ tokens: words, cut: { how: 'fin', at: cutAt }, closeDelimited: '1.1' })
      return assertCut(bench, await bench.ask({ stream: true, retries: 2 }), 'engine_died')
    },
  },
  {
    name: 'the engine reports its own death in a stream',
    play: async (bench) => {
      bench.engine.script({ tokens: words, dies: { afterEvents: 4 } })
      return assertCut(bench, await bench.ask({ stream: true, retries: 2 }), 'engine_error')
    },
  },
  {
    name: 'the engine fails after a long silence, when the stream has begun',
    play: async (bench) => {
      const error = { status: 500, body: 'object' } as const
      const seen = await askInSilence(bench, 'comment', { stall: 'head', error })
      return assertError(bench, seen, { status: null, code: 'engine_error', class: cut })
    },
  },
  {
    name: 'the engine dies in a short plain answer (502)',
    play: async (bench) => {
      bench.engine.script({ tokens: words, cut: { how: 'rst', at: 300 } })
      return assertError(bench, await bench.ask(), { status: 502, code: 'engine_died', class: dead })
    },
  },
  {
    // Longer than what the gateway holds back until it is whole.
    name: 'the engine dies in a long plain answer',
    play: async (bench) => {
      bench.engine.script({ echo: { answerBytes: 8_000_000 }, cut: { how: 'fin', at: 7_000_000 } })
      const { error, ended, texts } = await bench.ask()
      equal(ended, false)
      deepEqual(texts, [])
      ok(error !== null, 'a piece of an answer passed as whole')
      const classes: PerClient = {
        'openai (npm)': 'TypeError',
        'openai (PyPI)': 'APIConnectionError',
        'AI SDK': 'AI_APICallError',
        LangChain: 'OpenAIConnectionError',
        litellm: 'InternalServerError',
      }
      equal(error.class, classes[bench.client.name], error.message)
      return `\`${error.class}\``
    },
  },
  {
    name: 'the caller leaves before the answer begins',
    play: async (bench) => {
      const leave = new AbortController()
      bench.engine.script({ stall: 'head' })
      const asked = bench.ask({ leaves: 'when-told', retries: 2 }, leave.signal)
      await bench.engine.waitFor(({ running }) => running === 1, 'the engine works on it', slowMs)
      leave.abort()
      const { error } = await asked
      await assertLeft(bench)
      return `\`${error?.class}\``
    },
  },
  {
    name: 'the caller leaves in a stream',
    play: async (bench) => {
      bench.engine.script({ forever: true })
      const seen = await bench.ask({ stream: true, leaves: 'first-text' })
      ok(seen.texts.join('') !== '')
      await assertLeft(bench)
      return undefined
    },
  },
  {
    name: "the client's own time runs out",
    play: async (bench) => {
      bench.engine.script({ stall: 'head' })
      const { error } = await bench.ask({ timeoutMs: 1_000 })
      const classes: PerClient = {
        'openai (npm)': 'APIConnectionTimeoutError',
        'openai (PyPI)': 'APITimeoutError',
        'AI SDK': 'TimeoutError',
        LangChain: 'OpenAITimeoutError',
        litellm: 'Timeout',
      }
      equal(error?.class, classes[bench.client.name])
      await assertLeft(bench)
      return `\`${error?.class}\``
    },
  },
]

/** Some of the answer, then an error, and nothing that says it was whole; the engine was asked once. */
function assertCut(bench: Bench, seen: Seen, code: 'engine_died' | 'engine_error'): string {
  const got = seen.texts.join('')
  ok(got !== '' && got !== text && text.startsWith(got), `it saw "${got}"`)
  deepEqual(
    seen.finishes.filter((finish) => finish !== null),
    [],
  )
  equal(bench.engine.requests.length, 1, 'a stream was asked for twice')
  return assertError(bench, seen, { status: null, code, class: cut })
}

/** The engine saw the caller go, the gateway wrote that down, and nobody asked again. */
async function assertLeft(bench: Bench): Promise<void> {
  deepEqual(await settled(bench), ['aborted'])
  await bench.gateway.waitForLog(({ outcome }) => outcome === 'client_gone', 'the record says who left', slowMs)
}
