import type { FailureKind } from '../failure.ts'
import type { Chat } from '../state.ts'
import type { Strings } from '../strings.ts'

export interface ConnectionState {
  tone: 'good' | 'busy' | 'quiet' | 'bad'
  label: string
}

const lostKinds: ReadonlySet<FailureKind | undefined> = new Set<FailureKind>([
  'offline',
  'unreachable',
  'cors',
  'mixed_content',
  'blocked_by_page',
  'bad_address',
  'wrong_address',
  'key_missing',
  'key_rejected',
])

/** How the connection stands, as a colour and in words: by the newest answer, else by the list of models. */
export function connectionState(chat: Chat, strings: Strings): ConnectionState {
  const text = strings.connection.state
  const models = chat.models.value
  if (models.state === 'loading') return { tone: 'busy', label: text.loading }
  if (models.state === 'unknown') return { tone: 'quiet', label: text.unknown }
  if (models.state === 'failed') {
    return models.failure.kind === 'key_missing'
      ? { tone: 'quiet', label: text.needsKey }
      : { tone: 'bad', label: text.failed }
  }
  if (lostKinds.has(chat.exchanges.value.at(-1)?.answer.failure.value?.kind)) return { tone: 'bad', label: text.failed }
  return { tone: 'good', label: models.ids.length === 0 ? text.empty : text.ready(models.ids.length) }
}
