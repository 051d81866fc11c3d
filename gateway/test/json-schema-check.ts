import type { JsonSchema } from '../src/routes/json-schema.ts'

/** Finds the schema behind a `$ref`. */
export type Resolve = (reference: string) => JsonSchema

/** What a value breaks of a schema, each with its place; empty where it fits. Knows the words that our description uses. */
export function findMisfits(schema: JsonSchema, value: unknown, resolve: Resolve, at = '$'): readonly string[] {
  const inner = (part: JsonSchema, of = value, where = at) => findMisfits(part, of, resolve, where)
  const fits = (part: JsonSchema) => inner(part).length === 0
  const counts = (parts: readonly JsonSchema[] = []) => parts.filter(fits).length
  const problems: string[] = []
  const want = (holds: boolean, word: string) => {
    if (!holds) problems.push(`${at}: ${word} ${JSON.stringify(value)?.slice(0, 60)}`)
  }
  if (schema.$ref !== undefined) problems.push(...inner(resolve(schema.$ref)))
  if (schema.type !== undefined)
    want(
      [schema.type].flat().some((type) => isOf(type, value)),
      'type',
    )
  if (schema.enum !== undefined)
    want(
      schema.enum.some((one) => one === value),
      'enum',
    )
  if (schema.const !== undefined) want(schema.const === value, 'const')
  if (schema.not !== undefined) want(!fits(schema.not), 'not')
  if (schema.anyOf !== undefined) want(counts(schema.anyOf) > 0, 'anyOf')
  if (schema.oneOf !== undefined) want(counts(schema.oneOf) === 1, 'oneOf')
  if (typeof value === 'number')
    want(value >= (schema.minimum ?? value) && value <= (schema.maximum ?? value), 'minimum or maximum')
  if (typeof value === 'string') {
    const { length } = [...value]
    want(length >= (schema.minLength ?? 0) && length <= (schema.maxLength ?? length), 'length')
    want(new RegExp(schema.pattern ?? '').test(value), 'pattern')
  }
  if (Array.isArray(value)) {
    want(value.length >= (schema.minItems ?? 0) && value.length <= (schema.maxItems ?? value.length), 'items')
    const { items } = schema
    if (items !== undefined) problems.push(...value.flatMap((one, index) => inner(items, one, `${at}[${index}]`)))
  } else if (typeof value === 'object' && value !== null) {
    problems.push(...findKeyMisfits(schema, value, resolve, at))
  }
  return problems
}

function findKeyMisfits(schema: JsonSchema, value: object, resolve: Resolve, at: string): readonly string[] {
  const problems = (schema.required ?? []).filter((key) => !Object.hasOwn(value, key)).map((key) => `${at}: no ${key}`)
  const more = schema.additionalProperties ?? true
  if (Object.keys(value).length > (schema.maxProperties ?? Number.POSITIVE_INFINITY))
    problems.push(`${at}: too many keys`)
  for (const [key, inner] of Object.entries(value)) {
    const own = schema.properties?.[key]
    const where = `${at}.${key}`
    if (schema.propertyNames !== undefined) problems.push(...findMisfits(schema.propertyNames, key, resolve, where))
    if (own !== undefined) problems.push(...findMisfits(own, inner, resolve, where))
    else if (more === false) problems.push(`${where}: not known`)
    else if (typeof more === 'object') problems.push(...findMisfits(more, inner, resolve, where))
  }
  return problems
}

function isOf(type: string, value: unknown): boolean {
  if (type === 'null') return value === null
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  return type === 'integer' ? Number.isInteger(value) : typeof value === type
}
