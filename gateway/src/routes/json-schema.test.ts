import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { findMisfits, type Resolve } from '../../test/json-schema-check.ts'
import { readFields } from '../body/fields.ts'
import { type BodyKind, bodySchemas } from '../body/kinds.data.ts'
import type { Schema } from '../body/schema.ts'
import { HearthError } from '../errors.ts'
import { toJsonSchema } from './json-schema.ts'
import { operationTexts } from './operations.data.ts'

const noReference: Resolve = (reference) => {
  throw new Error(`${reference} stands in a body`)
}

const user = (content: unknown) => [{ role: 'user', content }]
const call = (more: object) => [{ role: 'assistant', content: null, tool_calls: [{ function: more }] }]
/** Values of every type, at the edges of the bounds and on both sides of what is allowed. */
const values: readonly unknown[] = [
  ...[null, true, false, -101, -2, -1, 0, 1, 1.5, 2, 2.1, 4, 5, 20, 21, 1000, 1001, 65_536, 65_537, 1e9, 2 ** 63],
  ...['', 'x', 'auto', 'none', 'text', 'float', 'high', 'x'.repeat(257)],
  ...[[], ['a'], [''], [1], [null], ['a', 'b', 'c', 'd'], ['a', 'b', 'c', 'd', 'e'], [['a']]],
  ...[{}, { x: true }, { type: 'text' }, { type: 'x' }, { text: 'a' }],
  ...[{ type: 'json_schema', json_schema: { name: 'a', schema: { type: 'object' } } }, { json: {} }, { json: 'x' }],
  ...[{ regex: 'a' }, { grammar: '' }, { choice: ['a'] }, { choice: [] }, { json_object: true }],
  ...[{ enable_thinking: true }, { enable_thinking: 1 }, { chat_template: 'x' }, { include_usage: true }],
  ...[{ include_usage: 1 }, { 50256: -100 }, { 50256: -101 }, { 50256: 'x' }],
  ...[{ type: 'function', function: { name: 'f' } }, { type: 'function', function: {} }, { type: 'function' }],
  ...[[{ type: 'function', function: { name: 'f', parameters: {} } }], [{ type: 'function' }], [{ type: 'x' }]],
  ...[user('x'), user(1), user([{ type: 'text', text: 'x' }]), user([{ type: 'audio', audio: 'x' }]), user([1])],
  ...[[{ role: 'god', content: 'x' }], [{ content: 'x' }], [{ role: 'user' }], user([{ type: 'text', text: 1 }])],
  ...[user([{ type: 'image_url', image_url: { url: 'https://a/b.png' } }]), user([{ image_url: {} }])],
  user([{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA', detail: 'low' } }]),
  user([{ type: 'image_url', image_url: 'data:image/png;base64,AAAA', uuid: 'x' }]),
  ...[call({ name: 'f', arguments: '{}' }), call({ name: 'f' }), call({ name: '', arguments: '{}' })],
  ...[[{ text: 'a' }], [{ text: 1 }], [{}]],
]

async function refusalOf(kind: BodyKind, body: object): Promise<string | undefined> {
  try {
    await readFields(Buffer.from(JSON.stringify(body)), kind, { strictFields: false })
    return undefined
  } catch (error) {
    if (error instanceof HearthError) return error.code
    throw error
  }
}

for (const kind of ['chat', 'completions', 'embeddings', 'rerank'] as const) {
  test(`what the description of ${kind} allows passes, and what it forbids is refused`, async () => {
    const schema = toJsonSchema(bodySchemas[kind])
    const known = Object.keys(schema.properties ?? {})
    let [passed, refused] = [0, 0]
    for (const name of [...known, 'cache_salt', 'guided_json', 'user', 'nonsense']) {
      for (const value of [undefined, ...values]) {
        // What is undefined is left out by JSON.
        const body: object = JSON.parse(JSON.stringify({ ...operationTexts[kind].request?.example, [name]: value }))
        const misfits = findMisfits(schema, body, noReference)
        const code = await refusalOf(kind, body)
        equal(
          code === undefined,
          misfits.length === 0,
          `${name} ${JSON.stringify(value)}: ${code} and ${misfits.join()}`,
        )
        if (code === undefined) passed += 1
        else refused += 1
      }
    }
    console.log(`${kind}: ${passed} bodies pass, ${refused} are refused`)
    ok(passed > 20 && refused > 100)
  })
}

test('a value of several types is described type by type, so that no word binds another type', () => {
  const schema: Schema = { type: ['string', 'array', 'null'], items: { type: 'string' }, maxItems: 4, maxLength: 9 }
  deepEqual(toJsonSchema(schema), {
    anyOf: [
      { type: 'string', maxLength: 9 },
      { type: 'array', items: { type: 'string' }, maxItems: 4 },
      { type: 'null' },
    ],
  })
  deepEqual(toJsonSchema({ type: ['integer', 'null'], minimum: 1, maximum: 4, description: 'So many.' }), {
    description: 'So many.',
    type: ['integer', 'null'],
    minimum: 1,
    maximum: 4,
  })
})

test('what only the gateway knows of a field is said in the words of JSON Schema', () => {
  deepEqual(toJsonSchema({ type: 'string', policy: { holds: 'picture' } }), {
    type: 'string',
    pattern: '^data:image/(png|jpeg|jpg|webp);base64,',
  })
  deepEqual(toJsonSchema({ type: ['string', 'object', 'null'], enum: ['none', 'auto'] }), {
    anyOf: [{ type: 'string', enum: ['none', 'auto'] }, { type: 'object' }],
  })
  deepEqual(
    toJsonSchema({
      type: 'object',
      properties: { a: { type: 'null' }, b: { type: 'null', policy: { aliasOf: 'a' } } },
      required: ['a'],
      policy: { refused: { forbidden_field: ['c'] }, refusedPrefixes: ['d_'] },
    }),
    {
      type: 'object',
      properties: { a: { type: 'null' }, b: { type: 'null' } },
      oneOf: [{ required: ['a'] }, { required: ['b'] }],
      propertyNames: { not: { anyOf: [{ enum: ['c'] }, { pattern: '^d_' }] } },
    },
  )
})
