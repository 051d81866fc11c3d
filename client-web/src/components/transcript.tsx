import { useSignal, useSignalEffect } from '@preact/signals'
import { useRef } from 'preact/hooks'
import { useApp } from '../context.ts'
import { ExchangeView } from './exchange.tsx'
import { DownIcon } from './icons.tsx'
import { Welcome } from './welcome.tsx'

const nearEndPx = 48

/** The conversation. Follows the answer while the reader is at its end, and never pulls back one who scrolled away. */
export function Transcript() {
  const { chat, locale } = useApp()
  const { strings } = locale
  const scroller = useRef<HTMLElement>(null)
  const isFollowing = useSignal(true)
  const toEnd = (): void => {
    const node = scroller.current
    if (node !== null) node.scrollTop = node.scrollHeight
  }
  useSignalEffect(() => {
    if (chat.exchanges.value.length > 0) isFollowing.value = true
  })
  useSignalEffect(() => {
    const answer = chat.exchanges.value.at(-1)?.answer
    void [answer?.text.value, answer?.phase.value, answer?.failure.value]
    // Asked again in the frame: a reader may have scrolled away in between.
    requestAnimationFrame(() => {
      if (isFollowing.peek()) toEnd()
    })
  })
  const exchanges = chat.exchanges.value
  return (
    <main
      ref={scroller}
      class="main"
      onScroll={({ currentTarget: node }) => {
        isFollowing.value = node.scrollHeight - node.scrollTop - node.clientHeight < nearEndPx
      }}
    >
      {exchanges.length === 0 && <Welcome />}
      <div class="column transcript" role="log" aria-live="off" aria-label={strings.conversation}>
        {exchanges.map((exchange, index) => (
          <ExchangeView
            key={exchange.id}
            exchange={exchange}
            position={index + 1}
            isLast={index === exchanges.length - 1}
          />
        ))}
      </div>
      {!isFollowing.value && exchanges.length > 0 && (
        <button type="button" class="to-latest" aria-label={strings.toLatest} title={strings.toLatest} onClick={toEnd}>
          <DownIcon />
        </button>
      )}
    </main>
  )
}
