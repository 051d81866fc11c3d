import type { KeyRecord } from '../keys/keys-file.ts'
import { UsageError } from './terminal.ts'

/** The flags of `keys create` that become settings of a key. */
export interface SettingFlags {
  readonly heartbeat: string | undefined
  readonly earlyHeaders: string | undefined
  readonly timeouts: readonly string[]
}

export type KeySettings = Pick<KeyRecord, 'heartbeat' | 'earlyHeaders' | 'timeouts'>

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
/** The file takes less, for tests; for people a second is soon enough. */
const everyMsMin = 1_000
const everyMsMax = 110_000
/** A timer of Node that is set for longer fires at once. */
const timeoutMsMax = 2_147_483_647

const timeoutFields = {
  streamFirstByte: 'streamFirstByteMs',
  plainFirstByte: 'plainFirstByteMs',
  idle: 'idleMs',
  total: 'totalMs',
} as const

/** Reads the flags; only what was said becomes a setting. Throws a UsageError that shows `help`. */
export function readSettings({ heartbeat, earlyHeaders, timeouts }: SettingFlags, help: string): KeySettings {
  try {
    return {
      ...(heartbeat === undefined ? {} : { heartbeat: readHeartbeat(heartbeat) }),
      ...(earlyHeaders === undefined ? {} : { earlyHeaders: readSwitch(earlyHeaders) }),
      ...(timeouts.length === 0 ? {} : { timeouts: readTimeouts(timeouts) }),
    }
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message, help) : error
  }
}

/** The settings of a key in words, each behind two spaces; nothing for what is as it is for all. */
export function describeSettings({ heartbeat, earlyHeaders, timeouts = {} }: KeySettings): string {
  const every = heartbeat?.everyMs === undefined ? '' : ` every ${inUnits(heartbeat.everyMs)}`
  const beat = heartbeat?.form === 'off' ? 'off' : `${heartbeat?.form}${every}`
  const clocks = Object.entries(timeoutFields).flatMap(([name, field]) => {
    const ms = timeouts[field]
    return ms === undefined ? [] : [`${name}=${inUnits(ms)}`]
  })
  return [
    ...(heartbeat === undefined ? [] : [`heartbeat: ${beat}`]),
    ...(earlyHeaders === undefined ? [] : [`early headers: ${earlyHeaders ? 'on' : 'off'}`]),
    ...(clocks.length === 0 ? [] : [`timeouts: ${clocks.join(', ')}`]),
  ]
    .map((words) => `  ${words}`)
    .join('')
}

function readHeartbeat(text: string): NonNullable<KeySettings['heartbeat']> {
  if (text === 'off') return { form: 'off' }
  if (text === 'empty-delta') return { form: 'empty-delta' }
  const everyMs = readMs(text.replace(/^empty-delta:/, ''))
  if (everyMs === undefined || everyMs < everyMsMin || everyMs > everyMsMax)
    throw new RangeError(`--heartbeat "${text}" wants 5s (1s to 110s), empty-delta, empty-delta:5s or off`)
  return { form: text.startsWith('empty-delta:') ? 'empty-delta' : 'comment', everyMs }
}

function readSwitch(text: string): boolean {
  if (text !== 'on' && text !== 'off') throw new RangeError(`--early-headers "${text}" wants off or on`)
  return text === 'on'
}

function readTimeouts(texts: readonly string[]): NonNullable<KeySettings['timeouts']> {
  const timeouts: Partial<Record<(typeof timeoutFields)[keyof typeof timeoutFields], number>> = {}
  for (const text of texts) {
    const [, name = '', value = ''] = /^([A-Za-z]+)=(.*)$/.exec(text) ?? []
    const field = Object.entries(timeoutFields).find(([known]) => known === name)?.[1]
    const ms = readMs(value)
    if (field === undefined || ms === undefined || ms > timeoutMsMax || field in timeouts)
      throw new RangeError(
        `--timeout "${text}" wants NAME=300s, each of ${Object.keys(timeoutFields).join(', ')} once, at most 596h`,
      )
    timeouts[field] = ms
  }
  return timeouts
}

/** A span such as 500ms, 90s, 15m or 1h; undefined for other text and for none at all. */
function readMs(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,10})(ms|s|m|h)$/.exec(text) ?? []
  const ms = Number(digits) * (unitMs[unit] ?? Number.NaN)
  return ms > 0 ? ms : undefined
}

/** The shortest way to write a span as the flags take it. */
function inUnits(ms: number): string {
  const unit = ['h', 'm', 's'].find((name) => ms % (unitMs[name] ?? 1) === 0) ?? 'ms'
  return `${ms / (unitMs[unit] ?? 1)}${unit}`
}
