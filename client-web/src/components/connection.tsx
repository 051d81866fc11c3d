import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { useApp } from '../context.ts'
import { FailureNote } from './failure.tsx'
import { CloseIcon } from './icons.tsx'
import { ModelPicker } from './model-picker.tsx'

/** The dialog with address and key; opens by itself when the gateway refuses the key. */
export function ConnectionPanel() {
  const { chat, locale } = useApp()
  const { strings } = locale
  const dialog = useRef<HTMLDialogElement>(null)
  const reason = chat.panel.value
  useEffect(() => {
    const node = dialog.current
    if (node === null) return
    if (reason === undefined) node.close()
    else if (!node.open) node.showModal()
    if (reason === 'key') node.querySelector<HTMLInputElement>('input[name=key]')?.select()
    if (reason === 'model') node.querySelector<HTMLElement>('.model')?.focus()
  }, [reason])
  const close = (): void => {
    chat.panel.value = undefined
  }
  const refusal = reason === 'key' ? chat.exchanges.value.at(-1)?.answer.failure.value : undefined
  return (
    <dialog ref={dialog} class="panel" aria-labelledby="panel-heading" onClose={close}>
      <div class="panel-head">
        <h2 id="panel-heading">{strings.connection.heading}</h2>
        <button type="button" class="icon-button" aria-label={strings.connection.close} onClick={close}>
          <CloseIcon />
        </button>
      </div>
      {refusal !== undefined && <FailureNote failure={refusal} />}
      {reason === 'model' && <p class="note">{strings.connection.chooseModel}</p>}
      {reason !== undefined && (
        <ConnectionForm prefix="panel" onConnected={close}>
          <label class="field" htmlFor="panel-model">
            <span class="field-label">{strings.model}</span>
            <ModelPicker id="panel-model" />
          </label>
        </ConnectionForm>
      )}
    </dialog>
  )
}

interface ConnectionFormProps {
  prefix: string
  onConnected?: () => void
  /** Further fields. */
  children?: ComponentChildren
}

/** Address, key and whether to keep it. Connects on submit, and when a field is left with a new value. */
export function ConnectionForm({ prefix, onConnected, children }: ConnectionFormProps) {
  const { chat, locale } = useApp()
  const text = locale.strings.connection
  const { baseUrl, remembersKey } = chat.settings.value
  const models = chat.models.value
  const connect = (): void => void chat.connect()
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    await chat.connect()
    if (chat.models.value.state === 'ready') onConnected?.()
  }
  return (
    <form class="form" onSubmit={(event) => void submit(event)}>
      <div class="field">
        <label class="field-label" htmlFor={`${prefix}-url`}>
          {text.baseUrl}
        </label>
        <input
          id={`${prefix}-url`}
          name="baseUrl"
          type="url"
          inputMode="url"
          value={baseUrl}
          autocomplete="off"
          spellcheck={false}
          aria-describedby={`${prefix}-url-hint`}
          onInput={(event) => chat.change({ baseUrl: event.currentTarget.value })}
          onChange={connect}
        />
        <span class="field-hint" id={`${prefix}-url-hint`}>
          {text.baseUrlHint}
        </span>
      </div>
      <KeyField prefix={prefix} onCommit={connect} />
      <label class="check">
        <input
          type="checkbox"
          checked={remembersKey}
          onChange={(event) => chat.change({ remembersKey: event.currentTarget.checked })}
        />
        <span>{text.remember}</span>
      </label>
      {children}
      <button type="submit" class="button primary">
        {models.state === 'loading' ? text.connecting : text.connect}
      </button>
      {/* Below the button: a note that comes and goes above it would move it away from under the pointer. */}
      <ListFailure />
    </form>
  )
}

const shown = { type: 'text' } as const
const masked = { type: 'password' } as const

function KeyField({ prefix, onCommit }: { prefix: string; onCommit: () => void }) {
  const { chat, locale } = useApp()
  const text = locale.strings.connection
  const [isShown, setShown] = useState(false)
  return (
    <div class="field">
      <label class="field-label" htmlFor={`${prefix}-key`}>
        {text.key}
      </label>
      <div class="key-row">
        <input
          id={`${prefix}-key`}
          name="key"
          {...(isShown ? shown : masked)}
          value={chat.settings.value.key}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          aria-describedby={`${prefix}-key-hint`}
          onInput={(event) => chat.change({ key: event.currentTarget.value.trim() })}
          onChange={onCommit}
        />
        <button type="button" class="button quiet" aria-pressed={isShown} onClick={() => setShown(!isShown)}>
          {isShown ? text.hide : text.show}
        </button>
      </div>
      <span class="field-hint" id={`${prefix}-key-hint`}>
        {text.keyHint}
      </span>
    </div>
  )
}

// Before any key was typed a refusal is no error, only the next step; and the panel that a refused key opened says it already.
function ListFailure() {
  const { chat } = useApp()
  const models = chat.models.value
  if (models.state !== 'failed' || models.failure.kind === 'key_missing') return null
  if (models.failure.kind === 'key_rejected' && chat.panel.value === 'key') return null
  return <FailureNote failure={models.failure} />
}
