import { HearthError } from '../errors.ts'
import { parseSpan, type Span, scanBody } from './scan.ts'

/** What the gateway decides by, out of the body of an inference request. */
export interface InferenceFields {
  readonly model: string
  readonly modelSpan: Span
  readonly stream: boolean
  readonly pictures: number
}

const policyKeys: ReadonlySet<string> = new Set(['model', 'stream'])

/** Reads the policy fields of a body. Throws `invalid_json`, or `invalid_request` naming the field and its value. */
export function readFields(bytes: Buffer): InferenceFields {
  const { values, pictures } = scanBody(bytes, policyKeys)
  const modelSpan = values.get('model')
  const model = modelSpan === undefined ? undefined : parseSpan(bytes, modelSpan)
  if (modelSpan === undefined || typeof model !== 'string' || model === '')
    throw wrongField('model', model, 'the id of a model')
  const streamSpan = values.get('stream')
  const stream = streamSpan === undefined ? false : (parseSpan(bytes, streamSpan) ?? false)
  if (typeof stream !== 'boolean') throw wrongField('stream', stream, 'true or false')
  return { model, modelSpan, stream, pictures }
}

function wrongField(param: string, value: unknown, wanted: string): HearthError {
  const shown = value === undefined ? 'is missing' : `is ${JSON.stringify(value)?.slice(0, 80)}`
  return new HearthError('invalid_request', { param, message: `The field "${param}" ${shown}; wants ${wanted}.` })
}
