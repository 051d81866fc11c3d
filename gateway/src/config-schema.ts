import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
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

/** The clocks of an answer, which a model or a key may have of its own. */
const answerTimeoutsSchema = z.strictObject({
  streamFirstByteMs: ms.default(120_000),
  plainFirstByteMs: ms.default(900_000),
  idleMs: ms.default(120_000),
  totalMs: ms.default(3_540_000),
})

/** The same for one model or one key: what is left out comes from the section of all. */
export const ownTimeoutsSchema = z.strictObject({
  streamFirstByteMs: ms.exactOptional(),
  plainFirstByteMs: ms.exactOptional(),
  idleMs: ms.exactOptional(),
  totalMs: ms.exactOptional(),
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
    reasoning: z.enum(['fields', 'tags', 'open-tags']).default('fields'),
    timeouts: ownTimeoutsSchema.default({}),
  })
  .refine(({ task, vision }) => vision === undefined || task === 'chat', {
    path: ['vision'],
    error: 'wants task: chat beside it; pictures stand in conversations only',
  })

const limitsSchema = z
  .strictObject({
    bodyBytesMax: count.default(30 * 1024 * 1024),
    answerBytesMax: count.default(256 * 1024 * 1024),
    bodyBytesInFlight: count.optional(),
    bodyBytesPerKey: count.optional(),
    bodyBytesPerSecondMin: z
      .int()
      .nonnegative()
      .default(8 * 1024),
    connectionsMax: count.optional(),
    queueMax: z.int().nonnegative().default(64),
    connectTries: count.max(20).default(4),
  })
  .refine(({ bodyBytesMax, bodyBytesInFlight = bodyBytesMax }) => bodyBytesMax <= bodyBytesInFlight, {
    path: ['bodyBytesMax'],
    error: 'wants at most bodyBytesInFlight, or such a body never finds room',
  })
  .refine(({ bodyBytesMax, bodyBytesPerKey = bodyBytesMax }) => bodyBytesMax <= bodyBytesPerKey, {
    path: ['bodyBytesMax'],
    error: 'wants at most bodyBytesPerKey, or such a body never finds room',
  })

const timeoutsSchema = answerTimeoutsSchema.extend({
  connectMs: ms.default(25_000),
  queueMs: ms.default(60_000),
  headMs: ms.default(10_000),
  bodyIdleMs: ms.default(10_000),
  bodyTotalMs: ms.default(600_000),
  callerStallMs: ms.default(30_000),
  probeMs: ms.default(2_500),
  drainMs: ms.max(9_000).default(8_000),
})

const originSchema = z
  .string()
  .transform((text) => text.replace(/\/$/, ''))
  .refine((text) => text === '*' || isOrigin(text), { error: 'wants an origin, such as https://me.example' })

/** What may stand in hearth.yaml, with its defaults. */
export const fileSchema = z.strictObject({
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

export type ConfigFile = z.output<typeof fileSchema>
export type EngineConfig = z.output<typeof engineSchema>
export type ModelConfig = z.output<typeof modelSchema>
export type LimitsOfFile = z.output<typeof limitsSchema>
export type Timeouts = z.output<typeof timeoutsSchema>
export type AnswerTimeouts = z.output<typeof answerTimeoutsSchema>

/** Names that are used twice, and models of an engine that is not there. */
export function findWrongNames(document: unknown): readonly string[] {
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

/** The address of HOST:PORT where the host is this machine alone; undefined for any other text. */
export function parseLoopback(text: string): { host: string; port: number } | undefined {
  const match = /^(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (match?.[1] === undefined || port <= 0 || port > 65_535) return undefined
  return { host: match[1].replace(/[[\]]/g, ''), port }
}

/** Whether a browser would send this very text as Origin. */
function isOrigin(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol) && url.origin === text
}

/** Whether an address is scheme, host and port and no more. */
export function isBareUrl(text: string): boolean {
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

/** The first line of what an error says. */
export function reason(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
}
