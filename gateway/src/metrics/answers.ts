import type { Catalog } from './catalog.ts'
import { createCounter } from './counter.ts'
import { genAiBounds, genAiLabels, type Operation } from './gen-ai.ts'
import { Histogram } from './histogram.ts'

/** An answer of an engine that is over, or a request for one that failed before it. */
export interface AnswerEnd {
  readonly engine: string
  readonly model: string
  readonly operation: Operation
  /** `ok` or the code of its failure. */
  readonly code: string
  /** From the moment when its body was here: with the wait in line. */
  readonly ms: number
  /** From the same moment to the first text of a stream. */
  readonly firstTokenMs: number | undefined
  readonly bytesOut: number
  readonly pictures: number
  /** `estimated`: events with text were counted, since the engine gave no figure. */
  readonly usage:
    | {
        readonly promptTokens: number | undefined
        readonly completionTokens: number | undefined
        readonly estimated: boolean
      }
    | undefined
}

export interface AnswerMeters {
  answer(end: AnswerEnd): void
  /** What takes the milliseconds between two tokens of one stream; a call is for each token, and costs some nanoseconds. */
  tokenGaps(of: { readonly engine: string; readonly model: string }): (ms: number) => void
}

export function createAnswerMeters(catalog: Catalog): AnswerMeters {
  const volume = createVolumeMeters(catalog)
  const times = createTimeMeters(catalog)
  return {
    answer: (end) => {
      volume(end)
      times.answer(end)
    },
    tokenGaps: (of) => {
      const gaps = times.gaps.at(of)
      return (ms) => gaps.observe(ms / 1000)
    },
  }
}

const ofModel = ['engine', 'model'] as const

/** Tokens, bytes and pictures. */
function createVolumeMeters(catalog: Catalog): AnswerMeters['answer'] {
  const names = [...ofModel, 'type', 'source'] as const
  const tokens = createCounter(catalog, 'hearth_tokens_total', 'Tokens by who counted them.', names)
  const bytes = createCounter(catalog, 'hearth_answer_bytes_total', 'Bytes of answers that were passed on.', ofModel)
  const pictures = createCounter(catalog, 'hearth_pictures_total', 'Pictures in requests.', ofModel)
  const perAnswer = new Histogram(catalog, {
    name: 'hearth_answer_tokens',
    help: 'Tokens of one answer and its prompt.',
    labelNames: [...ofModel, 'operation', 'type'],
    bounds: genAiBounds.tokenUsage,
  })
  perAnswer.alias({
    name: 'gen_ai_client_token_usage',
    help: 'Number of input and output tokens used.',
    bounds: genAiBounds.tokenUsage,
    labelsOf: (labels) => ({ ...genAiLabels(labels), gen_ai_token_type: labels.type }),
  })
  return ({ engine, model, operation, usage, bytesOut, pictures: seen }) => {
    const count = (type: 'input' | 'output', value: number | undefined) => {
      if (value === undefined) return
      tokens.add({ engine, model, type, source: usage?.estimated === true ? 'estimated' : 'engine' }, value)
      perAnswer.observe({ engine, model, operation, type }, value)
    }
    count('input', usage?.promptTokens)
    count('output', usage?.completionTokens)
    bytes.add({ engine, model }, bytesOut)
    if (seen > 0) pictures.add({ engine, model }, seen)
  }
}

const gapBounds = [
  ...[0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075],
  ...[0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30],
]

function createTimeMeters(catalog: Catalog) {
  const gaps = new Histogram(catalog, {
    name: 'hearth_inter_token_seconds',
    help: 'Between two tokens of a stream, as they came in; several in one read count as one.',
    labelNames: ofModel,
    bounds: gapBounds,
  })
  const durations = createDurations(catalog)
  const firsts = createFirstTokens(catalog)
  const perToken = createTimesPerToken(catalog)
  const answer = ({ engine, model, operation, code, ms, firstTokenMs, usage }: AnswerEnd) => {
    durations.observe({ engine, model, operation, code }, ms / 1000)
    if (firstTokenMs === undefined) return
    firsts.observe({ engine, model, operation }, firstTokenMs / 1000)
    const later = (usage?.completionTokens ?? 0) - 1
    if (code === 'ok' && later > 0) perToken.observe({ engine, model, operation }, (ms - firstTokenMs) / 1000 / later)
  }
  return { gaps, answer }
}

function createDurations(catalog: Catalog) {
  const durations = new Histogram(catalog, {
    name: 'hearth_answer_seconds',
    help: 'From the moment when the body of a request was here to the end of its answer.',
    labelNames: [...ofModel, 'operation', 'code'],
    bounds: [...genAiBounds.requestDuration, 163.84, 327.68, 655.36, 1310.72, 3600],
  })
  durations.alias({
    name: 'gen_ai_server_request_duration_seconds',
    help: 'Duration of a request to its last byte.',
    bounds: genAiBounds.requestDuration,
    labelsOf: (labels) => ({ ...genAiLabels(labels), ...(labels.code === 'ok' ? {} : { error_type: labels.code }) }),
  })
  return durations
}

function createFirstTokens(catalog: Catalog) {
  const firsts = new Histogram(catalog, {
    name: 'hearth_time_to_first_token_seconds',
    help: 'From the moment when the body of a request was here to the first text of its stream.',
    labelNames: [...ofModel, 'operation'],
    bounds: [...genAiBounds.timeToFirstToken, 20, 40, 80, 160],
  })
  firsts.alias({
    name: 'gen_ai_server_time_to_first_token_seconds',
    help: 'Time to the first token of a stream.',
    bounds: genAiBounds.timeToFirstToken,
    labelsOf: genAiLabels,
  })
  return firsts
}

function createTimesPerToken(catalog: Catalog) {
  const perToken = new Histogram(catalog, {
    name: 'hearth_time_per_output_token_seconds',
    help: 'Time for each token after the first, of one whole stream.',
    labelNames: [...ofModel, 'operation'],
    bounds: [0.001, 0.0025, 0.005, ...genAiBounds.timePerOutputToken, 5, 10],
  })
  perToken.alias({
    name: 'gen_ai_server_time_per_output_token_seconds',
    help: 'Time for each output token after the first.',
    bounds: genAiBounds.timePerOutputToken,
    labelsOf: genAiLabels,
  })
  return perToken
}
