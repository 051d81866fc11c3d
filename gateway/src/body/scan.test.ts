import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HearthError } from '../errors.ts'
import { type BodyScan, parseSpan, type Span, scanBody } from './scan.ts'
import { spliceBody } from './splice.ts'

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

  it('agrees with JSON.parse on long strings too, wherever a quote, an escape or a control character stands in them', () => {
    const piece = fc.oneof(
      fc.integer({ min: 0, max: 200 }).map((length) => 'A'.repeat(length)),
      fc.constantFrom(
        '"',
        '\\',
        '\\"',
        '\\\\',
        '\\n',
        '\\u00e9',
        '\\u00',
        '\\x',
        '\n',
        '\u0000',
        '\u001f',
        '\u0020',
        '\u007f',
        'é',
        '😀',
        '\u0080',
      ),
    )
    const padding = fc.nat(20)
    fc.assert(
      fc.property(padding, fc.array(piece, { maxLength: 12 }), (before, pieces) => {
        const text = `{"${'k'.repeat(before)}":"${pieces.join('')}"}`
        // Whatever place in memory the body begins at.
        const shifted = Buffer.concat([Buffer.alloc(before), Buffer.from(text)]).subarray(before)
        assert.equal(isAccepted(shifted), isJsonObject(text), text)
      }),
      { numRuns: 5000 },
    )
  })

  it('sees every control character at every place of a long string', () => {
    for (let byte = 0; byte < 0x20; byte += 1) {
      for (const at of [0, 63, 64, 65, 79, 80, 81, 127, 199]) {
        const bytes = Buffer.from(`{"a":"${'x'.repeat(200)}"}`)
        bytes[6 + at] = byte
        refuses(bytes, new RegExp(`control character in a string at byte ${6 + at}\\.`))
      }
    }
  })

  it('walks over a picture in much less time than parsing it takes', () => {
    const messages = [{ role: 'user', content: [{ image_url: `data:image/png;base64,${'iVBORw0K'.repeat(600_000)}` }] }]
    const bytes = Buffer.from(JSON.stringify({ model: 'm', messages }))
    const asked = new Set(['model', 'messages'])
    const [scanning, parsing] = medians([() => scanBody(bytes, asked), () => JSON.parse(bytes.toString())])
    assert.ok(scanning < parsing, `scanning ${scanning.toFixed(2)} ms, parsing ${parsing.toFixed(2)} ms`)
  })

  it('takes time in proportion to the bytes, however quotes and backslashes stand', () => {
    const many = (piece: string, count: number) => Buffer.from(`{"a":[${Array(count).fill(piece).join()}]}`)
    const one = (piece: string, count: number) => Buffer.from(`{"a":"${piece.repeat(count)}"}`)
    const none = new Set<string>()
    const long = 'x'.repeat(100)
    for (const [make, piece] of [
      [many, `"${long}"`],
      [many, `"${long}\\n"`],
      [many, `"\\"${long}"`],
      [one, `${long}\\n`],
    ] as const) {
      const [small, large] = [make(piece, 2_000), make(piece, 40_000)]
      const [once, twenty] = fastest([() => scanBody(small, none), () => scanBody(large, none)])
      // Twenty times the bytes; what searches the rest of the body anew for each string takes 400 times as long.
      assert.ok(twenty < once * 100, `${piece.slice(-5)}: ${once.toFixed(2)} ms and ${twenty.toFixed(2)} ms`)
    }
  })

  it('marks the watched keys inside the messages, and says which are of a content part', () => {
    const part = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }
    const messages = [{ role: 'user', type: 'x', content: [part, { type: 'text', text: '"image_url":' }] }]
    const text = JSON.stringify({ tools: [{ type: 'function', url: 'u' }], messages })
    const { marks } = scanBody(Buffer.from(text), new Set(['tools', 'messages']))
    assert.deepEqual(
      marks.map(({ name, ofPart, value }) => [name, ofPart, JSON.parse(text.slice(value.start, value.end))]),
      [
        ['type', false, 'x'],
        ['type', true, 'image_url'],
        ['url', false, part.image_url.url],
        ['image_url', true, part.image_url],
        ['type', true, 'text'],
      ],
    )
  })

  it('cuts the fields that were not asked for, whatever stands beside them, and the rest is as it was', () => {
    const names = fc.constantFrom('model', 'stream', 'x', 'y', 'z')
    fc.assert(
      fc.property(fc.dictionary(names, fc.jsonValue()), fc.integer({ min: 0, max: 2 }), (value, space) => {
        const bytes = Buffer.from(JSON.stringify(value, null, space))
        const { cuts, others } = scanBody(bytes, keys)
        const left: unknown = JSON.parse(cut(bytes, cuts))
        const wanted = Object.entries(value).filter(([key]) => keys.has(key))
        assert.deepEqual(left, JSON.parse(JSON.stringify(Object.fromEntries(wanted))))
        assert.deepEqual(
          others,
          Object.keys(value).filter((key) => !keys.has(key)),
        )
      }),
      { numRuns: 2000 },
    )
  })

  it('cuts the uuid of a content part and no other', () => {
    const text = `{"x":1,"messages":[{"uuid":1,"content":[{"uuid":"a"},{"uuid":"a" , "type":"text"},{"type":"text","uuid":{"uuid":2},"uuid":3,"text":{"uuid":4}}]}],"y":2}`
    const { cuts } = scanBody(Buffer.from(text), new Set(['messages']))
    assert.equal(
      cut(Buffer.from(text), cuts),
      '{"messages":[{"uuid":1,"content":[{},{"type":"text"},{"type":"text","text":{"uuid":4}}]}]}',
    )
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
    for (const inner of ['{"im\\u0061ge_url":1}', '{"\\u0063ontent":[]}', '{"content":[{"u\\u0075id":1}]}'])
      assert.throws(() => scanBody(Buffer.from(`{"messages":[${inner}]}`), new Set(['messages'])), /with escapes/)
  })

  it('stops at 100,000 keys', () => {
    const many = (count: number) =>
      `{"a":[${Array(count - 1)
        .fill('{"":0}')
        .join()}]}`
    scan(many(100_000))
    refuses(many(100_001), /more than 100000 keys/)
  })

  it('stops at 64 levels, however deep the body goes', () => {
    const nested = (levels: number) => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`
    scan(nested(63))
    refuses(nested(64), /nested deeper than 64/)
    refuses(`{"a":${'['.repeat(5_000_000)}`, /nested deeper than 64/)
  })
})

function cut(bytes: Buffer, cuts: readonly Span[]): string {
  const nothing = Buffer.alloc(0)
  return Buffer.concat(
    spliceBody(
      bytes,
      cuts.map((span) => ({ span, bytes: nothing })),
    ),
  ).toString()
}

/** Milliseconds that each of two takes, run in turns so that both meet the same machine. */
function medians(runs: readonly [() => unknown, () => unknown]): [number, number] {
  return timesOf(runs, 4)
}

/** What a run takes when the machine does nothing else: other work only ever adds to it. */
function fastest(runs: readonly [() => unknown, () => unknown]): [number, number] {
  return timesOf(runs, 0)
}

/** Of nine runs each, in turns, the processor time at this place of their order: waiting for a busy machine does not count. */
function timesOf(runs: readonly [() => unknown, () => unknown], place: number): [number, number] {
  const taken: [number[], number[]] = [[], []]
  for (let round = 0; round < 9; round += 1) {
    for (const which of [0, 1] as const) {
      const before = process.cpuUsage()
      runs[which]()
      const { user, system } = process.cpuUsage(before)
      taken[which].push((user + system) / 1_000)
    }
  }
  const [one, other] = taken.map((all) => all.sort((a, b) => a - b)[place] ?? 0)
  return [one ?? 0, other ?? 0]
}

function isAccepted(bytes: string | Buffer): boolean {
  try {
    scanBody(Buffer.from(bytes), new Set())
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
