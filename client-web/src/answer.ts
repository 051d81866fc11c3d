import { type Signal, signal } from '@preact/signals'
import { ApiError, classifyStreamError, type Failure } from './failure.ts'
import { measure, type Stats, type Timing } from './stats.ts'
import { createStreamReader, type StreamEnd, type StreamEvent, type StreamReader } from './stream.ts'

/**
 * sending → (queued | waking)* → reading → writing → complete | stopped | cut | failed.
 * The last four are final; `cut` and `failed` carry a failure, and the text that came before it stays.
 */
export type Phase =
  | { name: 'sending' }
  | { name: 'queued'; position: number | undefined; etaS: number | undefined }
  | { name: 'waking'; stage: string | undefined; elapsedS: number | undefined }
  | { name: 'reading' }
  | { name: 'writing' }
  | { name: 'complete' }
  | { name: 'stopped' }
  | { name: 'cut' }
  | { name: 'failed' }

export interface Answer {
  readonly model: string
  readonly startedAtMs: number
  readonly phase: Signal<Phase>
  /** Grows at most once per frame. */
  readonly text: Signal<string>
  readonly stats: Signal<Stats | undefined>
  readonly failure: Signal<Failure | undefined>
  readonly finishReason: Signal<string | undefined>
  /** The instant of the last byte, comments included. */
  readonly heardAtMs: Signal<number>
}

export interface AnswerClock {
  now: () => number
  /** Runs the callback before the next frame is painted. */
  onFrame: (callback: () => void) => void
}

export function createAnswer(model: string, startedAtMs: number): Answer {
  return {
    model,
    startedAtMs,
    phase: signal<Phase>({ name: 'sending' }),
    text: signal(''),
    stats: signal<Stats | undefined>(undefined),
    failure: signal<Failure | undefined>(undefined),
    finishReason: signal<string | undefined>(undefined),
    heardAtMs: signal(startedAtMs),
  }
}

/** Whether nothing more will come. */
export function isFinal(phase: Phase): boolean {
  return phase.name === 'complete' || phase.name === 'stopped' || phase.name === 'cut' || phase.name === 'failed'
}

/** Runs one answer to its final phase. Never throws: every outcome is a phase, and a failure where there is one. */
export async function runAnswer(
  answer: Answer,
  open: (signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>,
  clock: AnswerClock,
  abort: AbortSignal,
): Promise<void> {
  const writer = createWriter(answer, clock)
  const finish = (name: 'complete' | 'stopped' | 'cut' | 'failed', failure?: Failure): void => {
    writer.flush()
    answer.failure.value = failure
    answer.phase.value = { name }
  }
  try {
    const body = await open(abort)
    answer.heardAtMs.value = clock.now()
    if (answer.phase.value.name === 'sending') answer.phase.value = { name: 'reading' }
    const end = await readAll(body, createStreamReader(writer.accept), () => {
      answer.heardAtMs.value = clock.now()
    })
    if (abort.aborted) finish('stopped')
    else if (end === 'complete') finish('complete')
    else if (end === 'error') finish(writer.hasText() ? 'cut' : 'failed', writer.error())
    else finish('cut', { kind: 'cut' })
  } catch (error: unknown) {
    if (abort.aborted) finish('stopped')
    else if (error instanceof ApiError) finish('failed', error.failure)
    else finish('cut', { kind: 'cut' })
  }
}

async function readAll(
  body: ReadableStream<Uint8Array>,
  reader: StreamReader,
  onHeard: () => void,
): Promise<StreamEnd> {
  const source = body.getReader()
  for (;;) {
    const { done, value } = await source.read()
    if (done) return reader.end()
    onHeard()
    reader.feed(value)
    if (!reader.isOver) continue
    await source.cancel()
    return reader.end()
  }
}

// Collects the pieces of the stream and shows them once per frame.
function createWriter(answer: Answer, clock: AnswerClock) {
  const timing: Timing = {
    startedAtMs: answer.startedAtMs,
    firstTokenAtMs: undefined,
    lastTokenAtMs: undefined,
    endedAtMs: answer.startedAtMs,
    deltaCount: 0,
    usage: undefined,
  }
  let text = ''
  let isScheduled = false
  let failure: Failure = { kind: 'stream_error' }
  const flush = (): void => {
    isScheduled = false
    timing.endedAtMs = clock.now()
    if (text === '' && timing.usage === undefined) return
    answer.text.value = text
    answer.stats.value = measure(timing)
  }
  const accept = (event: StreamEvent): void => {
    if (event.type === 'notice') showNotice(answer, event.notice)
    else if (event.type === 'usage') timing.usage = event.usage
    else if (event.type === 'finish') answer.finishReason.value = event.reason
    else if (event.type === 'error') failure = classifyStreamError(event.error)
    else {
      timing.lastTokenAtMs = clock.now()
      timing.firstTokenAtMs ??= timing.lastTokenAtMs
      timing.deltaCount += 1
      text += event.text
      if (answer.phase.value.name !== 'writing') answer.phase.value = { name: 'writing' }
      if (isScheduled) return
      isScheduled = true
      clock.onFrame(() => {
        if (isScheduled) flush()
      })
    }
  }
  return { accept, flush, hasText: () => text !== '', error: () => failure }
}

function showNotice(answer: Answer, notice: Extract<StreamEvent, { type: 'notice' }>['notice']): void {
  if (answer.phase.value.name === 'writing') return
  if (notice.kind === 'queue') answer.phase.value = { name: 'queued', position: notice.position, etaS: notice.etaS }
  if (notice.kind === 'wake') answer.phase.value = { name: 'waking', stage: notice.stage, elapsedS: notice.elapsedS }
}
