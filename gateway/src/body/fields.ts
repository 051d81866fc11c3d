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
    showUsage: asksForUsage(read('stream_options')),
    pictures,
    dropped,
    kept,
  }
}

/**
 * The body for the engine: the fields that pass, in the order of the table and without white space between them, under
 * the engine's own name of the model. The values are views on the old bytes.
 */
export function rebuildBody(
  bytes: Buffer,
  { kind, kept }: InferenceFields,
  set: { readonly model: string; readonly cacheSalt: string | undefined },
): readonly Buffer[] {
  const pieces: Buffer[] = [Buffer.from(`{"model":${JSON.stringify(set.model)}`)]
  for (const name of Object.keys(bodySchemas[kind].properties ?? {})) {
    const field = kept.get(name)
    if (name !== 'model' && field !== undefined)
      pieces.push(Buffer.from(`,"${name}":`), ...cutOut(bytes, field.value, field.cuts))
  }
  const salt = set.cacheSalt === undefined ? '' : `,"cache_salt":${JSON.stringify(set.cacheSalt)}`
  pieces.push(Buffer.from(`${salt}}`))
  return pieces
}

function asksForUsage(options: unknown): boolean {
  return options !== null && typeof options === 'object' && Reflect.get(options, 'include_usage') === true
}

function unknownFields(dropped: readonly string[]): HearthError {
  const message = `The body has fields that are not known here: ${dropped.join(', ')}. Leave them out.`
  return new HearthError('unknown_field', { param: dropped[0], message })
}
