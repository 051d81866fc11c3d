import { deepEqual, equal, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { HearthError } from '../errors.ts'
import { parseSpan, scanBody } from './scan.ts'
import type { Schema } from './schema.ts'

const types = ['string', 'number', 'integer', 'boolean', 'null', 'object', 'array'] as const
const schema: Schema = {
  type: 'object',
  properties: { kept: { type: types, additionalProperties: true, items: { type: types } } },
}
/** From one byte on, so that each token is cut at each of its places. */
const slices = [1, 2, 3, 4, 5, 7, 16, 64, 16 * 1024]

async function read(text: string | Buffer, sliceBytes: number): Promise<unknown> {
  const bytes = Buffer.from(text)
  const { kept } = await scanBody(bytes, schema, { sliceBytes })
  const field = kept.get('kept')
  return field === undefined ? undefined : parseSpan(bytes, field.value)
}

const spots = (value: string): readonly string[] => [
  `{"kept":${value}}`,
  `{"other":${value},"kept":1}`,
  ` { "kept" : ${value} , "other" : [ ${value} , ${value} ] } `,
]

test('what JSON allows is read, in whatever slices it comes', async () => {
  const values = [
    ...[
      '0',
      '-0',
      '7',
      '-1.5',
      '10',
      '1e5',
      '1E+5',
      '1e-5',
      '0.5',
      '123456789',
      'true',
      'false',
      'null',
      '""',
      '{}',
      '[]',
    ],
    ...[
      '"a"',
      '"\\""',
      '"\\\\"',
      '"\\/\\b\\f\\n\\r\\t"',
      '"\\u0041"',
      '"\\uaBcD"',
      '"\\uD83D\\uDE00"',
      '"\\ud800\\udc00"',
      '"\\udbff\\udfff"',
    ],
    ...[
      '"\\ud7ff"',
      '"\\ue000"',
      '"é"',
      '"日本"',
      '"😀"',
      '"\u2028"',
      `"${'abc'.repeat(40)}"`,
      '{"a":1,"b":[1,{"c":null}]}',
      '{"":0}',
    ],
  ]
  for (const value of values)
    for (const text of spots(value))
      for (const slice of slices) deepEqual(await read(text, slice), JSON.parse(text).kept, `${text} by ${slice}`)
})

test('what JSON does not allow is refused, in whatever slices it comes', async () => {
  const values = [
    ...[
      '',
      '01',
      '-',
      '+1',
      '1.',
      '.5',
      '1e',
      '1e+',
      '- 1',
      '0x1',
      'NaN',
      'Infinity',
      '-Infinity',
      'True',
      'nul',
      'nulll',
      'tru',
      'fals',
    ],
    ...[
      '"',
      '"a',
      "'a'",
      '"\\x"',
      '"\\"',
      '"\\u"',
      '"\\u12"',
      '"\\u123"',
      '"\\u12g4"',
      '"\\u123G"',
      '"\\u 123"',
      '"\\uG123"',
      '"\\U0041"',
    ],
    ...[
      '"\u0000"',
      '"\n"',
      '"\t"',
      '"\u001f"',
      '{',
      '[',
      '{]',
      '[}',
      '{"a"}',
      '{"a":}',
      '{a:1}',
      '{"a":1,}',
      '[1,]',
      '[,1]',
      '[1 2]',
      '{"a":1 "b":2}',
    ],
    ...[
      '{1:2}',
      '{"a":1,,"b":2}',
      '1 1',
      '/**/1',
      '1//',
      '\u00a01',
      '1e400',
      '-1e400',
      '"\\\\""',
      '[[1]',
      '{"a":{"b":1}',
    ],
    // Halves of pairs, which JSON allows and tokenizers fail on.
    ...[
      '"\\ud800"',
      '"\\udc00"',
      '"\\ud800\\ud800"',
      '"\\ud800\\u0041"',
      '"\\ud800a"',
      '"\\udbff\\ue000"',
      '"\\ud83d\\udbff"',
      '"\\udfff"',
      '"\\ud800\\n"',
    ],
  ]
  for (const value of values)
    for (const text of spots(value))
      for (const slice of slices)
        await rejects(
          read(text, slice),
          (error) => error instanceof HearthError && error.code === 'invalid_json',
          `${text} by ${slice}`,
        )
})

test('bytes that are no UTF-8 are refused wherever they stand, and characters are never cut', async () => {
  const wrong = [
    [0x80],
    [0xc0, 0x80],
    [0xc3],
    [0xe2, 0x82],
    [0xed, 0xa0, 0x80],
    [0xf0, 0x9f, 0x98],
    [0xf4, 0x90, 0x80, 0x80],
    [0xff],
  ]
  for (const slice of slices)
    for (const bytes of wrong)
      for (const [before, after] of [
        ['{"kept":"', '"}'],
        ['{"kept":"ab', 'c"}'],
        ['{"', '":1}'],
        ['{"kept":1}', ''],
      ] as const)
        await rejects(
          read(Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]), slice),
          HearthError,
        )
  const text = JSON.stringify({ kept: 'aé日😀'.repeat(20) })
  for (let slice = 1; slice < 40; slice += 1) deepEqual(await read(text, slice), JSON.parse(text).kept)
})

test('a control character is seen at every place of a word of memory, and its neighbours are not taken for one', async () => {
  for (let place = 0; place < 24; place += 1)
    for (const [character, isFine] of [
      ['\u0000', false],
      ['\u001f', false],
      [' ', true],
      ['!', true],
      ['\u007f', true],
      ['é', true],
      ['#', true],
      [']', true],
    ] as const) {
      const text = `{"kept":"${'a'.repeat(place)}${character}${'a'.repeat(24 - place)}"}`
      const outcome = await read(text, 16 * 1024).then(
        () => true,
        () => false,
      )
      equal(outcome, isFine, `${JSON.stringify(character)} at ${place}`)
    }
})

test('what comes behind the object is refused, and white space is none of it', async () => {
  for (const slice of slices) {
    for (const tail of ['', ' ', '\n\t\r ']) equal(await read(`{"kept":1}${tail}`, slice), 1)
    for (const tail of ['x', '{}', ',', ' 1', '\u0000', '\ufeff'])
      await rejects(read(`{"kept":1}${tail}`, slice), HearthError)
    for (const root of ['', ' ', '[]', '1', '"a"', 'null', '\ufeff{}']) await rejects(read(root, slice), HearthError)
  }
})

test('each letter of true, false and null counts', async () => {
  for (const literal of ['true', 'false', 'null'])
    for (let at = 0; at < literal.length; at += 1)
      for (const letter of ['x', literal.charAt(at).toUpperCase(), '']) {
        const text = `{"kept":${literal.slice(0, at)}${letter}${literal.slice(at + 1)}}`
        await rejects(read(text, 1024), HearthError, text)
      }
})
