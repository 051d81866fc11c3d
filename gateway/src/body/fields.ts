import { HearthError } from '../errors.ts'
import { type BodyKind, bodySchemas } from './kinds.data.ts'
import { type KeptField, parseSpan, type Span, scanBody } from './scan.ts'
import { cutOut } from './splice.ts'
import type { TurnOptions } from './turns.ts'

export type { BodyKind } from './kinds.data.ts'

/** What the gateway decides by, out of the body of an inference request. */
export interface InferenceFields {
  readonly kind: BodyKind
  /** Undefined only for embeddings and rerank: the caller left it out. */
  readonly model: string | undefined
  readonly stream: boolean
  /** Whether the caller wants what the answer cost as the last chunk of the stream. */
  readonly showUsage: boolean
  /** Whether the caller lets the model think, as far as is known. */
  readonly thinks: boolean
  /** For each picture its `data:` url: the JSON string, quotes included. */
  readonly pictures: readonly Span[]
  /** Names of what is cut, as a header may carry them; without what nobody misses, and not all of very many. */
  readonly dropped: readonly string[]
  /** What reaches the engine, by the engine's name of the field. */
  readonly kept: ReadonlyMap<string, KeptField>
}

export interface ReadFieldsOptions extends Pick<TurnOptions, 'turns' | 'signal'> {
  /** Refuse what nobody listed, instead of dropping it. */
  readonly strictFields: boolean
}

/**
 * Reads and checks a body. Long bodies are read in slices, with other work between them; `bytes` must not change
 * meanwhile. Rejects with `invalid_json`, `invalid_request` naming the field and its value, `forbidden_field`,
 * `unknown_field`, `remote_picture`, `unsupported_content`, or the reason of `signal`.
 */
export async function readFields(
  bytes: Buffer,
  kind: BodyKind,
  { strictFields, signal, turns }: ReadFieldsOptions,
): Promise<InferenceFields> {
  const { kept, dropped, pictures } = await scanBody(bytes, bodySchemas[kind], { signal, turns })
  if (strictFields && dropped.length > 0) throw unknownFields(dropped)
  const read = (name: string) => {
    const field = kept.get(name)
    return field === undefined ? undefined : parseSpan(bytes, field.value)
  }
  const model = read('model')
  return {
    kind,
    model: typeof model === 'string' ? model : undefined,
    stream: read('stream') === true,
    showUsage: isSet(read('stream_options'), 'include_usage'),
    thinks: !isSwitchedOff(read('chat_template_kwargs'), read('reasoning_effort')),
    pictures,
    dropped,
    kept,
  }
}

/** What the gateway says in the body of its own accord. */
export interface BodySettings {
  /** The engine's own name of the model. */
  readonly model: string
  readonly cacheSalt: string | undefined
  /** Fields that the engine knows by another name. */
  readonly renamed?: Readonly<Record<string, string>>
}

/**
 * The body for the engine: the fields that pass, in the order of the table and without white space between them, under
 * the engine's own name of the model. The values are views on the old bytes. Every stream is asked what it cost.
 */
export function rebuildBody(bytes: Buffer, fields: InferenceFields, set: BodySettings): readonly Buffer[] {
  const { kind, kept, stream } = fields
  const pieces: Buffer[] = [Buffer.from(`{"model":${JSON.stringify(set.model)}`)]
  for (const name of Object.keys(bodySchemas[kind].properties ?? {})) {
    const field = kept.get(name)
    if (name === 'stream_options' && stream)
      pieces.push(Buffer.from(`,"stream_options":${streamOptions(bytes, fields)}`))
    else if (name !== 'model' && field !== undefined)
      pieces.push(Buffer.from(`,"${nameFor(name, fields, set)}":`), ...cutOut(bytes, field.value, field.cuts))
  }
  const salt = set.cacheSalt === undefined ? '' : `,"cache_salt":${JSON.stringify(set.cacheSalt)}`
  pieces.push(Buffer.from(`${salt}}`))
  return pieces
}

/** A field keeps its name where the other one stands in the body as well. */
function nameFor(name: string, { kept }: InferenceFields, { renamed = {} }: BodySettings): string {
  const other = Object.hasOwn(renamed, name) ? renamed[name] : undefined
  return other === undefined || kept.has(other) ? name : other
}

/** What a stream cost is asked of the engine always; an account in every chunk only where the caller wants both. */
function streamOptions(bytes: Buffer, { kept, showUsage }: InferenceFields): string {
  const field = kept.get('stream_options')
  const own = field === undefined ? undefined : parseSpan(bytes, field.value)
  const continuous = showUsage && isSet(own, 'continuous_usage_stats')
  return JSON.stringify({ include_usage: true, ...(continuous ? { continuous_usage_stats: true } : {}) })
}

function isSwitchedOff(template: unknown, effort: unknown): boolean {
  return effort === 'none' || isSet(template, 'enable_thinking', false) || isSet(template, 'thinking', false)
}

function isSet(options: unknown, name: string, value = true): boolean {
  return options !== null && typeof options === 'object' && Reflect.get(options, name) === value
}

function unknownFields(dropped: readonly string[]): HearthError {
  const message = `The body has fields that are not known here: ${dropped.join(', ')}. Leave them out.`
  return new HearthError('unknown_field', { param: dropped[0], message })
}
