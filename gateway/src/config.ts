import { readFileSync } from 'node:fs'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'

/** Milliseconds and bytes are positive whole numbers everywhere in the file. */
const count = z.int().positive()
const name = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'wants lower-case letters, digits, ".", "_" and "-"')
const modelId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/, 'wants letters, digits and . _ : / -')

const engineSchema = z.strictObject({
  name,
  url: z.url({ protocol: /^https?$/, error: 'wants an http:// or https:// address' }).refine(isOrigin, {
    error: 'wants only scheme, host and port: no path, no query, no user',
  }),
  via: z
    .string()
    .regex(/^mesh:[a-z0-9][a-z0-9_-]*$/, 'wants mesh:NAME, as MESH_UPSTREAMS names it')
    .optional(),
  kind: z.enum(['vllm', 'llamacpp', 'sglang', 'openai']),
  capacity: count.max(4096).default(16),
})

const visionSchema = z.strictObject({
  coordinates: z.enum(['absolute', 'relative-1000', 'relative-1', 'none']).default('none'),
  factor: count.default(28),
  minPixels: count.default(3136),
  maxPixels: count.default(1_003_520),
  maxSide: count.default(1024),
})

const modelSchema = z.strictObject({
  id: modelId,
  engine: name,
  served: z.string().min(1).max(256).optional(),
  aliases: z.array(modelId).max(32).default([]),
  vision: visionSchema.optional(),
  context: count.optional(),
})

const limitsSchema = z.strictObject({
  bodyBytesMax: count.default(30 * 1024 * 1024),
  bodyBytesInFlight: count.default(256 * 1024 * 1024),
  queueMax: z.int().nonnegative().default(64),
})

const timeoutsSchema = z.strictObject({
  connectMs: count.default(25_000),
  streamFirstByteMs: count.default(120_000),
  plainFirstByteMs: count.default(900_000),
  idleMs: count.default(120_000),
  totalMs: count.default(3_540_000),
  queueMs: count.default(60_000),
  bodyIdleMs: count.default(30_000),
  bodyTotalMs: count.default(600_000),
  callerStallMs: count.default(60_000),
  probeMs: count.default(2_500),
  drainMs: count.max(9_000).default(8_000),
})

const fileSchema = z
  .strictObject({
    engines: z.array(engineSchema).min(1, 'wants at least one engine'),
    models: z.array(modelSchema).min(1, 'wants at least one model'),
    cors: z.strictObject({ origins: z.array(z.string()).default([]) }).default({ origins: [] }),
    limits: limitsSchema.prefault({}),
    timeouts: timeoutsSchema.prefault({}),
  })
  .superRefine(checkReferences)

export type EngineConfig = z.output<typeof engineSchema>
export type ModelConfig = z.output<typeof modelSchema>
export type Limits = z.output<typeof limitsSchema>
export type Timeouts = z.output<typeof timeoutsSchema>

