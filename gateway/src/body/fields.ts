import { HearthError } from '../errors.ts'
import { allowedFields, compiledFields, forbiddenFields, silentFields, templateSwitches } from './chat-fields.data.ts'
import { readPictures } from './content.ts'
import { parseSpan, type Span, scanBody } from './scan.ts'

/** What the gateway decides by, out of the body of an inference request. */
export interface InferenceFields {
  readonly model: string
  readonly modelSpan: Span
  readonly stream: boolean
  /** For each picture its `data:` url: the JSON string, quotes included. */
  readonly pictures: readonly Span[]
  /** What must not reach the engine, in the order of the body. */
  readonly cuts: readonly Span[]
  /** Names of the fields that are cut, as a header may carry them; without those that nobody misses. */
  readonly dropped: readonly string[]
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
 * Reads the policy fields of a body. Throws `invalid_json`, `invalid_request` naming the field and its value,
 * `forbidden_field`, or what readPictures() throws.
 */
export function readFields(bytes: Buffer): InferenceFields {
  const { values, others, marks, cuts } = scanBody(bytes, allowedFields)
  for (const name of others) {
    if (forbiddenFields.has(name) || name.startsWith('guided_')) throw forbidden(name)
  }
  checkSizes(values)
  const read = (name: string) => readValue(bytes, values, name)
  const model = read('model')
  const modelSpan = values.get('model')
  if (modelSpan === undefined || typeof model !== 'string' || model === '')
    throw wrongField('model', model, 'the id of a model')
  const stream = read('stream') ?? false
  if (typeof stream !== 'boolean') throw wrongField('stream', stream, 'true or false')
  checkInteger('n', read('n'), 1, choicesMax)
  checkInteger('top_logprobs', read('top_logprobs'), 0, topLogprobsMax)
  checkStop(read('stop'))
  checkSwitches(read('chat_template_kwargs'))
  for (const name of compiledFields) checkDepth(name, read(name))
  return { model, modelSpan, stream, pictures: readPictures(bytes, marks), cuts, dropped: droppedNames(others) }
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
