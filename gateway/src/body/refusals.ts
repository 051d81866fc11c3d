import { type ErrorCode, HearthError } from '../errors.ts'
import type { JsonType, Schema } from './schema.ts'

/** The way to a value: names of keys, and places in lists. */
export type Path = readonly (string | number)[]

const nameCharsMax = 64

/** A path as people write it, `messages[0].role`, cut and in printable ASCII whatever the caller wrote. */
export function nameOf(path: Path): string {
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : joined(plain(step), index))).join('')
}

/** As nameOf(), without the places in lists, and fit for a list in a header. */
export function headerNameOf(path: Path): string {
  const names = path.filter((step) => typeof step === 'string')
  return names.map((name) => plain(name).replaceAll(/[ ,]/g, '?') || '?').join('.')
}

/** A key that may not stand there, whatever its value; `code` is the code of an error. */
export function refusedKey(code: string, path: Path): HearthError {
  if (code === 'unsupported_content') return unsupported(path, `"${plain(String(path.at(-1)))}"`)
  if (code === 'remote_picture') return new HearthError('remote_picture', { param: nameOf(path) })
  return forbidden(path)
}

export function forbidden(path: Path): HearthError {
  const param = nameOf(path)
  return new HearthError('forbidden_field', {
    param,
    message: `The field "${param}" may not be set through this gateway. Leave it out.`,
  })
}

/** A value that is not what its schema wants; `shown` is the JSON text of it, or what kind it is. */
export function wrongValue(path: Path, schema: Schema, shown: string): HearthError {
  const code: ErrorCode = schema.policy?.refusedAs ?? 'invalid_request'
  if (code === 'forbidden_field') return forbidden(path)
  if (code === 'unsupported_content') return unsupported(path, shown.replaceAll(/[^ -~]/g, '?'))
  return wrong(path, `${shown.startsWith('is ') ? '' : 'is '}${shown}; wants ${wantedOf(schema)}`)
}

/** `What the field is; wants what`, as an error. */
export function wrong(path: Path, what: string): HearthError {
  const param = nameOf(path)
  return new HearthError('invalid_request', { param, message: `The field "${param}" ${what}.` })
}

function unsupported(path: Path, what: string): HearthError {
  const message = `Content of the type ${what} is not read here; send parts of the type text or image_url.`
  return new HearthError('unsupported_content', { param: nameOf(path), message })
}

/** What a schema wants, in words. */
export function wantedOf(schema: Schema): string {
  if (schema.policy?.wanted !== undefined) return schema.policy.wanted
  const types = typesOf(schema).filter((type) => type !== 'null')
  if (types.length === 0) return 'it left out'
  return types.map((type) => wantedType(type, schema)).join(' or ')
}

export function isOfType({ type: types }: Schema, type: JsonType): boolean {
  return typeof types === 'string' ? types === type : types.includes(type)
}

function typesOf({ type }: Schema): readonly JsonType[] {
  return typeof type === 'string' ? [type] : type
}

function wantedType(type: JsonType, schema: Schema): string {
  const { minimum, maximum, items } = schema
  const range = minimum === undefined ? '' : ` from ${minimum} to ${maximum}`
  switch (type) {
    case 'boolean':
      return 'true or false'
    case 'integer':
      return `a whole number${range}`
    case 'number':
      return `a number${range}`
    case 'string':
      return wantedString(schema)
    case 'array':
      return `${schema.maxItems === undefined ? 'a list of' : `at most ${schema.maxItems}`} ${items === undefined ? 'values' : pluralOf(items)}`
    default:
      return 'an object'
  }
}

function wantedString({ enum: choices, minLength, maxLength }: Schema): string {
  if (choices !== undefined)
    return choices
      .filter((one) => one !== null)
      .map((one) => JSON.stringify(one))
      .join(', ')
  if (maxLength === undefined) return 'a string'
  return minLength === undefined
    ? `a string of at most ${maxLength} characters`
    : `a string of ${minLength} to ${maxLength} characters`
}

function pluralOf(items: Schema): string {
  return typesOf(items)
    .map((type) => `${type}s`)
    .join(' or ')
}

function joined(name: string, index: number): string {
  return index === 0 ? name : `.${name}`
}

function plain(name: string): string {
  return name.slice(0, nameCharsMax).replaceAll(/[^ -~]/g, '?')
}
