import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { parse as parseYaml } from 'yaml'
import {
  type ConfigFile,
  fileSchema,
  findWrongNames,
  isBareUrl,
  type LimitsOfFile,
  parseLoopback,
  reason,
} from './config-schema.ts'
import { type Machine, readMachine } from './machine.ts'
import { describeIssue, show } from './problems.ts'

export type { AnswerTimeouts, EngineConfig, ModelConfig, Timeouts } from './config-schema.ts'

/** As the file says, and where it says nothing, as the machine allows. */
export type Limits = { readonly [Name in keyof LimitsOfFile]-?: NonNullable<LimitsOfFile[Name]> }

/** Everything the gateway was told, checked and frozen. Modules take their slice of it, never the whole. */
export interface Config extends Omit<ConfigFile, 'limits'> {
  readonly limits: Limits
  readonly host: string
  readonly port: number
  readonly keysFile: string
  readonly mesh: Address
  /** The sidecar's status port; undefined: it is never asked. */
  readonly meshStatusUrl: string | undefined
  /** Where metrics are shown; undefined: nowhere. */
  readonly admin: Address | undefined
  readonly engineApiKey: string | undefined
  readonly log: 'gcp' | 'json' | 'pretty'
  /** The Google Cloud project that traces belong to; undefined: their names say none. */
  readonly googleProject: string | undefined
}

export interface Address {
  readonly host: string
  readonly port: number
}

export type Env = Readonly<Record<string, string | undefined>>

/** Thrown by `loadConfig`: every problem found, each naming the field, its value and what is wanted. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(`The configuration has ${problems.length} problem(s):\n${problems.map((p) => `  - ${p}`).join('\n')}`)
    this.problems = problems
  }
}

/**
 * Reads the environment and hearth.yaml once, before anything listens; the only reader of either. Limits that nobody
 * set follow from the machine. Throws a ConfigError that lists all problems together.
 */
export function loadConfig(env: Env, machine: Machine = readMachine()): Config {
  const problems: string[] = []
  const fromEnv = readEnv(env, problems)
  const file = readFile(env, problems)
  if (problems.length > 0 || file === undefined) throw new ConfigError(problems)
  return Object.freeze({ ...file, ...fromEnv, limits: completeLimits(file.limits, machine) })
}

/** Cloud Run ends a request after this long at the latest, and counts the line too. */
const cloudRunMs = 3_600_000

/** What is no mistake everywhere, but one on Cloud Run: a line for each, with the fields and their values. */
export function findRisks({ timeouts, models }: Pick<Config, 'timeouts' | 'models'>): readonly string[] {
  const totals = [
    { field: 'timeouts.totalMs', totalMs: timeouts.totalMs },
    ...models.map((model, index) => ({
      field: `models.${index}.timeouts.totalMs`,
      totalMs: model.timeouts.totalMs ?? 0,
    })),
  ]
  const long = totals.filter(({ totalMs }) => totalMs + timeouts.queueMs > cloudRunMs)
  return long.map(
    ({ field, totalMs }) =>
      `${field}: ${totalMs}: with timeouts.queueMs (${timeouts.queueMs}) longer than a request may take on Cloud Run; wants at most ${cloudRunMs} together there`,
  )
}

/** Bodies get a third of the memory: with what Node copies and has not collected yet, that stays below a half. */
const bodyShare = 1 / 3
/** More than this at once is no use to one GPU. */
const bodyBytesInFlightMax = 1024 * 1024 * 1024
/** What is left is for the other keys. */
const keyShare = 3 / 4
/** The other half of the descriptors is for the engines, the files and the listener of the admin. */
const connectionShare = 1 / 2
const connectionsMaxMax = 10_000

function completeLimits(limits: LimitsOfFile, { memoryBytes, descriptorsMax }: Machine): Limits {
  const share = Math.min(Math.floor(memoryBytes * bodyShare), bodyBytesInFlightMax)
  const bodyBytesInFlight = limits.bodyBytesInFlight ?? Math.max(share, limits.bodyBytesMax)
  const ofKey = Math.max(Math.floor(bodyBytesInFlight * keyShare), limits.bodyBytesMax)
  const connections = Math.max(1, Math.min(Math.floor(descriptorsMax * connectionShare), connectionsMaxMax))
  return {
    ...limits,
    bodyBytesInFlight,
    bodyBytesPerKey: limits.bodyBytesPerKey ?? ofKey,
    connectionsMax: limits.connectionsMax ?? connections,
  }
}

function readEnv(env: Env, problems: string[]) {
  const port = readPort(trimmed(env['PORT']) ?? '8080', problems)
  const keysFile = trimmed(env['HEARTH_KEYS_FILE'])
  if (keysFile === undefined) {
    problems.push('HEARTH_KEYS_FILE: not set; wants the keys file (HEARTH_KEYS_FILE=f npx hearth keys create NAME)')
  }
  return {
    host: trimmed(env['HEARTH_HOST']) ?? '0.0.0.0',
    port,
    keysFile: keysFile ?? '',
    mesh: readAddress(trimmed(env['HEARTH_MESH_ADDR']) ?? '127.0.0.1:7080', problems),
    meshStatusUrl: readStatusUrl(env['HEARTH_MESH_STATUS_URL'] ?? 'http://127.0.0.1:7071', problems),
    admin: readAdmin(trimmed(env['HEARTH_ADMIN_ADDR']) ?? '127.0.0.1:8081', problems),
    engineApiKey: readSecret(env, 'HEARTH_ENGINE_API_KEY', problems),
    log: readLogForm(env, problems),
    googleProject: readProject(env, problems),
  }
}

