import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { findMisfits, type Resolve } from '../../test/json-schema-check.ts'
import { errorTable } from '../errors.ts'
import type { JsonSchema } from './json-schema.ts'
import { describeApi } from './openapi.ts'
import { callerRoutes } from './routes.data.ts'

const document = describeApi()
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods))

const resolve: Resolve = (reference) => {
  const found = document.components.schemas[reference.replace('#/components/schemas/', '')]
  ok(found, `${reference} leads nowhere`)
  return found
}

/** Every object inside of a value, with its place. */
function* objectsIn(value: unknown, at: string): Generator<{ at: string; object: object }> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield { at, object: value }
  for (const [key, inner] of Object.entries(value)) yield* objectsIn(inner, `${at}/${key}`)
}

/** The keys that OpenAPI 3.1 knows at each place that our description uses. */
const knownKeys: readonly [place: RegExp, keys: readonly string[]][] = [
  [/^#$/, ['openapi', 'info', 'servers', 'paths', 'components']],
  [/^#\/info$/, ['title', 'version', 'description']],
  [/^#\/servers\/\d+$/, ['url']],
  [
    /^#\/paths\/[^/]*(\/[^/]*)*\/(get|post)$/,
    ['operationId', 'summary', 'description', 'security', 'parameters', 'requestBody', 'responses'],
  ],
  [/\/(get|post)\/parameters\/\d+$/, ['name', 'in', 'required', 'description', 'schema']],
  [/\/(get|post)\/requestBody$/, ['required', 'content']],
  [/\/responses\/\d{3}$/, ['description', 'headers', 'content']],
  [/^#\/paths\/.*\/content\/[\w.]+\/[\w.+-]+$/, ['schema', 'example']],
  [/^#\/components$/, ['schemas', 'headers', 'securitySchemes']],
  [/^#\/components\/headers\/[^/]+$/, ['description', 'schema']],
  [/^#\/components\/securitySchemes\/[^/]+$/, ['type', 'scheme', 'description']],
]

const schemaKeys = new Set([
  ...[
    '$ref',
    'type',
    'title',
    'description',
    'const',
    'enum',
    'minimum',
    'maximum',
    'minLength',
    'maxLength',
    'pattern',
  ],
  ...['items', 'minItems', 'maxItems', 'properties', 'required', 'additionalProperties', 'maxProperties'],
  ...['propertyNames', 'not', 'anyOf', 'oneOf'],
])

function* schemasIn(schema: JsonSchema, at: string): Generator<{ at: string; schema: JsonSchema }> {
  yield { at, schema }
  const { properties = {}, items, propertyNames, not, anyOf = [], oneOf = [], additionalProperties: more } = schema
  for (const [key, inner] of Object.entries(properties)) yield* schemasIn(inner, `${at}/${key}`)
  for (const inner of [items, propertyNames, not, ...anyOf, ...oneOf, typeof more === 'object' ? more : undefined])
    if (inner !== undefined) yield* schemasIn(inner, `${at}/*`)
}

function allSchemas() {
  const roots = [
    ...Object.entries(document.components.schemas),
    ...Object.entries(document.components.headers).map(([name, { schema }]) => [name, schema] as const),
    ...operations.flatMap((operation) => [
      ...(operation.parameters ?? []).map(({ schema }) => [operation.operationId, schema] as const),
      ...[operation.requestBody, ...Object.values(operation.responses)].flatMap((body) =>
        Object.values(body?.content ?? {}).map(({ schema }) => [operation.operationId, schema] as const),
      ),
    ]),
  ]
  return roots.flatMap(([name, schema]) => [...schemasIn(schema, name)])
}

test('the description has each route of the list with its method, and no other', () => {
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => `${method.toUpperCase()} ${path} ${operationId}`),
  )
  deepEqual(described.sort(), callerRoutes.map(({ method, path, handler }) => `${method} ${path} ${handler}`).sort())
  equal(new Set(operations.map(({ operationId }) => operationId)).size, operations.length)
})

test('the description holds only keys that OpenAPI 3.1 knows, each at its place', () => {
  let judged = 0
  for (const { at, object } of objectsIn(document, '#')) {
    const [, keys] = knownKeys.find(([place]) => place.test(at)) ?? []
    if (keys === undefined) continue
    judged += 1
    deepEqual(
      Object.keys(object).filter((key) => !keys.includes(key)),
      [],
      at,
    )
  }
  console.log(`${judged} objects of OpenAPI judged`)
  ok(judged > 100)
})

test('each schema is of JSON Schema 2020-12 and binds what it means to bind', () => {
  const schemas = allSchemas()
  for (const { at, schema } of schemas) {
    deepEqual(
      Object.keys(schema).filter((key) => !schemaKeys.has(key)),
      [],
      at,
    )
    if (schema.$ref !== undefined) resolve(schema.$ref)
    const types = [schema.type ?? []].flat()
    equal(new Set(types).size, types.length, at)
    // `enum` binds values of every type: one that it leaves out is forbidden, whatever `type` says.
    const typeOf = (value: unknown) => (value === null ? 'null' : typeof value)
    if (schema.enum !== undefined && types.length > 0)
      deepEqual([...new Set(schema.enum.map(typeOf))].sort(), types.toSorted(), at)
    for (const key of schema.required ?? [])
      if (schema.properties !== undefined) ok(schema.properties[key], `${at}: ${key}`)
    if (schema.pattern !== undefined) new RegExp(schema.pattern, 'u')
  }
  console.log(`${schemas.length} schemas judged`)
  ok(schemas.length > 200)
})

test('each reference leads somewhere, and nothing that is described is left unused', () => {
  const text = JSON.stringify(document)
  const references = [...text.matchAll(/"\$ref":"#\/components\/(\w+)\/([^"]+)"/g)].map(
    ([, kind, name]) => `${kind}/${name}`,
  )
  const described = (['schemas', 'headers'] as const).flatMap((kind) =>
    Object.keys(document.components[kind]).map((name) => `${kind}/${name}`),
  )
  deepEqual([...new Set(references)].sort(), described.sort())
})

test('each parameter of a path is described, and a route that wants a key says so', () => {
  for (const { path, method, key } of callerRoutes) {
    const operation = document.paths[path]?.[method.toLowerCase()]
    const names = [...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1])
    deepEqual(
      (operation?.parameters ?? []).filter((parameter) => parameter.in === 'path').map(({ name }) => name),
      names,
    )
    deepEqual(operation?.security, key ? [{ key: [] }] : [])
    equal(operation?.responses['401'] !== undefined, key)
  }
})

test('each refusal names codes of its own status, and each code that callers can meet is described', () => {
  const met = new Set<string>()
  for (const { responses } of operations) {
    for (const [status, { content = {} }] of Object.entries(responses)) {
      const codes = content['application/json']?.schema.properties?.['error']?.properties?.['code']?.enum ?? []
      for (const code of codes) {
        met.add(String(code))
        equal(String(Object.entries(errorTable).find(([name]) => name === code)?.[1].status), status)
      }
    }
  }
  const unmet = Object.keys(errorTable).filter((code) => !met.has(code))
  deepEqual(unmet.sort(), ['client_gone', 'method_not_allowed'])
  const described = document.components.schemas['ErrorCode']?.oneOf?.map(({ const: code }) => code) ?? []
  deepEqual(
    described.toSorted(),
    Object.keys(errorTable)
      .filter((code) => code !== 'client_gone')
      .sort(),
  )
})

test('the example of each body fits its schema, and loses that when a field is wrong', () => {
  for (const { requestBody } of operations) {
    const media = requestBody?.content['application/json']
    if (media === undefined) continue
    deepEqual(findMisfits(media.schema, media.example, resolve), [])
    const wrong = { ...Object(media.example), cache_salt: 'x', guided_json: {}, model: '' }
    equal(findMisfits(media.schema, wrong, resolve).length, 3)
  }
})

test('embeddings want one of input and texts, and not both', () => {
  const check = (body: object) => findMisfits({ $ref: '#/components/schemas/EmbeddingsRequest' }, body, resolve).length
  deepEqual(
    [check({ texts: ['a'] }), check({ input: 'a' }), check({}), check({ input: 'a', texts: ['a'] })],
    [0, 0, 1, 1],
  )
})

test('the description names nothing of the inside', () => {
  const text = JSON.stringify(document)
  for (const inner of [/https?:\/\//, /\b\d+\.\d+\.\d+\.\d+\b/, /policy/, /traefik/i, /localhost/, /vllm\./])
    ok(!inner.test(text), String(inner))
  match(text, /"url":"\/"/)
  console.log(`openapi.json has ${text.length} characters`)
})
