import type { JsonType, Schema } from '../body/schema.ts'

/** The words of JSON Schema that hold other schemas; they are of another kind here. */
type Nesting = 'items' | 'properties' | 'additionalProperties'

/** JSON Schema 2020-12, as far as the description of the API uses it. */
export interface JsonSchema extends Partial<Omit<Schema, Nesting | 'policy'>> {
  readonly $ref?: string
  readonly title?: string
  readonly const?: string
  readonly pattern?: string
  readonly items?: JsonSchema
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: boolean | JsonSchema
  readonly propertyNames?: JsonSchema
  readonly not?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
}

const pictureUrl = '^data:image/(png|jpeg|jpg|webp);base64,'

/** What the gateway checks a value by, in JSON Schema alone: what stands in `policy` is said in its words. */
export function toJsonSchema(schema: Schema): JsonSchema {
  const types = [schema.type].flat().filter((type) => isPossible(schema, type))
  const described = schema.description === undefined ? {} : { description: schema.description }
  const variants = types.map((type) => variantOf(schema, type))
  const [first] = variants
  if (first !== undefined && variants.length === 1) return { ...described, ...first }
  if (types.filter((type) => type !== 'null').length > 1) return { ...described, anyOf: variants }
  const values = schema.enum === undefined ? {} : { enum: schema.enum }
  return { ...described, ...Object.assign({}, ...variants), ...values, type: types }
}

/** The words of a schema that bind the values of one type. */
function variantOf(schema: Schema, type: JsonType): JsonSchema {
  if (type === 'object') return { type, ...objectWords(schema) }
  const { minimum, maximum, minLength, maxLength, items, minItems, maxItems } = schema
  const values = schema.enum?.filter((value) => typeOf(value) === type) ?? []
  const listed = values.length === 0 ? {} : { enum: values }
  if (type === 'integer' || type === 'number') return { type, ...given({ minimum, maximum }) }
  if (type === 'array')
    return { type, ...(items === undefined ? {} : { items: toJsonSchema(items) }), ...given({ minItems, maxItems }) }
  if (type !== 'string') return { type, ...listed }
  return { type, ...listed, ...given({ minLength, maxLength }), ...textWords(schema) }
}

function textWords({ policy }: Schema): JsonSchema {
  if (policy?.holds === 'picture') return { pattern: pictureUrl }
  return policy?.holds === 'json-text' ? { description: 'JSON as a text.' } : {}
}

/** Whether a value of the type can fit at all: `enum` binds texts, true, false and null. */
function isPossible({ enum: values }: Schema, type: JsonType): boolean {
  if (values === undefined || !['string', 'boolean', 'null'].includes(type)) return true
  return values.some((value) => typeOf(value) === type)
}

function objectWords({
  properties = {},
  required = [],
  additionalProperties,
  maxProperties,
  policy,
}: Schema): JsonSchema {
  const entries = Object.entries(properties)
  const aliases = entries.flatMap(([name, { policy: own }]) =>
    own?.aliasOf === undefined ? [] : [{ name, of: own.aliasOf }],
  )
  // A field that has another name is required by either of them, and by one alone.
  const fixed = required.filter((name) => aliases.every(({ of }) => of !== name))
  const either = aliases.map(({ name, of }) => ({ oneOf: [{ required: [of] }, { required: [name] }] }))
  return {
    ...(policy?.holds === 'json-schema' ? { description: 'A JSON Schema.' } : {}),
    ...(entries.length === 0
      ? {}
      : { properties: Object.fromEntries(entries.map(([name, inner]) => [name, toJsonSchema(inner)])) }),
    ...(fixed.length === 0 ? {} : { required: fixed }),
    ...either[0],
    ...moreKeys(additionalProperties),
    ...given({ maxProperties }),
    ...refusedNames(policy),
  }
}

function moreKeys(more: Schema['additionalProperties']): JsonSchema {
  if (more === undefined) return {}
  return { additionalProperties: typeof more === 'boolean' ? more : toJsonSchema(more) }
}

function refusedNames(policy: Schema['policy']): JsonSchema {
  const names = Object.values(policy?.refused ?? {}).flat()
  const prefixes = policy?.refusedPrefixes ?? []
  const patterns = prefixes.map((prefix) => ({ pattern: `^${prefix}` }))
  if (names.length + patterns.length === 0) return {}
  return { propertyNames: { not: { anyOf: [...(names.length === 0 ? [] : [{ enum: names }]), ...patterns] } } }
}

function typeOf(value: string | boolean | null): JsonType {
  return value === null ? 'null' : typeof value === 'string' ? 'string' : 'boolean'
}

/** The same without what is undefined. */
function given<T extends object>(words: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(words).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>
  }
}
