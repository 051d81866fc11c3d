import { equal, match, ok } from 'node:assert/strict'
import type { Ask, Client, ClientName, Message, Seen } from './ask.ts'
import { assertWhole } from './case.ts'

/** What a case with the real engine is played on. */
export interface RealBench {
  readonly client: Client
  readonly model: string
  ask(ask?: Partial<Ask>): Promise<Seen>
  /** Resolves once no slot of the engine is at work, which it says itself. */
  idle(): Promise<void>
}

/** As a Case, but the engine is llama.cpp with a small model, behind the whole road. */
export interface RealCase {
  readonly name: string
  readonly without?: Partial<Readonly<Record<ClientName, string>>>
  readonly play: (bench: RealBench) => Promise<string | undefined>
}

const ask = (content: string): readonly Message[] => [{ role: 'user', content }]
const capital = { messages: ask('What is the capital of France? Answer in one sentence.'), temperature: 0 }

export const realCases: readonly RealCase[] = [
  {
    name: 'chat with a real engine',
    play: async (bench) => {
      const seen = await bench.ask({ fields: { ...capital, max_completion_tokens: 48 } })
      assertWhole(seen, /Paris/)
      ok((seen.usage?.completion ?? 0) > 3)
      return undefined
    },
  },
  {
    name: 'stream with usage from a real engine',
    play: async (bench) => {
      const seen = await bench.ask({ stream: true, usage: true, fields: { ...capital, max_completion_tokens: 48 } })
      assertWhole(seen, /Paris/)
      ok(seen.pieces > 3)
      ok((seen.usage?.completion ?? 0) > 3)
      return undefined
    },
  },
  {
    name: 'an answer of a real engine that ends at its length',
    play: async (bench) => {
      const fields = { messages: ask('Tell a story about a lighthouse.'), temperature: 0, max_completion_tokens: 12 }
      const seen = await bench.ask({ stream: true, usage: true, fields })
      assertWhole(seen, /\w/, 'length')
      equal(seen.usage?.completion, 12)
      return undefined
    },
  },
  {
    name: 'structured output of a real engine',
    play: async (bench) => {
      const messages = ask('Paris has 2100000 inhabitants. Answer as JSON with city and population.')
      const seen = await bench.ask({ shaped: true, fields: { messages, temperature: 0, max_completion_tokens: 200 } })
      equal(seen.error, null, JSON.stringify(seen.error))
      match(JSON.stringify(seen.parsed), /^\{"city":".*","population":-?\d+\}$/)
      return undefined
    },
  },
  {
    name: 'the caller leaves a stream of a real engine',
    play: async (bench) => {
      const fields = { messages: ask('Count to a thousand.'), max_completion_tokens: 1_000 }
      const seen = await bench.ask({ stream: true, leaves: 'first-text', fields })
      ok(seen.texts.join('') !== '')
      await bench.idle()
      return undefined
    },
  },
]
