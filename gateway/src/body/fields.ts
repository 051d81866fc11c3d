import { HearthError } from '../errors.ts'
import { allowedFields, compiledFields, forbiddenFields, silentFields, templateSwitches } from './chat-fields.data.ts'
import { readPictures } from './content.ts'
import { type BodyKind, bodySchemas } from './kinds.data.ts'
import { parseSpan, type Span, scanBody } from './scan.ts'
import { spliceBody } from './splice.ts'

export type { BodyKind } from './kinds.data.ts'

/** What the gateway decides by, out of the body of an inference request. */
export interface InferenceFields {
  readonly kind: BodyKind
  /** Undefined only for embeddings and rerank: the caller left it out. */
  readonly model: string | undefined
  readonly stream: boolean
  /** For each picture its `data:` url: the JSON string, quotes included. */
  readonly pictures: readonly Span[]
  /** Names of the fields that are cut, as a header may carry them; without those that nobody misses. */
  readonly dropped: readonly string[]
  /** What reaches the engine, field by field, in its order. */
  readonly kept: readonly KeptField[]
}

/** A field of the body that reaches the engine under `name`: its value, without what is cut out of it. */
export interface KeptField {
  readonly name: string
  readonly value: Span
  /** In order, inside of `value`. */
  readonly cuts: readonly Span[]
}

export interface ReadFieldsOptions {
  /** Refuse what nobody listed, instead of dropping it. */
  readonly strictFields: boolean
  /** Ends the reading of a long body between two pieces of it. */
  readonly signal?: AbortSignal
}

type Values = ReadonlyMap<string, Span>

const fieldBytesMax = 64 * 1024
const compiledDepthMax = 32
const choicesMax = 4
const stopsMax = 4
const topLogprobsMax = 20
const droppedMax = 16
const droppedCharsMax = 64

/**
 * Reads and checks a body. Long bodies are read in slices, with other work between them; `bytes` must not change
 * meanwhile. Rejects with `invalid_json`, `invalid_request` naming the field and its value, `forbidden_field`,
 * `unknown_field`, `remote_picture` or `unsupported_content`.
 */
export async function readFields(
  bytes: Buffer,
  kind: BodyKind,
  { strictFields }: ReadFieldsOptions,
): Promise<InferenceFields> {
  const names = kind === 'chat' ? allowedFields : new Set(Object.keys(bodySchemas[kind].properties ?? {}))
  const { values, others, marks, cuts } = scanBody(bytes, names)
  for (const name of others) {
    if (forbiddenFields.has(name) || name.startsWith('guided_')) throw forbidden(name)
  }
  checkSizes(values)
  const read = (name: string) => readValue(bytes, values, name)
  const model = read('model')
  if (typeof model !== 'string' || model === '') throw wrongField('model', model, 'the id of a model')
  const stream = read('stream') ?? false
  if (typeof stream !== 'boolean') throw wrongField('stream', stream, 'true or false')
  checkInteger('n', read('n'), 1, choicesMax)
  checkInteger('top_logprobs', read('top_logprobs'), 0, topLogprobsMax)
  checkStop(read('stop'))
  checkSwitches(read('chat_template_kwargs'))
  for (const name of compiledFields) checkDepth(name, read(name))
  const dropped = droppedNames(others)
  if (strictFields && dropped.length > 0)
    throw new HearthError('unknown_field', {
      param: dropped[0],
      message: `The body has fields that are not known here: ${dropped.join(', ')}. Leave them out.`,
    })
  const kept = [...values].map(([name, value]) => ({
    name,
    value,
    cuts: cuts.filter(({ start, end }) => start >= value.start && end <= value.end),
  }))
  return { kind, model, stream, pictures: readPictures(bytes, marks), dropped, kept }
}

/**
 * The body for the engine: the fields that pass, in the order of the table and without white space between them, under
 * the engine's own name of the model. The values are views on the old bytes.
 */
export function rebuildBody(
  bytes: Buffer,
  { kept }: InferenceFields,
  set: { readonly model: string; readonly cacheSalt: string | undefined },
): readonly Buffer[] {
  const pieces: Buffer[] = [Buffer.from(`{"model":${JSON.stringify(set.model)}`)]
  for (const { name, value, cuts } of kept) {
    if (name === 'model') continue
    pieces.push(Buffer.from(`,"${name}":`))
    const inner = cuts.map(({ start, end }) => ({
      span: { start: start - value.start, end: end - value.start },
      bytes: Buffer.alloc(0),
    }))
    pieces.push(...spliceBody(bytes.subarray(value.start, value.end), inner))
  }
  const salt = set.cacheSalt === undefined ? '' : `,"cache_salt":${JSON.stringify(set.cacheSalt)}`
  pieces.push(Buffer.from(`${salt}}`))
  return pieces
}

function readValue(bytes: Buffer, values: Values, name: string): unknown {
  const span = values.get(name)
  return span === undefined ? undefined : parseSpan(bytes, span)
}

function checkSizes(values: Values): void {
  for (const [param, { start, end }] of values) {
    if (param === 'messages' || end - start <= fieldBytesMax) continue
    const message = `The field "${param}" has ${end - start} bytes; wants at most ${fieldBytesMax}.`
    throw new HearthError('invalid_request', { param, message })
  }
}

function checkInteger(param: string, value: unknown, min: number, max: number): void {
  if (value === undefined || value === null) return
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return
  throw wrongField(param, value, `a whole number from ${min} to ${max}`)
}

function checkStop(value: unknown): void {
  if (value === undefined || value === null || typeof value === 'string') return
  const isList = Array.isArray(value) && value.length <= stopsMax && value.every((one) => typeof one === 'string')
  if (!isList) throw wrongField('stop', value, `a string or at most ${stopsMax} strings`)
}

function checkSwitches(value: unknown): void {
  if (value === undefined || value === null) return
  if (typeof value !== 'object' || Array.isArray(value))
    throw wrongField('chat_template_kwargs', value, 'an object with true or false for enable_thinking or thinking')
  for (const [name, on] of Object.entries(value)) {
    const param = `chat_template_kwargs.${name.slice(0, droppedCharsMax)}`
    if (!templateSwitches.has(name)) throw forbidden(param)
    if (typeof on !== 'boolean') throw wrongField(param, on, 'true or false')
  }
}

function checkDepth(param: string, value: unknown): void {
  if (isDeeper(value, compiledDepthMax))
    throw wrongField(param, value, `at most ${compiledDepthMax} levels of objects and lists`)
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1))
}

function droppedNames(others: readonly string[]): readonly string[] {
  const names = new Set<string>()
  for (const name of others) {
    if (names.size === droppedMax) break
    // A comma would look like two names, anything that is no printable ASCII may not stand in a header.
    if (!silentFields.has(name)) names.add(name.slice(0, droppedCharsMax).replaceAll(/[^!-+\--~]/g, '?') || '?')
  }
  return [...names]
}

function forbidden(param: string): HearthError {
  return new HearthError('forbidden_field', {
    param,
    message: `The field "${param}" may not be set through this gateway. Leave it out.`,
  })
}

function wrongField(param: string, value: unknown, wanted: string): HearthError {
  const shown = value === undefined ? 'is missing' : `is ${JSON.stringify(value)?.slice(0, 80)}`
  return new HearthError('invalid_request', { param, message: `The field "${param}" ${shown}; wants ${wanted}.` })
}
