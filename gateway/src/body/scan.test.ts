import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HearthError } from '../errors.ts'
import { type BodyScan, parseSpan, scanBody } from './scan.ts'

const keys = new Set(['model', 'stream'])
const scan = (text: string): BodyScan => scanBody(Buffer.from(text), keys)
const refuses = (bytes: string | Buffer, what: RegExp) =>
  assert.throws(
    () => scanBody(Buffer.from(bytes), keys),
    (error) => error instanceof HearthError && error.code === 'invalid_json' && what.test(error.message),
  )

describe('scanBody()', () => {
  it('finds the top-level values it was asked for, wherever they stand', () => {
    const text = '{"messages":[{"model":"inner"}], "model" : "qwen" ,"stream":true}'
    const { values } = scan(text)
    const read = [...values].map(([key, span]) => [key, parseSpan(Buffer.from(text), span)])
    assert.deepEqual(read, [
      ['model', 'qwen'],
      ['stream', true],
    ])
  })

  it('accepts every object that JSON.stringify can write', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 8 })),
        fc.integer({ min: 0, max: 3 }),
        (value, space) => {
          scanBody(Buffer.from(JSON.stringify(value, null, space).toWellFormed()), new Set())
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('agrees with JSON.parse on every text that is one byte away from JSON', () => {
    const nearJson = fc
      .tuple(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.nat(),
        fc.constantFrom(...'{}[]",:\\0123456789-+eE.truefalsn \n\t\u0000\u001f\u007fé'),
      )
      .map(([value, at, letter]) => {
        const text = JSON.stringify(value)
        const place = at % (text.length + 1)
        return text.slice(0, place) + letter + text.slice(at % 2 === 0 ? place : place + 1)
      })
    fc.assert(
      fc.property(nearJson, (text) => {
        assert.equal(isAccepted(text), isJsonObject(text), text)
      }),
      { numRuns: 5000 },
    )
  })

  it('counts the pictures inside the messages and not the words about them', () => {
    const part = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }
    const messages = [{ role: 'user', content: [part, { type: 'text', text: '"image_url":' }, part] }]
    assert.equal(scan(JSON.stringify({ model: 'm', messages })).pictures, 2)
  })

  it('refuses what an engine might read in another way than we do', () => {
    refuses('{"model":"a","model":"b"}', /key "model" twice/)
    refuses('{"mod\\u0065l":"a"}', /"model" with escapes/)
    refuses('[{"model":"a"}]', /no object at its root/)
    refuses('{"model":"a"}{"model":"b"}', /goes on after its end at byte 13/)
    refuses('\ufeff{"model":"a"}', /no object at its root/)
    refuses(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), /not UTF-8/)
    refuses('{"a":NaN}', /something else than a value at byte 5/)
    refuses('', /no object at its root/)
  })

  it('stops at 64 levels, however deep the body goes', () => {
    const nested = (levels: number) => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`
    scan(nested(63))
    refuses(nested(64), /nested deeper than 64/)
    refuses(`{"a":${'['.repeat(5_000_000)}`, /nested deeper than 64/)
  })
})

function isAccepted(text: string): boolean {
  try {
    scanBody(Buffer.from(text), new Set())
    return true
  } catch {
    return false
  }
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' && !Array.isArray(value)
  } catch {
    return false
  }
}
