import { computed, type ReadonlySignal, type Signal, signal } from '@preact/signals'
import { type Answer, type AnswerClock, createAnswer, isFinal, runAnswer } from './answer.ts'
import type { Api, ChatMessage } from './api.ts'
import { ApiError, type Failure } from './failure.ts'
import type { Settings, SettingsStore } from './settings.ts'

export interface Exchange {
  readonly id: number
  readonly question: string
  readonly answer: Answer
  /** Which try of the same question this is, from 1. */
  readonly attempt: number
}

export type ModelList =
  | { state: 'unknown' }
  | { state: 'loading' }
  | { state: 'ready'; ids: readonly string[] }
  | { state: 'failed'; failure: Failure }

/** Why the connection panel is open; undefined while it is closed. */
export type PanelReason = 'asked' | 'key' | 'model' | undefined

export interface Chat {
  readonly settings: Signal<Settings>
  readonly models: Signal<ModelList>
  readonly exchanges: Signal<readonly Exchange[]>
  readonly panel: Signal<PanelReason>
  readonly draft: Signal<string>
  readonly isAnswering: ReadonlySignal<boolean>
  change(part: Partial<Settings>): void
  /** Saves the settings and asks the gateway for its models. */
  connect(): Promise<void>
  /** Asks; resolves when the answer has ended. Does nothing while an answer runs or without text. */
  ask(question: string): Promise<void>
  /** Asks the last question again, in place of its answer. */
  retry(): Promise<void>
  stop(): void
  /** Ends a running answer and starts an empty conversation. */
  clear(): void
}

export interface ChatOptions {
  api: Api
  store: SettingsStore
  clock: AnswerClock
}

/** The state of the page and what can be done to it. Nothing happens before the first call. */
export function createChat({ api, store, clock }: ChatOptions): Chat {
  const settings = signal(store.load())
  const models = signal<ModelList>({ state: 'unknown' })
  const exchanges = signal<readonly Exchange[]>([])
  const panel = signal<PanelReason>(undefined)
  const draft = signal('')
  const last = computed(() => exchanges.value.at(-1))
  const isAnswering = computed(() => last.value !== undefined && !isFinal(last.value.answer.phase.value))
  let listing = new AbortController()
  let running = new AbortController()
  let nextId = 1

  const connect = async (): Promise<void> => {
    store.save(settings.value)
    listing.abort()
    listing = new AbortController()
    const { signal: abort } = listing
    models.value = { state: 'loading' }
    try {
      const ids = await api.listModels(settings.value, abort)
      if (abort.aborted) return
      models.value = { state: 'ready', ids }
      if (ids[0] !== undefined && !ids.includes(settings.value.model)) change({ model: ids[0] })
    } catch (error: unknown) {
      if (!abort.aborted) models.value = { state: 'failed', failure: failureOf(error) }
    }
  }
  const change = (part: Partial<Settings>): void => {
    settings.value = { ...settings.value, ...part }
    store.save(settings.value)
  }
  const run = async (exchange: Exchange, before: readonly Exchange[]): Promise<void> => {
    running = new AbortController()
    const { answer, question } = exchange
    exchanges.value = [...before, exchange]
    const request = { model: answer.model, messages: [...before.flatMap(toMessages), userMessage(question)] }
    await runAnswer(answer, (abort) => api.openChat(settings.value, request, abort), clock, running.signal)
    const kind = answer.failure.value?.kind
    if (kind === 'key_missing' || kind === 'key_rejected' || kind === 'key_forbidden') panel.value = 'key'
  }

  return {
    settings,
    models,
    exchanges,
    panel,
    draft,
    isAnswering,
    change,
    connect,
    ask: async (question) => {
      if (isAnswering.value || question.trim() === '') return
      if (settings.value.model.trim() === '') {
        panel.value = 'model'
        return
      }
      draft.value = ''
      const answer = createAnswer(settings.value.model.trim(), clock.now())
      await run({ id: nextId++, question: question.trim(), answer, attempt: 1 }, exchanges.value)
    },
    retry: async () => {
      const exchange = last.value
      if (exchange === undefined || isAnswering.value) return
      const answer = createAnswer(settings.value.model.trim(), clock.now())
      await run({ ...exchange, answer, attempt: exchange.attempt + 1 }, exchanges.value.slice(0, -1))
    },
    stop: () => running.abort(),
    clear: () => {
      running.abort()
      exchanges.value = []
    },
  }
}

// A question without an answer is left out: two user turns in a row break the templates of many models.
function toMessages({ question, answer }: Exchange): readonly ChatMessage[] {
  const text = answer.text.value
  return text === '' ? [] : [userMessage(question), { role: 'assistant', content: text }]
}

function userMessage(content: string): ChatMessage {
  return { role: 'user', content }
}

function failureOf(error: unknown): Failure {
  return error instanceof ApiError ? error.failure : { kind: 'unexpected_answer' }
}
