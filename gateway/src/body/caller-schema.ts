/**
 * The JSON Schemas that callers send: engines hand them to a compiler of grammars, which some values have crashed and
 * others kept busy for ever. So what a compiler takes apart is checked here: types, patterns, counts and references.
 */

const types: ReadonlySet<unknown> = new Set(['string', 'number', 'integer', 'object', 'array', 'boolean', 'null'])
/** Keywords that hold one schema, a list of them, or schemas by name. */
const single = ['additionalProperties', 'not', 'if', 'then', 'else', 'contains', 'propertyNames', 'additionalItems']
const listed = ['anyOf', 'oneOf', 'allOf', 'prefixItems']
const named = ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas']
const counts = ['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties']
const countMax = 2 ** 31 - 1
const patternCharsMax = 512
/** How often repeats within repeats may multiply: each becomes as many states of a compiled grammar. */
const repeatsMax = 10_000

/** What is wrong with a schema, as `what it is; wants what`; undefined where nothing is. */
export function findSchemaProblem(schema: unknown): string | undefined {
  if (typeof schema === 'boolean') return undefined
  if (!isObject(schema)) return `holds ${shown(schema)} in the place of a schema; wants an object`
  return findWrongWord(schema) ?? findWrongInner(schema)
}

function findWrongWord(schema: Record<string, unknown>): string | undefined {
  const { type, pattern, $ref: reference } = schema
  if (type !== undefined && !isType(type)) return `holds the type ${shown(type)}; wants ${[...types].join(', ')}`
  if (pattern !== undefined && !isPattern(pattern)) return `holds ${wrongPattern(pattern)}`
  if (reference !== undefined && !(typeof reference === 'string' && reference.startsWith('#')))
    return `holds the $ref ${shown(reference)}; wants one within the schema, "#/…"`
  for (const name of counts) {
    const count = schema[name]
    if (count !== undefined && !(Number.isInteger(count) && Number(count) >= 0 && Number(count) <= countMax))
      return `holds the ${name} ${shown(count)}; wants a whole number`
  }
  return undefined
}

function findWrongInner(schema: Record<string, unknown>): string | undefined {
  const inner: unknown[] = single.filter((name) => name in schema).map((name) => schema[name])
  const { items } = schema
  if (items !== undefined) inner.push(...(Array.isArray(items) ? items : [items]))
  for (const name of listed) {
    const list = schema[name]
    if (list === undefined) continue
    if (!Array.isArray(list)) return `holds the ${name} ${shown(list)}; wants a list of schemas`
    inner.push(...list)
  }
  for (const name of named) {
    const map = schema[name]
    if (map === undefined) continue
    if (!isObject(map)) return `holds the ${name} ${shown(map)}; wants an object of schemas`
    const wrong = name === 'patternProperties' ? Object.keys(map).find((key) => !isPattern(key)) : undefined
    if (wrong !== undefined) return `holds ${wrongPattern(wrong)}`
    inner.push(...Object.values(map))
  }
  return firstProblem(inner)
}

function firstProblem(schemas: readonly unknown[]): string | undefined {
  for (const schema of schemas) {
    const problem = findSchemaProblem(schema)
    if (problem !== undefined) return problem
  }
  return undefined
}

function isType(type: unknown): boolean {
  if (!Array.isArray(type)) return types.has(type)
  return type.length > 0 && type.length <= types.size && type.every((one) => types.has(one))
}

function isPattern(pattern: unknown): boolean {
  if (typeof pattern !== 'string' || pattern.length > patternCharsMax) return false
  try {
    // Only read, never run.
    new RegExp(pattern)
  } catch {
    return false
  }
  return countRepeats(pattern) <= repeatsMax
}

/** By how much repeats within repeats of a valid pattern multiply at most. */
export function countRepeats(pattern: string): number {
  const opened: number[] = []
  let most = 1
  let atom = 1
  for (const [token, group, end, least, upTo] of pattern.matchAll(
    /\\.|\[(?:\\.|[^\]\\])*\]?|(\()|(\))|\{(\d+)(?:,(\d*))?\}|./gsu,
  )) {
    if (group !== undefined) {
      opened.push(most)
      most = 1
      atom = 1
    } else if (end !== undefined) {
      atom = most
      most = Math.max(most, opened.pop() ?? 1)
    } else if (least === undefined) atom = '?*+|'.includes(token) ? atom : 1
    else {
      atom *= Math.max(1, Number(least), Number(upTo ?? 0))
      most = Math.max(most, atom)
    }
  }
  return most
}

function wrongPattern(pattern: unknown): string {
  return `the pattern ${shown(pattern)}; wants a regular expression of at most ${patternCharsMax} characters and ${repeatsMax} repeats`
}

function shown(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 80) ?? 'nothing'
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
