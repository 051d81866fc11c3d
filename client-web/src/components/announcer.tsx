import type { Answer } from '../answer.ts'
import { useApp } from '../context.ts'
import type { Locale } from '../strings.ts'
import { phaseLabel } from './pending.tsx'

/** The only live regions of the page: events in one, failures in the other; never the text of an answer. */
export function Announcer() {
  const { chat, locale } = useApp()
  const answer = chat.exchanges.value.at(-1)?.answer
  const failure = answer?.failure.value
  const text = failure === undefined ? undefined : locale.strings.failure[failure.kind]
  return (
    <>
      <div class="unseen" role="status">
        {answer === undefined ? '' : eventText(answer, locale)}
      </div>
      <div class="unseen" role="alert">
        {text === undefined ? '' : `${text.title}. ${text.hint}`}
      </div>
    </>
  )
}

function eventText(answer: Answer, locale: Locale): string {
  const phase = answer.phase.value
  const text = locale.strings.announce
  if (phase.name === 'sending') return text.sent
  if (phase.name === 'writing') return text.started
  if (phase.name === 'stopped') return text.stopped
  if (phase.name === 'complete') return text.complete(answer.text.value.split(/\s+/).filter(Boolean).length)
  return phaseLabel(phase, locale)
}
