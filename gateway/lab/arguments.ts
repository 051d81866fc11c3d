import { parseArgs } from 'node:util'
import type { NumberOption, OptionName, Scenario } from './scenario.ts'

/** A command line that cannot be obeyed; the message says what is wanted. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export type Order =
  | { readonly verb: 'help' | 'list' }
  | {
      readonly verb: 'run'
      readonly scenario: Scenario
      readonly json: boolean
      readonly option: (name: OptionName) => number
    }

const optionNames: readonly OptionName[] = ['seconds', 'kills']

/** Reads `list`, `NAME [--json] [--seconds N] [--kills N]`. Throws a UsageError. */
export function readArguments(args: readonly string[], scenarios: readonly Scenario[]): Order {
  const { values, positionals } = parse(args)
  if (values.help) return { verb: 'help' }
  const [name, ...more] = positionals
  const names = scenarios.map((scenario) => scenario.name).join(', ')
  if (name === undefined) throw new UsageError(`no scenario named: wants list, or one of ${names}`)
  if (more.length > 0) throw new UsageError(`one scenario at a time: "${more.join(' ')}" is too much`)
  if (name === 'list') return { verb: 'list' }
  const scenario = scenarios.find((known) => known.name === name)
  if (scenario === undefined) throw new UsageError(`there is no scenario "${name}": wants list, or one of ${names}`)
  const chosen = new Map(optionNames.flatMap((option) => readOption(scenario, option, values[option])))
  return { verb: 'run', scenario, json: values.json, option: (option) => chosen.get(option) ?? 0 }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        json: { type: 'boolean', default: false },
        seconds: { type: 'string' },
        kills: { type: 'string' },
      },
    })
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function readOption(scenario: Scenario, name: OptionName, text: string | undefined): [OptionName, number][] {
  const option: NumberOption | undefined = scenario.options?.[name]
  if (option === undefined) {
    if (text === undefined) return []
    throw new UsageError(`--${name} is not an option of ${scenario.name}`)
  }
  if (text === undefined) return [[name, option.fallback]]
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= option.min && value <= option.max) return [[name, value]]
  throw new UsageError(`--${name} "${text}": wants a whole number from ${option.min} to ${option.max}`)
}
