import { useEffect, useRef } from 'preact/hooks'
import { useApp } from '../context.ts'
import { SendIcon, StopIcon } from './icons.tsx'

/** The prompt box with Send, or Stop while an answer runs. */
export function Composer() {
  const { chat, locale } = useApp()
  const text = locale.strings.composer
  const box = useRef<HTMLTextAreaElement>(null)
  const isAnswering = chat.isAnswering.value
  const send = (): void => void chat.ask(chat.draft.value)
  useEffect(() => {
    // On a phone the focus would open the keyboard over the page.
    if (!hasTouchKeyboard()) box.current?.focus({ preventScroll: true })
  }, [])
  return (
    <div class="composer">
      <form
        class="column composer-form"
        aria-label={text.region}
        onSubmit={(event) => {
          event.preventDefault()
          send()
        }}
      >
        <div class="composer-box">
          <textarea
            ref={box}
            id="question"
            rows={1}
            aria-label={text.label}
            placeholder={text.placeholder}
            value={chat.draft.value}
            onInput={(event) => {
              chat.draft.value = event.currentTarget.value
            }}
            onKeyDown={(event) => {
              if (!sendsOnEnter(event)) return
              event.preventDefault()
              send()
            }}
          />
          {isAnswering ? (
            <button
              type="button"
              class="round stop"
              aria-label={text.stop}
              title={text.stop}
              onClick={() => {
                chat.stop()
                box.current?.focus()
              }}
            >
              <StopIcon />
            </button>
          ) : (
            <button
              type="submit"
              class="round send"
              aria-label={text.send}
              title={text.send}
              disabled={chat.draft.value.trim() === ''}
            >
              <SendIcon />
            </button>
          )}
        </div>
        <p class="composer-hint">{isAnswering ? text.hintAnswering : text.hint}</p>
      </form>
    </div>
  )
}

// An Enter that ends an IME composition belongs to the IME: Chromium says isComposing, Safari only keyCode 229.
function sendsOnEnter(event: KeyboardEvent): boolean {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return false
  return event.ctrlKey || event.metaKey || !hasTouchKeyboard()
}

function hasTouchKeyboard(): boolean {
  return matchMedia('(pointer: coarse)').matches
}
