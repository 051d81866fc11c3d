import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { useApp } from '../context.ts'
import type { Failure, FailureKind } from '../failure.ts'

const automaticTriesMax = 3
const addressKinds: readonly FailureKind[] = [
  'unreachable',
  'blocked_by_page',
  'bad_address',
  'wrong_address',
  'unexpected_answer',
]
const keyKinds: readonly FailureKind[] = ['key_missing', 'key_rejected', 'key_forbidden']

/** What went wrong and what to do about it. */
export function FailureNote({ failure, children }: { failure: Failure; children?: ComponentChildren }) {
  const { chat, locale } = useApp()
  const { strings } = locale
  const text = strings.failure[failure.kind]
  const address = addressKinds.includes(failure.kind) ? chat.settings.value.baseUrl : undefined
  const facts = [failure.status, failure.code].filter((fact) => fact !== undefined).join(' · ')
  return (
    <div class="failure">
      <p class="failure-title">{text.title}</p>
      <p class="failure-hint">
        {text.hint} {failure.kind === 'cors' && <code>{location.origin}</code>}
        {address !== undefined && <code>{address}</code>}
      </p>
      {failure.message !== undefined && <p class="failure-message">{strings.quote(failure.message)}</p>}
      {(facts !== '' || failure.requestId !== undefined) && (
        <p class="failure-facts">
          {facts}
          {failure.requestId !== undefined && ` · ${strings.requestId} ${failure.requestId}`}
        </p>
      )}
      {children}
    </div>
  )
}

/** The failure of the newest answer, with a way on: try again now, or when the gateway said to. */
export function FailureActions({ failure, attempt }: { failure: Failure; attempt: number }) {
  const { chat, locale } = useApp()
  const { action } = locale.strings
  const isAutomatic = failure.retryAfterS !== undefined && attempt < automaticTriesMax
  const [leftS, setLeftS] = useState(isAutomatic ? failure.retryAfterS : undefined)
  const retry = (): void => void chat.retry()
  useEffect(() => {
    if (leftS === undefined) return
    if (leftS <= 0) {
      retry()
      return
    }
    const timer = setTimeout(() => setLeftS(leftS - 1), 1000)
    return () => clearTimeout(timer)
  }, [leftS])
  const wantsSettings = addressKinds.includes(failure.kind) || keyKinds.includes(failure.kind)
  return (
    <div class="failure-actions">
      <button type="button" class="button" onClick={retry}>
        {action.retry}
      </button>
      {wantsSettings && (
        <button
          type="button"
          class="button quiet"
          onClick={() => {
            chat.panel.value = keyKinds.includes(failure.kind) ? 'key' : 'asked'
          }}
        >
          {action.openConnection}
        </button>
      )}
      {leftS !== undefined && (
        <>
          <span class="countdown">{action.retryIn(locale.wholeSeconds(leftS * 1000))}</span>
          <button type="button" class="button quiet" onClick={() => setLeftS(undefined)}>
            {action.retryCancel}
          </button>
        </>
      )}
    </div>
  )
}