/** Everything the gateway was told, checked and frozen. Modules take their slice of it, never the whole. */
export interface Config extends z.output<typeof fileSchema> {
  readonly host: string
  readonly port: number
  readonly keysFile: string
  readonly mesh: { readonly host: string; readonly port: number }
  readonly engineApiKey: string | undefined
  readonly log: 'json' | 'pretty'
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
 * Reads the environment and hearth.yaml once, before anything listens; the only reader of either.
 * Throws a ConfigError that lists all problems together.
 */
export function loadConfig(env: Env): Config {
  const problems: string[] = []
  const fromEnv = readEnv(env, problems)
  const file = readFile(env, problems)
  const needsMesh = file?.engines.some((engine) => engine.via !== undefined) ?? false
  if (needsMesh && fromEnv.mesh === undefined) problems.push('HEARTH_MESH_ADDR: wants HOST:PORT of the sidecar')
  if (problems.length > 0 || file === undefined) throw new ConfigError(problems)
  return Object.freeze({ ...file, ...fromEnv, mesh: fromEnv.mesh ?? { host: '127.0.0.1', port: 7080 } })
}

function readEnv(env: Env, problems: string[]) {
  const port = readPort(env['PORT'] ?? '8080', problems)
  const keysFile = trimmed(env['HEARTH_KEYS_FILE'])
  if (keysFile === undefined) {
    problems.push('HEARTH_KEYS_FILE: not set; wants the keys file (HEARTH_KEYS_FILE=f npx hearth keys create NAME)')
  }
  const log = trimmed(env['HEARTH_LOG']) ?? 'json'
  if (log !== 'json' && log !== 'pretty') problems.push(`HEARTH_LOG: "${log}" is not json or pretty`)
  return {
    host: trimmed(env['HEARTH_HOST']) ?? '0.0.0.0',
    port,
    keysFile: keysFile ?? '',
    mesh: readAddress(trimmed(env['HEARTH_MESH_ADDR']) ?? '127.0.0.1:7080', problems),
    engineApiKey: readSecret(env, 'HEARTH_ENGINE_API_KEY', problems),
    log: log === 'pretty' ? ('pretty' as const) : ('json' as const),
  }
}

function readPort(text: string, problems: string[]): number {
  const port = Number(text.trim())
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  problems.push(`PORT: "${text}" is not a port (0 to 65535)`)
  return 0
}

function readAddress(text: string, problems: string[]): { host: string; port: number } | undefined {
  const match = /^(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (match?.[1] !== undefined && port > 0 && port <= 65_535) return { host: match[1].replace(/[[\]]/g, ''), port }
  problems.push(`HEARTH_MESH_ADDR: "${text}" is not a loopback HOST:PORT, such as 127.0.0.1:7080`)
  return undefined
}

/** A secret comes as NAME or, mounted, as NAME_FILE; white space around it is never part of it. */
function readSecret(env: Env, variable: string, problems: string[]): string | undefined {
  const file = trimmed(env[`${variable}_FILE`])
  if (file === undefined) return trimmed(env[variable])
  try {
    return trimmed(readFileSync(file, 'utf8'))
  } catch (error) {
    problems.push(`${variable}_FILE: cannot read "${file}" (${reason(error)})`)
    return undefined
  }
}

function readFile(env: Env, problems: string[]): z.output<typeof fileSchema> | undefined {
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
  if (result.success) return result.data
  for (const issue of result.error.issues) problems.push(...describeIssue(source.label, document, issue))
  return undefined
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

function describeIssue(label: string, document: unknown, issue: z.core.$ZodIssue): string[] {
  const at = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${label}: ${at === '' ? key : `${at}.${key}`}: is not a known key`)
  }
  const value = valueAt(document, issue.path)
  const shown = value === undefined ? 'not set' : JSON.stringify(value)?.slice(0, 120)
  return [`${label}: ${at || '(root)'}: ${shown}: ${issue.message}`]
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  let value = document
  for (const key of path) value = value === null || typeof value !== 'object' ? undefined : Reflect.get(value, key)
  return value
}

interface FileShape {
  engines: readonly { name: string }[]
  models: readonly { id: string; engine: string; aliases: readonly string[] }[]
  cors: { origins: readonly string[] }
}

function checkReferences(file: FileShape, context: z.RefinementCtx): void {
  const report = (path: PropertyKey[], message: string) => context.addIssue({ code: 'custom', path, message })
  const engines = new Set<string>()
  file.engines.forEach((engine, index) => {
    if (engines.has(engine.name)) report(['engines', index, 'name'], 'is used twice')
    engines.add(engine.name)
  })
  const ids = new Set<string>()
  file.models.forEach((model, index) => {
    if (!engines.has(model.engine)) report(['models', index, 'engine'], 'names no engine of this file')
    for (const id of [model.id, ...model.aliases]) {
      if (ids.has(id)) report(['models', index], `the name "${id}" is used twice`)
      ids.add(id)
    }
  })
  file.cors.origins.forEach((origin, index) => {
    if (origin !== '*' && !isOrigin(origin))
      report(['cors', 'origins', index], 'wants an origin, such as https://me.example')
  })
}

function isOrigin(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol) && url.origin === text.replace(/\/$/, '')
}

function trimmed(text: string | undefined): string | undefined {
  const value = text?.trim()
  return value === undefined || value === '' ? undefined : value
}

function reason(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
}
