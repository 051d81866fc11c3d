import { useApp } from '../context.ts'
import { connectionState } from './connection-state.ts'
import { HearthMark, NewChatIcon } from './icons.tsx'
import { ModelPicker } from './model-picker.tsx'

/** Name, model, state of the connection, new chat. */
export function Header() {
  const { chat, locale } = useApp()
  const { strings } = locale
  const { tone, label } = connectionState(chat, strings)
  return (
    <header class="header">
      <div class="brand">
        <HearthMark />
        <h1 class="brand-name">{strings.title}</h1>
      </div>
      {(tone === 'good' || tone === 'bad') && <ModelPicker id="header-model" />}
      <button
        type="button"
        class="pill"
        aria-haspopup="dialog"
        title={label}
        onClick={() => {
          chat.panel.value = 'asked'
        }}
      >
        <span class="dot" data-tone={tone} />
        <span class="pill-label">{label}</span>
      </button>
      <button
        type="button"
        class="icon-button"
        aria-label={strings.newChat}
        title={strings.newChat}
        disabled={chat.exchanges.value.length === 0}
        onClick={() => {
          chat.clear()
          document.getElementById('question')?.focus()
        }}
      >
        <NewChatIcon />
      </button>
    </header>
  )
}