/** On Cloud Run, which sets these variables itself, the form is Google Cloud's by default. */
function readLogForm(env: Env, problems: string[]): Config['log'] {
  const isOnCloudRun = trimmed(env['K_SERVICE'] ?? env['CLOUD_RUN_JOB']) !== undefined
  const form = trimmed(env['HEARTH_LOG']) ?? (isOnCloudRun ? 'gcp' : 'json')
  if (form === 'gcp' || form === 'json' || form === 'pretty') return form
  problems.push(`HEARTH_LOG: "${form}" is not gcp, json or pretty`)
  return 'json'
}

function readProject(env: Env, problems: string[]): string | undefined {
  const project = trimmed(env['GOOGLE_CLOUD_PROJECT'])
  if (project === undefined || /^(?:[a-z][a-z\d.-]{0,61}:)?[a-z][a-z\d-]{4,28}[a-z\d]$/.test(project)) return project
  problems.push(`GOOGLE_CLOUD_PROJECT: ${show(project)} is not the id of a project`)
  return undefined
}

function readPort(text: string, problems: string[]): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  problems.push(`PORT: "${text}" is not a port (0 to 65535)`)
  return 0
}

/** `off` and nothing at all mean that nobody is asked. */
function readStatusUrl(text: string, problems: string[]): string | undefined {
  const wanted = text.trim()
  if (wanted === '' || wanted === 'off') return undefined
  const url = URL.parse(wanted)
  if (url?.protocol === 'http:' && isBareUrl(wanted)) return url.origin
  problems.push(
    `HEARTH_MESH_STATUS_URL: ${show(wanted)} is not http://HOST:PORT, such as http://127.0.0.1:7071, or off`,
  )
  return undefined
}

function readAdmin(text: string, problems: string[]): Address | undefined {
  if (text === 'off') return undefined
  const match = /^([\d.]+|localhost|\[[\da-f:]+\]):(\d{1,5})$/i.exec(text)
  const host = match?.[1]?.replace(/[[\]]/g, '') ?? ''
  const port = Number(match?.[2])
  if ((host === 'localhost' || isIP(host) !== 0) && port <= 65_535) return { host, port }
  problems.push(`HEARTH_ADMIN_ADDR: "${text}" is not IP:PORT, such as 127.0.0.1:8081, or off`)
  return undefined
}

function readAddress(text: string, problems: string[]): Address {
  const address = parseLoopback(text)
  if (address !== undefined) return address
  problems.push(`HEARTH_MESH_ADDR: "${text}" is not a loopback HOST:PORT, such as 127.0.0.1:7080`)
  return { host: '', port: 0 }
}

/** A secret comes as NAME or, mounted, as NAME_FILE; white space around it is never part of it. Its value is not told. */
function readSecret(env: Env, variable: string, problems: string[]): string | undefined {
  const file = trimmed(env[`${variable}_FILE`])
  try {
    const secret = trimmed(file === undefined ? env[variable] : readFileSync(file, 'utf8'))
    if (secret === undefined && file !== undefined) problems.push(`${variable}_FILE: "${file}" is empty`)
    if (secret !== undefined && !/^[\x21-\x7e]+$/.test(secret))
      problems.push(`${variable}: holds characters that no header can carry; wants printable ASCII without spaces`)
    return secret
  } catch (error) {
    problems.push(`${variable}_FILE: cannot read "${file}" (${reason(error)})`)
    return undefined
  }
}

function readFile(env: Env, problems: string[]): ConfigFile | undefined {
  const source = readSource(env, problems)
  if (source === undefined) return undefined
  let document: unknown
  try {
    document = parseYaml(source.text)
  } catch (error) {
    problems.push(`${source.label}: is not YAML (${reason(error)})`)
    return undefined
  }
  const result = fileSchema.safeParse(document ?? {})
  for (const issue of result.error?.issues ?? [])
    problems.push(...describeIssue(document, issue).map((problem) => `${source.label}: ${problem}`))
  for (const problem of findWrongNames(document)) problems.push(`${source.label}: ${problem}`)
  return result.data
}

function readSource(env: Env, problems: string[]): { label: string; text: string } | undefined {
  const inline = env['HEARTH_CONFIG_YAML']
  if (inline !== undefined && inline.trim() !== '') return { label: 'HEARTH_CONFIG_YAML', text: inline }
  const path = trimmed(env['HEARTH_CONFIG']) ?? 'hearth.yaml'
  try {
    return { label: path, text: readFileSync(path, 'utf8') }
  } catch (error) {
    problems.push(`HEARTH_CONFIG: cannot read "${path}" (${reason(error)}); wants the path of a hearth.yaml`)
    return undefined
  }
}

function trimmed(text: string | undefined): string | undefined {
  const value = text?.trim()
  return value === undefined || value === '' ? undefined : value
}
