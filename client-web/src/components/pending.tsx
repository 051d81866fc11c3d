import { useEffect, useState } from 'preact/hooks'
import type { Answer, Phase } from '../answer.ts'
import { useApp } from '../context.ts'
import type { Locale } from '../strings.ts'

const silenceNoticeMs = 45_000
const elapsedShownMs = 2000

/** What happens before the first word: sending, the place in line, the stages of waking, reading. */
export function PendingNote({ answer }: { answer: Answer }) {
  const { locale } = useApp()
  const phase = answer.phase.value
  const elapsedMs = useElapsedMs(answer.startedAtMs)
  return (
    <div class="pending">
      <p class="pending-line">
        <span class="ember" />
        <span class="pending-label">{phaseLabel(phase, locale)}</span>
        {elapsedMs >= elapsedShownMs && <span class="pending-time">{locale.wholeSeconds(elapsedMs)}</span>}
      </p>
      {phase.name === 'waking' && <WakeStages stage={phase.stage} />}
      <SilenceNote answer={answer} />
    </div>
  )
}

/** Says so when nothing at all was heard for a long time; the answer goes on if anything comes. */
export function SilenceNote({ answer }: { answer: Answer }) {
  const { locale } = useApp()
  const silentMs = useElapsedMs(answer.heardAtMs.value)
  if (silentMs < silenceNoticeMs) return null
  return <p class="note">{locale.strings.phase.silent(locale.wholeSeconds(silentMs))}</p>
}

/** The words for a phase that is not over. */
export function phaseLabel(phase: Phase, locale: Locale): string {
  const text = locale.strings.phase
  if (phase.name === 'queued') {
    const position = phase.position === undefined ? '' : text.queuePosition(phase.position)
    return text.queued(position, phase.etaS === undefined ? '' : text.queueEta(locale.wholeSeconds(phase.etaS * 1000)))
  }
  if (phase.name === 'sending' || phase.name === 'waking' || phase.name === 'reading' || phase.name === 'writing') {
    return text[phase.name]
  }
  return ''
}

function WakeStages({ stage }: { stage: string | undefined }) {
  const { strings } = useApp().locale
  const stages = Object.entries(strings.phase.wakeStages)
  const at = stages.findIndex(([name]) => name === stage)
  return (
    <>
      <ol class="stages">
        {stages.map(([name, label], index) => (
          <li
            key={name}
            class="stage"
            data-state={index < at ? 'done' : index === at ? 'now' : 'next'}
            aria-current={index === at ? 'step' : undefined}
          >
            {label}
          </li>
        ))}
      </ol>
      <p class="pending-hint">{strings.phase.wakingHint}</p>
    </>
  )
}

function useElapsedMs(sinceMs: number): number {
  const [nowMs, setNowMs] = useState(() => performance.now())
  useEffect(() => {
    const timer = setInterval(() => setNowMs(performance.now()), 500)
    return () => clearInterval(timer)
  }, [])
  return Math.max(0, nowMs - sinceMs)
}
