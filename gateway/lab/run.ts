import { setTimeout as wait } from 'node:timers/promises'
import { catchStop } from '../dev/stop-signal.ts'
import { type Order, readArguments, UsageError } from './arguments.ts'
import { openBench } from './bench.ts'
import { describeOutcome, jsonLine } from './report.ts'
import { type Outcome, passes, type Scenario } from './scenario.ts'
import { scenarios } from './scenarios.ts'

const usage = `npm run lab -- list
npm run lab -- NAME [--json] [options]

Makes one failure of the road home for real, on this machine, with a cure switched off and on in the same run.
--json: the last line of stdout is {"scenario","plain":{…},"cured":{…},"pass":bool,"skipped"?:reason}.
Exit codes: 0 pass or skipped · 1 fail · 2 usage · 130 stopped by Ctrl-C.
`
const stoppedExitCode = 130
/** Time to bring everything down after the time of a scenario is over. */
const stopGraceMs = 20_000

async function main(): Promise<number> {
  let order: Order
  try {
    order = readArguments(process.argv.slice(2), scenarios)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message}\n\n${usage}\n${list()}`)
    return 2
  }
  if (order.verb === 'run') return await play(order)
  process.stdout.write(order.verb === 'help' ? `${usage}\n${list()}` : list())
  return 0
}

function list(): string {
  const width = Math.max(...scenarios.map(({ name }) => name.length))
  const describe = ({ name, about, options = {} }: Scenario) =>
    [
      `${name.padEnd(width)}  ${about}`,
      ...Object.entries(options).map(
        ([option, { about, fallback, min, max }]) =>
          `${' '.repeat(width)}    --${option} N  ${about} (${fallback}; ${min} to ${max})`,
      ),
    ].join('\n')
  return `${scenarios.map(describe).join('\n')}\n`
}

async function play(order: Extract<Order, { verb: 'run' }>): Promise<number> {
  const { scenario, json, option } = order
  const stop = catchStop()
  const limitMs = scenario.limitMs(option)
  const limit = AbortSignal.timeout(limitMs)
  const bench = openBench(AbortSignal.any([stop.signal, limit]))
  const startedAt = performance.now()
  let outcome: Outcome
  try {
    const say = (text: string) => void process.stderr.write(`  ${seconds(startedAt)} ${text}\n`)
    outcome = await Promise.race([scenario.run({ bench, option, say }), rejectOnAbort(bench.signal)])
  } catch (error) {
    const reason = limit.aborted ? `not finished within ${limitMs / 1_000} s` : textOf(error)
    outcome = { plain: {}, cured: {}, claims: [{ text: reason, holds: false }] }
  }
  const failed = !passes(outcome) && outcome.skipped === undefined
  const keep = failed && !stop.signal.aborted
  await Promise.race([bench.stop(keep), wait(stopGraceMs, undefined, { ref: false })])
  stop.release()
  if (stop.signal.aborted) return stoppedExitCode
  if (keep) process.stderr.write(`  the logs are in ${bench.dir}/logs\n`)
  process.stderr.write(`  ${seconds(startedAt)} all ended\n`)
  process.stdout.write(json ? `${jsonLine(scenario.name, outcome)}\n` : `\n${describeOutcome(scenario, outcome)}`)
  return failed ? 1 : 0
}

function seconds(startedAt: number): string {
  return `${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(5)} s`
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

// Whatever still holds the event loop open must not hold the terminal.
process.exit(await main())
