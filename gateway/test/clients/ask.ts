/** What a client is told to do, and what it saw: the one language of the cases, whichever client speaks. */

export interface ToolCall {
  readonly id: string
  readonly type: 'function'
  readonly function: { readonly name: string; readonly arguments: string }
}

export type Part =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image_url'; readonly image_url: { readonly url: string } }

export type Message =
  | { readonly role: 'user'; readonly content: string | readonly Part[] }
  | { readonly role: 'assistant'; readonly content: string | null; readonly tool_calls: readonly ToolCall[] }
  | { readonly role: 'tool'; readonly tool_call_id: string; readonly content: string }

export interface Tool {
  readonly type: 'function'
  readonly function: { readonly name: string; readonly description: string; readonly parameters: Schema }
}

export type Schema = Readonly<Record<string, unknown>>

/** Fields of a request in OpenAI's names; a client that has names of its own is given them by those. */
export interface Fields {
  readonly messages?: readonly Message[]
  readonly max_completion_tokens?: number
  readonly temperature?: number
  readonly seed?: number
  readonly n?: number
  readonly logprobs?: boolean
  readonly tools?: readonly Tool[]
  readonly prompt?: string
  readonly input?: readonly string[]
  readonly query?: string
  readonly documents?: readonly string[]
}

export interface Ask {
  readonly call: 'chat' | 'completion' | 'embeddings' | 'rerank' | 'models' | 'model'
  readonly baseUrl: string
  readonly key: string
  readonly model: string
  readonly fields: Fields
  readonly stream: boolean
  /** Whether a stream is asked for its usage. */
  readonly usage: boolean
  /** The answer is to be an object `{city: string, population: integer}`, by the client's own means for that. */
  readonly shaped: boolean
  /** How often the client itself may try again. */
  readonly retries: number
  readonly timeoutMs: number
  /** `first-text`: the client leaves once it has some of the answer. `when-told`: it leaves when it is told to. */
  readonly leaves?: 'first-text' | 'when-told'
}

/** What the client made of the answer. Null: it did not see any, or it shows none. */
export interface Seen {
  /** By choice. */
  readonly texts: readonly string[]
  readonly finishes: readonly (string | null)[]
  /** Pieces of text, where it was a stream. */
  readonly pieces: number
  readonly ids: readonly string[]
  readonly usage: { readonly prompt: number | null; readonly completion: number | null } | null
  readonly toolCalls: readonly { readonly id: string; readonly name: string; readonly input: unknown }[]
  readonly reasoning: string | null
  /** What it read out of a shaped answer. */
  readonly parsed: unknown
  /** The tokens that have a probability. */
  readonly logprobs: readonly string[] | null
  readonly requestId: string | null
  readonly models: readonly string[] | null
  readonly vectors: readonly (readonly number[])[] | null
  /** Places of the documents, the best first. */
  readonly ranking: readonly number[] | null
  /** Whether a stream came to its end without an error. */
  readonly ended: boolean
  readonly error: SeenError | null
}

export interface SeenError {
  /** The name of its class, as who uses the client catches it. */
  readonly class: string
  readonly status: number | null
  readonly code: string | null
  readonly param: string | null
  readonly message: string
  readonly requestId: string | null
}

/** A package that calls an API like OpenAI's, as people use it. */
export interface Client extends AsyncDisposable {
  readonly name: ClientName
  /** Never throws for what the client threw: that is in `error`. */
  ask(ask: Ask, leave: AbortSignal): Promise<Seen>
  /** What a client in a process of its own was kept from contacting; nothing is watched in this process. */
  readonly refused?: () => readonly string[]
}

export const clientNames = ['openai (npm)', 'openai (PyPI)', 'AI SDK', 'LangChain', 'litellm'] as const
export type ClientName = (typeof clientNames)[number]

export const nothingSeen: Seen = {
  texts: [],
  finishes: [],
  pieces: 0,
  ids: [],
  usage: null,
  toolCalls: [],
  reasoning: null,
  parsed: null,
  logprobs: null,
  requestId: null,
  models: null,
  vectors: null,
  ranking: null,
  ended: false,
  error: null,
}

/** What a client has shown so far. */
export type Seeing = { -readonly [Name in keyof Seen]: Seen[Name] }

/** A client of this process: `perform` notes what it shows, and what it throws is described. */
export function createClient(
  name: ClientName,
  perform: (ask: Ask, leave: AbortSignal, seen: Seeing) => Promise<void>,
  describeError: (error: unknown) => SeenError,
): Client {
  return {
    name,
    ask: async (ask, leave) => {
      const seen: Seeing = { ...nothingSeen }
      try {
        await perform(ask, leave, seen)
      } catch (error) {
        seen.error = describeError(error)
      }
      return seen
    },
    [Symbol.asyncDispose]: async () => {},
  }
}
