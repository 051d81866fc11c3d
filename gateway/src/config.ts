import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'

/** Milliseconds and bytes are positive whole numbers everywhere in the file. */
const count = z.int().positive()
/** A timer of Node that is set for longer fires at once. */
const ms = count.max(2_147_483_647)
const name = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'wants lower-case letters, digits, ".", "_" and "-"')
const modelId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/, 'wants letters, digits and . _ : / -')

const tlsSchema = z.strictObject({ caFile: z.string().min(1) }).transform(({ caFile }, context) => {
  try {
    const ca = readAuthorities(readFileSync(caFile, 'utf8'), new Date())
    return { caFile, ca }
  } catch (error) {
    const message = `cannot be trusted (${reason(error)}); wants a PEM file with the authority's certificate`
    context.addIssue({ code: 'custom', path: ['caFile'], message, input: caFile })
    return z.NEVER
  }
})

const engineBaseSchema = z.strictObject({
  name,
  url: z.url({ protocol: /^https?$/, error: 'wants an http:// or https:// address', abort: true }).refine(isBareUrl, {
    error: 'wants only scheme, host and port: no path, no query, no user',
  }),
  via: z
    .string()
    .regex(/^(mesh:[a-z0-9][a-z0-9-]{0,62}|socks5:.*)$/, {
      error: 'wants mesh:NAME, as MESH_UPSTREAMS names it, or socks5://127.0.0.1:PORT',
      abort: true,
    })
    .refine((text) => text.startsWith('mesh:') || parseLoopback(text.replace(/^socks5:\/\//, '')) !== undefined, {
      error:
        'wants a loopback address, such as socks5://127.0.0.1:1055: a SOCKS server opens any connection for whoever reaches it',
    })
    .optional(),
  tls: tlsSchema.optional(),
  kind: z.enum(['vllm', 'llamacpp', 'sglang', 'openai']),
  capacity: count.max(4096).default(16),
})

const engineSchema = engineBaseSchema
  .refine(({ url, tls }) => tls === undefined || url.startsWith('https:'), {
    path: ['tls'],
    error: 'wants an https:// url beside it; plain http:// has no certificates',
  })
  .refine(({ url, via }) => !via?.startsWith('socks5:') || !new URL(url).hostname.startsWith('['), {
    path: ['url'],
    error: 'wants a name or an IPv4 address for an engine behind a SOCKS server',
  })
  // A tailscaled that is logged out, or knows no such node, dials an address outside of the tailnet, unencrypted.
  .refine(({ url, via }) => !via?.startsWith('socks5:') || !/^http:\/\/[\d.]+(:\d+)?$/.test(new URL(url).origin), {
    path: ['url'],
    error:
      'wants the name of the home in the tailnet, or https://: a SOCKS server may dial an address outside of the tailnet',
  })

const visionSchema = z
  .strictObject({
    coordinates: z.enum(['absolute', 'relative-1000', 'relative-1', 'none']).default('none'),
    factor: count.default(28),
    minPixels: count.default(3136),
    maxPixels: count.default(1_003_520),
    maxSide: count.default(1024),
  })
  .refine(({ minPixels, maxPixels }) => minPixels <= maxPixels, {
    path: ['minPixels'],
    error: 'wants at most maxPixels',
  })

const modelSchema = z
  .strictObject({
    id: modelId,
    engine: name,
    task: z.enum(['chat', 'embed', 'rerank']).default('chat'),
    served: z.string().min(1).max(256).optional(),
    aliases: z.array(modelId).max(32).default([]),
    vision: visionSchema.optional(),
    context: count.optional(),
  })
  .refine(({ task, vision }) => vision === undefined || task === 'chat', {
    path: ['vision'],
    error: 'wants task: chat beside it; pictures stand in conversations only',
  })

const limitsSchema = z
  .strictObject({
    bodyBytesMax: count.default(30 * 1024 * 1024),
    bodyBytesInFlight: count.default(256 * 1024 * 1024),
    answerBytesMax: count.default(256 * 1024 * 1024),
    queueMax: z.int().nonnegative().default(64),
    connectTries: count.max(20).default(4),
  })
  .refine(({ bodyBytesMax, bodyBytesInFlight }) => bodyBytesMax <= bodyBytesInFlight, {
    path: ['bodyBytesMax'],
    error: 'wants at most bodyBytesInFlight, or such a body never finds room',
  })

const timeoutsSchema = z.strictObject({
  connectMs: ms.default(25_000),
  streamFirstByteMs: ms.default(120_000),
  plainFirstByteMs: ms.default(900_000),
  idleMs: ms.default(120_000),
  totalMs: ms.default(3_540_000),
  queueMs: ms.default(60_000),
  bodyIdleMs: ms.default(30_000),
  bodyTotalMs: ms.default(600_000),
  callerStallMs: ms.default(60_000),
  probeMs: ms.default(2_500),
  drainMs: ms.max(9_000).default(8_000),
})

const originSchema = z
  .string()
  .transform((text) => text.replace(/\/$/, ''))
  .refine((text) => text === '*' || isOrigin(text), { error: 'wants an origin, such as https://me.example' })

const fileSchema = z.strictObject({
  engines: z.array(engineSchema).min(1, 'wants at least one engine'),
  models: z.array(modelSchema).min(1, 'wants at least one model'),
  cors: z.strictObject({ origins: z.array(originSchema).default([]) }).default({ origins: [] }),
  limits: limitsSchema.prefault({}),
  timeouts: timeoutsSchema.prefault({}),
})

/** What the checks across sections read; lenient, so that they also speak where a section has problems of form. */
const namesSchema = z.object({
  engines: z
    .array(z.object({ name: z.string() }).optional().catch(undefined))
    .optional()
    .catch(undefined),
  models: z
    .array(
      z
        .object({ id: z.string(), engine: z.string(), aliases: z.array(z.string()).catch([]) })
        .optional()
        .catch(undefined),
    )
    .catch([]),
})

export type EngineConfig = z.output<typeof engineSchema>
export type ModelConfig = z.output<typeof modelSchema>
export type Limits = z.output<typeof limitsSchema>
export type Timeouts = z.output<typeof timeoutsSchema>

/** Everything the gateway was told, checked and frozen. Modules take their slice of it, never the whole. */
export interface Config extends z.output<typeof fileSchema> {
  readonly host: string
  readonly port: number
  readonly keysFile: string
  readonly mesh: Address
  /** The sidecar's status port; undefined: it is never asked. */
  readonly meshStatusUrl: string | undefined
  /** Where metrics are shown; undefined: nowhere. */
  readonly admin: Address | undefined
  readonly engineApiKey: string | undefined
  readonly log: 'json' | 'pretty'
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
 * Reads the environment and hearth.yaml once, before anything listens; the only reader of either.
 * Throws a ConfigError that lists all problems together.
 */
export function loadConfig(env: Env): Config {
  const problems: string[] = []
  const fromEnv = readEnv(env, problems)
  const file = readFile(env, problems)
  if (problems.length > 0 || file === undefined) throw new ConfigError(problems)
  return Object.freeze({ ...file, ...fromEnv })
}

function readEnv(env: Env, problems: string[]) {
  const port = readPort(trimmed(env['PORT']) ?? '8080', problems)
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
    meshStatusUrl: readStatusUrl(env['HEARTH_MESH_STATUS_URL'] ?? 'http://127.0.0.1:7071', problems),
    admin: readAdmin(trimmed(env['HEARTH_ADMIN_ADDR']) ?? '127.0.0.1:8081', problems),
    engineApiKey: readSecret(env, 'HEARTH_ENGINE_API_KEY', problems),
    log: log === 'pretty' ? ('pretty' as const) : ('json' as const),
  }
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

function parseLoopback(text: string): { host: string; port: number } | undefined {
  const match = /^(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (match?.[1] === undefined || port <= 0 || port > 65_535) return undefined
  return { host: match[1].replace(/[[\]]/g, ''), port }
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
  for (const issue of result.error?.issues ?? []) problems.push(...describeIssue(source.label, document, issue))
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

function describeIssue(label: string, document: unknown, issue: z.core.$ZodIssue): string[] {
  const at = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${label}: ${at === '' ? key : `${at}.${key}`}: is not a known key`)
  }
  if (at === '') return [`${label}: (root): ${issue.message}`]
  return [`${label}: ${at}: ${show(valueAt(document, issue.path))}: ${issue.message}`]
}

/** A value of the file in a few words; what a url carries of secrets is not told. */
function show(value: unknown): string {
  if (value === undefined) return 'not set'
  if (value !== null && typeof value === 'object') return Array.isArray(value) ? 'a list' : 'a section'
  return JSON.stringify(value)
    .replace(/[^"\s]+/g, withoutUser)
    .replace(/\?[^"]*/, '?…')
    .slice(0, 120)
}

function withoutUser(text: string): string {
  const [from, to] = [text.indexOf('//'), text.lastIndexOf('@')]
  return from >= 0 && to > from ? `${text.slice(0, from)}//…${text.slice(to)}` : text
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  let value = document
  for (const key of path) value = value === null || typeof value !== 'object' ? undefined : Reflect.get(value, key)
  return value
}

/** Names that are used twice, and models of an engine that is not there. */
function findWrongNames(document: unknown): readonly string[] {
  const { engines, models = [] } = namesSchema.safeParse(document).data ?? {}
  const problems: string[] = []
  const engineNames = new Set<string>()
  engines?.forEach((engine, index) => {
    if (engine === undefined) return
    if (engineNames.has(engine.name)) problems.push(`engines.${index}.name: "${engine.name}": is used twice`)
    engineNames.add(engine.name)
  })
  const ids = new Set<string>()
  models.forEach((model, index) => {
    if (model === undefined) return
    if (engineNames.size > 0 && !engineNames.has(model.engine))
      problems.push(`models.${index}.engine: "${model.engine}": names no engine of this file`)
    for (const id of [model.id, ...model.aliases]) {
      if (ids.has(id)) problems.push(`models.${index}: the name "${id}" is used twice`)
      ids.add(id)
    }
  })
  return problems
}

/** Whether a browser would send this very text as Origin. */
function isOrigin(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol) && url.origin === text
}

function isBareUrl(text: string): boolean {
  const { pathname, search, hash, username, password } = new URL(text)
  return pathname === '/' && search === '' && hash === '' && username === '' && password === ''
}

/** The certificates of a PEM file. Throws when there is none, one of them is broken, or none is in force. */
function readAuthorities(text: string, now: Date): readonly string[] {
  const pems = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (pems.length === 0) throw new Error('holds no certificate')
  const certificates = pems.map((pem) => new X509Certificate(pem))
  if (certificates.some(({ validFromDate, validToDate }) => validFromDate <= now && now <= validToDate)) return pems
  const { validFrom, validTo } = certificates[0] ?? { validFrom: '', validTo: '' }
  throw new Error(`is valid from ${validFrom} to ${validTo}`)
}

function trimmed(text: string | undefined): string | undefined {
  const value = text?.trim()
  return value === undefined || value === '' ? undefined : value
}

function reason(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
}
