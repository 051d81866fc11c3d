import type { Patch } from './patches.data.ts'

const metrics = 'gateway/src/metrics.test.ts'
const answerMeter = 'gateway/src/routes/answer-meter.test.ts'

/** What the operator counts by, taken away. */
export const metricsPatches: readonly Patch[] = [
  {
    name: 'codes that nobody knows become series',
    row: 'R59',
    file: 'gateway/src/metrics.ts',
    was: "return code === 'ok' || isErrorCode(code) ? code : 'other'",
    text: 'return code',
    seenBy: { file: metrics, test: 'a code that the table of errors does not have is "other"' },
  },
  {
    name: 'series grow without a bound',
    row: 'R59',
    file: 'gateway/src/metrics/series.ts',
    was: 'return this.#all.size < seriesMax ? this.#add(labels) : this.#other()',
    text: 'return this.#all.size < Infinity ? this.#add(labels) : this.#other()',
    seenBy: { file: 'gateway/src/metrics/counter.test.ts', test: 'series beyond the bound are counted together' },
  },
  {
    name: 'estimated tokens count as the figure of the engine',
    row: 'R28',
    file: 'gateway/src/metrics/answers.ts',
    was: "source: usage?.estimated === true ? 'estimated' : 'engine'",
    text: "source: 'engine'",
    seenBy: {
      file: metrics,
      test: 'tokens are counted by type, those of the engine apart from those that were estimated',
    },
  },
  {
    name: 'answers that were cut count as whole ones',
    row: 'R36',
    file: 'gateway/src/metrics/answers.ts',
    was: "if (code === 'ok' && later > 0)",
    text: 'if (later > 0)',
    seenBy: { file: metrics, test: 'the time for a token after the first counts whole streams alone' },
  },
  {
    name: 'what was cut is no abort',
    row: 'R36',
    file: 'gateway/src/routes/answer-meter.ts',
    was: 'if (error !== undefined && !signal.aborted) meters.abort(error.code)',
    text: '',
    seenBy: { file: answerMeter, test: 'one that was cut behind its head is metered as far as it came' },
  },
  {
    name: 'a caller who leaves counts twice',
    row: 'R37',
    file: 'gateway/src/routes/answer-meter.ts',
    was: 'if (error !== undefined && !signal.aborted)',
    text: 'if (error !== undefined)',
    seenBy: { file: answerMeter, test: 'one whose caller left is an abort of its request' },
  },
  {
    name: 'a caller who leaves counts as nothing',
    row: 'R37',
    file: 'gateway/src/edge/lifecycle.ts',
    was: '...(signal.aborted ? { aborted: toHearthError(signal.reason).code } : {}),',
    text: '',
    seenBy: { file: 'gateway/src/edge/lifecycle-requests.test.ts', test: 'a caller who leaves ends its request' },
  },
  {
    name: 'models are counted by what the caller called them',
    row: 'R59',
    file: 'gateway/src/routes/answer-meter.ts',
    was: 'model: route.model.id,',
    text: 'model: route.model.aliases[0] ?? route.model.id,',
    seenBy: { file: answerMeter, test: 'an answer is counted once, by the id of its model' },
  },
  {
    name: 'a refused key is told how long it was looked for',
    row: 'R60',
    file: 'gateway/src/edge/authenticate.ts',
    was: "    if (caller === undefined) throw new HearthError('invalid_api_key')",
    text: "    request.timing.authMs = now() - startedAt\n    if (caller === undefined) throw new HearthError('invalid_api_key')",
    seenBy: {
      file: 'gateway/test/server-timing.wire.test.ts',
      test: 'tells nobody without a key how long the search for it took',
    },
  },
]
