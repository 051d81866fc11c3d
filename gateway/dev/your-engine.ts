import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { z } from 'zod'
import type { ChainEngine } from './chain.ts'
import type { ChainModel, EngineKind } from './chain-config.ts'
import type { EmbeddedModel } from './engine.ts'

/** What the person asked for cannot be used; the message says what was given and what is wanted. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const askTimeoutMs = 10_000
const capacity = 16
const embeddedContext = 4096
const embeddedSlots = 4

const modelSchema = z.object({
  id: z.string().min(1),
  owned_by: z.string().optional(),
  max_model_len: z.number().int().positive().nullish(),
  architecture: z.object({ input_modalities: z.array(z.string()).optional() }).nullish(),
  meta: z.object({ n_ctx: z.number().int().positive().optional() }).nullish(),
})
const listSchema = z.object({ data: z.array(modelSchema).min(1) })

type ListedModel = z.output<typeof modelSchema>

/**
 * Asks an engine that runs already what it serves. Throws a UsageError when the address is not one or no engine answers.
 * @param apiKey sent as a bearer token when the engine wants one
 */
export async function describeYourEngine(address: string, apiKey: string | undefined): Promise<ChainEngine> {
  const { origin } = parseAddress(address)
  const listed = await listModels(origin, apiKey)
  const kind = guessKind(listed)
  return { from: 'address', url: origin, kind, capacity, models: listed.map((model) => describeModel(model, kind)) }
}

function parseAddress(address: string): URL {
  const url = URL.parse(address)
  const plain = url !== null && /^https?:$/.test(url.protocol) && url.username + url.password + url.search === ''
  if (plain && /^\/(v1\/?)?$/.test(url.pathname)) return url
  throw new UsageError(
    `--engine "${address}" is not the address of an engine: wants http(s)://HOST[:PORT], such as http://192.168.1.20:8000`,
  )
}

async function listModels(origin: string, apiKey: string | undefined): Promise<readonly ListedModel[]> {
  const headers: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }
  try {
    const response = await fetch(`${origin}/v1/models`, { headers, signal: AbortSignal.timeout(askTimeoutMs) })
    if (!response.ok) throw new Error(`it answered ${response.status}`)
    return listSchema.parse(await response.json()).data
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? 'its answer is not a list of models' : describeCause(cause)
    const fix = 'Is the engine running, and is HEARTH_ENGINE_API_KEY set if it wants a key?'
    throw new UsageError(`--engine ${origin}: GET /v1/models failed: ${reason}. ${fix}`, { cause })
  }
}

function describeCause(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}

function guessKind(listed: readonly ListedModel[]): EngineKind {
  const owner = listed[0]?.owned_by
  return owner === 'vllm' || owner === 'sglang' || owner === 'llamacpp' ? owner : 'openai'
}

function describeModel(listed: ListedModel, kind: EngineKind): ChainModel {
  const id = toModelId(listed.id)
  const context = listed.max_model_len ?? listed.meta?.n_ctx
  const modalities = listed.architecture?.input_modalities
  // Only some engines tell whether a model reads pictures; the others refuse a picture themselves.
  const vision = modalities === undefined ? kind !== 'llamacpp' : modalities.includes('image')
  return {
    id,
    ...(id === listed.id ? {} : { served: listed.id }),
    ...(context === undefined ? {} : { context }),
    ...(vision ? { vision: { coordinates: 'none' } } : {}),
  }
}

/** A public id from a name that may be a path, such as `/models/Some Model.gguf`. */
function toModelId(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/.test(name)) return name
  const plain = basename(name)
    .replace(/\.gguf$/i, '')
    .replace(/[^A-Za-z0-9._:-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
  return plain.slice(0, 128) || 'model'
}

/** A model file of the person for the embedded engine. Throws a UsageError when a file does not exist. */
export function describeYourModel(file: string, mmproj: string | undefined): EmbeddedModel {
  requireFile('--model', file)
  if (mmproj !== undefined) requireFile('--mmproj', mmproj)
  const id = toModelId(basename(file).replace(/\.gguf$/i, '')).toLowerCase()
  return { id, file, ...(mmproj === undefined ? {} : { mmproj }), context: embeddedContext, slots: embeddedSlots }
}

function requireFile(flag: string, file: string): void {
  if (!existsSync(file)) throw new UsageError(`${flag} "${file}": there is no such file; wants a GGUF file`)
}
