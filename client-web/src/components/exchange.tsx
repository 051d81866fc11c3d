import { isFinal } from '../answer.ts'
import { useApp } from '../context.ts'
import type { Exchange } from '../state.ts'
import { CopyButton } from './copy-button.tsx'
import { FailureActions, FailureNote } from './failure.tsx'
import { AgainIcon } from './icons.tsx'
import { PendingNote, SilenceNote } from './pending.tsx'
import { Prose } from './prose.tsx'
import { StatsLine } from './stats-line.tsx'

/** One question with its answer. */
export function ExchangeView({
  exchange,
  position,
  isLast,
}: {
  exchange: Exchange
  position: number
  isLast: boolean
}) {
  const { locale } = useApp()
  const { strings } = locale
  const { answer, question } = exchange
  const phase = answer.phase.value
  const text = answer.text.value
  const failure = answer.failure.value
  const isOver = isFinal(phase)
  return (
    <>
      <article class="question" aria-label={strings.question(position)}>
        <p>{question}</p>
      </article>
      <article
        class="answer"
        data-phase={phase.name}
        aria-busy={!isOver}
        aria-label={strings.answer(position, answer.model)}
      >
        <p class="answer-model">{answer.model}</p>
        {!isOver && phase.name !== 'writing' && <PendingNote answer={answer} />}
        {text !== '' && <Prose key={exchange.attempt} text={text} isLive={!isOver} />}
        {phase.name === 'writing' && <SilenceNote answer={answer} />}
        <Ending exchange={exchange} isLast={isLast} />
        {failure !== undefined && (
          <FailureNote failure={failure}>
            {isLast && <FailureActions key={exchange.attempt} failure={failure} attempt={exchange.attempt} />}
          </FailureNote>
        )}
      </article>
    </>
  )
}

// How it ended, the figures, and what can be done with it.
function Ending({ exchange, isLast }: { exchange: Exchange; isLast: boolean }) {
  const { chat, locale } = useApp()
  const { strings } = locale
  const { answer } = exchange
  const phase = answer.phase.value
  const text = answer.text.value
  const stats = answer.stats.value
  const isOver = isFinal(phase)
  const outcome = isOver ? outcomeText(exchange, strings.outcome) : undefined
  if (text === '' && stats === undefined && !(isOver && answer.failure.value === undefined)) return null
  return (
    <>
      {outcome !== undefined && <p class="note">{outcome}</p>}
      <div class="answer-foot">
        {phase.name === 'stopped' && <span class="badge">{strings.outcome.stopped}</span>}
        {stats !== undefined && <StatsLine stats={stats} />}
        {isOver && (
          <div class="answer-actions">
            {text !== '' && <CopyButton text={text} />}
            {isLast && answer.failure.value === undefined && (
              <button
                type="button"
                class="icon-button small"
                aria-label={strings.action.regenerate}
                title={strings.action.regenerate}
                onClick={() => void chat.retry()}
              >
                <AgainIcon />
              </button>
            )}
          </div>
        )}
      </div>
    </>
  )
}

function outcomeText(
  { answer }: Exchange,
  text: { length: string; filtered: string; empty: string },
): string | undefined {
  const reason = answer.finishReason.value
  if (reason === 'length') return text.length
  if (reason === 'content_filter') return text.filtered
  return answer.phase.value.name === 'complete' && answer.text.value === '' ? text.empty : undefined
}
