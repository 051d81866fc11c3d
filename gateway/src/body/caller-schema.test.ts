import { equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { countRepeats, findSchemaProblem } from './caller-schema.ts'

test('schemas as libraries write them are right', () => {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: {
      type: { type: 'string', enum: ['type', 7, null] },
      pattern: { type: ['string', 'null'], default: { type: 'nonsense' } },
      email: {
        type: 'string',
        format: 'email',
        pattern: "^(?!\\.)([A-Za-z0-9_'+\\-.]*)@([A-Za-z0-9-]*\\.)+[A-Za-z]{2,}$",
      },
      id: { pattern: '^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{12}|0{8}-0{4}-0{12})$' },
      list: { type: 'array', items: { $ref: '#/$defs/item' }, minItems: 1, maxItems: 10 },
      pair: { prefixItems: [{ type: 'number' }, true], items: false },
      any: {},
    },
    patternProperties: { '^x-': true },
    $defs: { item: { anyOf: [{ type: 'integer', minimum: 0 }, { const: { type: 'nonsense' } }] } },
    required: ['type'],
    additionalProperties: false,
  }
  equal(findSchemaProblem(schema), undefined)
})

test('what has crashed compilers of schemas is found wherever it stands, and said', () => {
  for (const [wrong, words] of [
    [{ type: 'something' }, /the type "something"; wants string, number/],
    [{ type: ['string', 7] }, /the type \["string",7\]/],
    [{ type: [] }, /the type \[\]/],
    [{ type: null }, /the type null/],
    [{ pattern: '(' }, /the pattern "\("/],
    [{ pattern: '(?i' }, /the pattern/],
    [{ pattern: 7 }, /the pattern 7/],
    [{ pattern: 'a'.repeat(513) }, /at most 512 characters/],
    [{ pattern: '((a{1,100}){1,100}){1,100}' }, /10000 repeats/],
    [{ pattern: 'a{99999}' }, /10000 repeats/],
    [{ $ref: 'http://169.254.169.254/schema' }, /the \$ref "http:/],
    [{ $ref: 7 }, /the \$ref 7/],
    [{ maxLength: -1 }, /the maxLength -1/],
    [{ minItems: 1e300 }, /the minItems 1e\+300/],
    [{ properties: [] }, /the properties \[\]/],
    [{ patternProperties: { '[': {} } }, /the pattern "\["/],
    [{ anyOf: {} }, /the anyOf {}/],
    [{ items: 7 }, /holds 7 in the place of a schema/],
  ] as const) {
    for (const schema of [
      wrong,
      { properties: { type: wrong } },
      { items: wrong },
      { items: [true, wrong] },
      { $defs: { a: { allOf: [{}, { not: wrong }] } } },
      { if: {}, else: { additionalProperties: wrong } },
    ])
      match(findSchemaProblem(schema) ?? 'nothing', words, JSON.stringify(schema))
  }
})

test('repeats within repeats are multiplied, and those beside each other are not', () => {
  for (const [pattern, repeats] of [
    ['abc', 1],
    ['a{3}', 3],
    ['a{3}b{4}', 4],
    ['(a{3}){4}', 12],
    ['(a{2,3}|b{5}){2,}', 10],
    ['((x{2}){3})*(y{2})', 6],
    ['[{3}]\\{3}', 1],
    ['(?:a{10}){10}(?:b{10}){20}', 200],
  ] as const)
    equal(countRepeats(pattern), repeats, pattern)
})

test('patterns of any length that is let through are read in a moment', () => {
  for (const piece of ['(', '[', '\\', '{1,', '(a{9}){9}', '[^\\]]', 'a|'])
    ok(countRepeats(piece.repeat(512 / piece.length)) >= 1, piece)
})

test('every keyword that holds schemas is looked into, and every count is checked', () => {
  const wrong = { type: 'nonsense' }
  const single = ['additionalProperties', 'not', 'if', 'then', 'else', 'contains', 'propertyNames', 'additionalItems']
  const inside = [
    ...single.map((name) => ({ [name]: wrong })),
    ...['anyOf', 'oneOf', 'allOf', 'prefixItems', 'items'].map((name) => ({ [name]: [true, wrong] })),
    ...['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'].map((name) => ({
      [name]: { a: true, b: wrong },
    })),
  ]
  for (const schema of inside)
    match(findSchemaProblem(schema) ?? 'nothing', /the type "nonsense"/, JSON.stringify(schema))
  for (const name of ['minLength', 'maxLength', 'minItems', 'maxItems', 'minProperties', 'maxProperties']) {
    for (const wrongCount of [-1, 1.5, '1', null, 2 ** 31])
      match(findSchemaProblem({ [name]: wrongCount }) ?? 'nothing', new RegExp(`the ${name} `), `${name} ${wrongCount}`)
    for (const count of [0, 1, 2 ** 31 - 1]) equal(findSchemaProblem({ [name]: count }), undefined)
  }
})

test('a pattern and its repeats may be as long as they are let, and no longer', () => {
  equal(findSchemaProblem({ pattern: 'a'.repeat(512) }), undefined)
  equal(findSchemaProblem({ pattern: '(a{100}){100}' }), undefined)
  match(findSchemaProblem({ pattern: '(a{100}){101}' }) ?? 'nothing', /10000 repeats/)
})
