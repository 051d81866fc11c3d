import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HearthError } from '../errors.ts'
import { type BodyScan, parseSpan, type ScanOptions, scanBody } from './scan.ts'
import type { Schema } from './schema.ts'
import { cutOut } from './splice.ts'

const anything: Schema = { type: ['string', 'number', 'boolean', 'null', 'object'], additionalProperties: true }
const item: Schema = {
  type: ['string', 'object'],
  properties: { text: { type: 'string' }, more: { type: 'object', properties: { deep: anything } } },
  policy: { silent: ['uuid'] },
}
const schema: Schema = {
  type: 'object',
  properties: {
    model: { type: 'string' },
    stream: { type: ['boolean', 'null'] },
    list: { type: 'array', items: item, policy: { large: true } },
    free: anything,
  },
}
const scan = (body: string | Buffer, options?: ScanOptions): Promise<BodyScan> =>
  scanBody(Buffer.from(body), schema, options)
const refuses = (body: string | Buffer, what: RegExp) =>
  assert.rejects(
    scan(body),
    (error) => error instanceof HearthError && error.code === 'invalid_json' && what.test(error.message),
    `${body.slice(0, 100)}`,
  )
/** What is left of a body, parsed. */
const left = async (text: string, options?: ScanOptions): Promise<Record<string, unknown>> => {
  const bytes = Buffer.from(text)
  const { kept } = await scan(bytes, options)
  return Object.fromEntries(
    [...kept].map(([name, { value, cuts }]) => [
      name,
      JSON.parse(Buffer.concat(cutOut(bytes, value, cuts)).toString()),
    ]),
  )
}

describe('scanBody()', () => {
  it('finds the values at the top, wherever they stand', async () => {
    const text = '{"list":[{"model":"inner"}], "model" : "qwen" ,"stream":true}'
    const { kept } = await scan(text)
    const read = [...kept].map(([name, { value }]) => [name, parseSpan(Buffer.from(text), value)])
    assert.deepEqual(read, [
      ['list', [{ model: 'inner' }]],
      ['model', 'qwen'],
      ['stream', true],
    ])
  })

  it('accepts every object that JSON.stringify can write', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 8 })),
        fc.integer({ min: 0, max: 3 }),
        async (value, space) => {
          await scan(JSON.stringify({ x: value }, null, space).toWellFormed())
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('agrees with JSON.parse on every text that is one byte away from JSON', async () => {
    const nearJson = fc
      .tuple(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.nat(),
        fc.constantFrom(...'{}[]",:\\0123456789-+eE.truefalsn \n\t\u0000\u001f\u007fé'),
      )
      .map(([value, at, letter]) => {
        const text = JSON.stringify(value).toWellFormed()
        const place = at % (text.length + 1)
        return text.slice(0, place) + letter + text.slice(at % 2 === 0 ? place : place + 1)
      })
    await fc.assert(
      fc.asyncProperty(nearJson, async (text) => {
        const body = `{"x":${text}}`.toWellFormed()
        assert.equal(await isAccepted(body), isStrictJson(body), body)
      }),
      { numRuns: 4000 },
    )
  })

  it('agrees with JSON.parse on strings, wherever a quote, an escape or a control character stands in them, and in whatever slices they are read', async () => {
    const piece = fc.oneof(
      fc.integer({ min: 0, max: 40 }).map((length) => 'A'.repeat(length)),
      fc.constantFrom(...['"', '\\', '\\"', '\\\\', '\\n', '\\u00e9', '\\u00', '\\x', '\n', '\u0000', '\u001f', ' ']),
      fc.constantFrom(...['\u007f', 'é', '😀', '\u0080', '\\ud83d\\ude00', '\\ud83d', '\\ude00', '\\ud83d\\u0041']),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.nat(8),
        fc.array(piece, { maxLength: 12 }),
        fc.constantFrom(1, 2, 3, 5, 7, 64, 1e9),
        async (before, pieces, sliceBytes) => {
          const text = `{"${'k'.repeat(before)}":["${pieces.join('')}"],"${pieces.join('')}":1}`
          // Whatever place in memory the body begins at.
          const shifted = Buffer.concat([Buffer.alloc(before), Buffer.from(text)]).subarray(before)
          assert.equal(await isAccepted(shifted, { sliceBytes, turnMs: 1e9 }), isStrictJson(text), text)
        },
      ),
      { numRuns: 4000 },
    )
  })

  it('sees every control character at every place of a string', async () => {
    for (let byte = 0; byte < 0x20; byte += 1) {
      for (const at of [0, 1, 2, 3, 4, 5, 6, 7, 63, 64, 198, 199]) {
        const bytes = Buffer.from(`{"a":"${'x'.repeat(200)}"}`)
        bytes[6 + at] = byte
        await refuses(bytes, new RegExp(`control character in a string at byte ${6 + at}\\.`))
      }
    }
  })

  it('reads a body in slices to the same end as in one go', async () => {
    const junk = fc.dictionary(fc.string({ maxLength: 3 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 })
    const part = fc.oneof(
      fc.string(),
      fc.tuple(junk, fc.string(), junk).map(([one, text, other]) => ({ ...one, text, ...other })),
    )
    const body = fc.record({ x: fc.jsonValue(), model: fc.string(), list: fc.array(part), free: junk })
    await fc.assert(
      fc.asyncProperty(body, fc.integer({ min: 1, max: 40 }), fc.nat(2), async (value, sliceBytes, space) => {
        const bytes = Buffer.from(JSON.stringify(value, null, space).toWellFormed())
        const whole = await outcomeOf(bytes, { sliceBytes: 1e9 })
        assert.deepEqual(await outcomeOf(bytes, { sliceBytes, turnMs: 1e9 }), whole)
      }),
      { numRuns: 1000 },
    )
  })

  it('gives way to other work while it reads a long body, and ends when its signal says so', async () => {
    const bytes = Buffer.from(`{"x":"${'\\n'.repeat(500_000)}"}`)
    let turns = 0
    const other = setInterval(() => {
      turns += 1
    })
    let asked = 0
    const now = () => {
      asked += 1
      return asked
    }
    const leave = new AbortController()
    await scanBody(bytes, schema, { now, turnMs: 2 })
    clearInterval(other)
    assert.ok(asked > 50, `the clock was asked ${asked} times`)
    assert.ok(turns > 0, 'nothing else got its turn')
    leave.abort(new HearthError('client_gone'))
    await assert.rejects(scanBody(bytes, schema, { signal: leave.signal, turnMs: 0 }), { code: 'client_gone' })
  })

  it('walks over a picture in much less time than parsing it takes', async () => {
    const list = [{ text: `data:image/png;base64,${'iVBORw0K'.repeat(600_000)}` }]
    const bytes = Buffer.from(JSON.stringify({ list }))
    const [scanning, parsing] = await medians([() => scan(bytes), () => JSON.parse(bytes.toString())])
    assert.ok(scanning < parsing, `scanning ${scanning.toFixed(2)} ms, parsing ${parsing.toFixed(2)} ms`)
  })

  it('takes time in proportion to the bytes, however quotes and backslashes stand', async () => {
    const many = (piece: string, count: number) => Buffer.from(`{"x":[${Array(count).fill(piece).join()}]}`)
    const one = (piece: string, count: number) => Buffer.from(`{"x":"${piece.repeat(count)}"}`)
    const long = 'x'.repeat(100)
    for (const [make, piece] of [
      [many, `"${long}"`],
      [many, `"${long}\\n"`],
      [many, `"\\"${long}"`],
      [one, `${long}\\n`],
    ] as const) {
      const [small, large] = [make(piece, 2_000), make(piece, 40_000)]
      const [once, twenty] = await fastest([() => scan(small), () => scan(large)])
      // Twenty times the bytes; what searches the rest of the body anew for each string takes 400 times as long.
      assert.ok(twenty < once * 100, `${piece.slice(-5)}: ${once.toFixed(2)} ms and ${twenty.toFixed(2)} ms`)
    }
  })

  it('leaves out what no schema names, at each depth, whatever stands beside it, and names it', async () => {
    const text = `{"x":1,"list":[{"uuid":1},{"y":"a" , "text":"t"},{"text":"u","uuid":{"uuid":2},"y":3,"more":{"y":1,"deep":{"y":5,"uuid":6}}}, "s"],"a,b é":2}`
    assert.deepEqual(await left(text), {
      list: [{}, { text: 't' }, { text: 'u', more: { deep: { y: 5, uuid: 6 } } }, 's'],
    })
    assert.deepEqual((await scan(text)).dropped, ['x', 'list.y', 'list.more.y', 'a?b???'])
  })

  it('leaves the rest of a body as it was, whichever keys are left out', async () => {
    const junk = fc.dictionary(fc.constantFrom('x', 'y', 'uuid', ''), fc.jsonValue({ maxDepth: 2 }))
    const clean = fc.record({ text: fc.string(), more: fc.record({ deep: fc.string() }) }, { requiredKeys: [] })
    const dirty = fc
      .tuple(clean, junk, junk, fc.boolean())
      .map(([value, one, other, first]) => [value, first ? { ...one, ...value } : { ...value, ...other }] as const)
    await fc.assert(
      fc.asyncProperty(fc.array(dirty), junk, fc.nat(2), async (parts, top, space) => {
        const text = JSON.stringify({ ...top, list: parts.map(([, one]) => one), ...top }, null, space)
        assert.deepEqual(
          await left(text.toWellFormed()),
          JSON.parse(JSON.stringify({ list: parts.map(([one]) => one) }).toWellFormed()),
        )
      }),
      { numRuns: 1000 },
    )
  })

  it('names what it drops so that a header can carry it, each once and not very many', async () => {
    assert.deepEqual((await scan('{"":1,"a\\r\\nb":2,"n":null}')).dropped, ['?', 'a??b'])
    assert.deepEqual((await scan(`{"${'y'.repeat(1000)}":1}`)).dropped, ['y'.repeat(64)])
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`x${index}`, 1]))
    assert.equal((await scan(JSON.stringify(many))).dropped.length, 16)
    const twice = { list: [{ y: 1 }, { y: 1 }] }
    assert.deepEqual((await scan(JSON.stringify(twice))).dropped, ['list.y'])
  })

  it('refuses what an engine might read in another way than we do', async () => {
    await refuses('{"model":"a","model":"b"}', /key "model" twice/)
    await refuses('{"list":[{"text":"a","text":"b"}]}', /key "list\[0\].text" twice/)
    await refuses('{"free":{"a":{"b":1,"b":2}}}', /key twice inside of "free"/)
    await refuses('{"free":{"a":1,"\\u0061":2}}', /key twice inside of "free"/)
    await refuses('{"free":{"__proto__":1,"__proto__":2}}', /key twice inside of "free"/)
    await refuses('{"mod\\u0065l":"a"}', /"model" with escapes/)
    await refuses('{"list":[{"\\u0074ext":"a"}]}', /"list\[0\].text" with escapes/)
    await refuses('[{"model":"a"}]', /no object at its root/)
    await refuses('{"model":"a"}{"model":"b"}', /goes on after its end at byte 13/)
    await refuses('\ufeff{"model":"a"}', /no object at its root/)
    await refuses(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), /not UTF-8/)
    await refuses(Buffer.concat([Buffer.from('{"x":1}'), Buffer.from([0x20, 0xff])]), /UTF-8/)
    await refuses('{"a":NaN}', /something else than a value at byte 5/)
    await refuses('{"a":Infinity}', /something else than a value/)
    await refuses('{"a":1e999}', /number that is too large/)
    await refuses('{"a":-1.5E+309}', /number that is too large/)
    await refuses(`{"a":${'1'.repeat(129)}}`, /more than 128 characters/)
    await refuses('{"a":"\\ud800"}', /half of a surrogate pair/)
    await refuses('{"\\udc00":1}', /half of a surrogate pair/)
    await refuses(`{"a":${' '.repeat(70_000)}1}`, /white space in a row/)
    await refuses('', /no object at its root/)
    await scan('{"a":1e-999,"b":1e308,"c":"\\ud83d\\ude00"}')
  })

  it('stops at 100,000 keys', async () => {
    const many = (count: number) =>
      `{"a":[${Array(count - 1)
        .fill('{"":0}')
        .join()}]}`
    await scan(many(100_000))
    await refuses(many(100_001), /more than 100000 keys/)
  })

  it('stops at 64 levels, however deep the body goes, and at 32 of what engines parse again', async () => {
    const nested = (levels: number) => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`
    await scan(nested(63))
    await refuses(nested(64), /nested deeper than 64/)
    await refuses(`{"a":${'['.repeat(5_000_000)}`, /nested deeper than 64/)
    const free = (levels: number) => scan(`{"free":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}`)
    await free(32)
    await assert.rejects(free(33), { code: 'invalid_request', message: /at most 32 levels/ })
  })

  it('stops where very many unknown keys are to be cut out', async () => {
    const many = (count: number) =>
      scan(JSON.stringify({ list: Array.from({ length: count }, () => ({ y: 1, text: '' })) }))
    await many(10_000)
    await assert.rejects(many(10_001), /more than 10000 keys that are not known/)
  })
})

async function outcomeOf(bytes: Buffer, options: ScanOptions): Promise<unknown> {
  try {
    const { kept, dropped, pictures } = await scan(bytes, options)
    return { kept: [...kept], dropped, pictures }
  } catch (error) {
    return error instanceof HearthError ? [error.code, error.message] : error
  }
}

type Runs = readonly [() => unknown, () => unknown]

/** Milliseconds that each of two takes, run in turns so that both meet the same machine. */
function medians(runs: Runs): Promise<[number, number]> {
  return timesOf(runs, 4)
}

/** What a run takes when the machine does nothing else: other work only ever adds to it. */
function fastest(runs: Runs): Promise<[number, number]> {
  return timesOf(runs, 0)
}

/** Of nine runs each, in turns, the processor time at this place of their order: waiting for a busy machine does not count. */
async function timesOf(runs: Runs, place: number): Promise<[number, number]> {
  const taken: [number[], number[]] = [[], []]
  for (let round = 0; round < 9; round += 1) {
    for (const which of [0, 1] as const) {
      const before = process.cpuUsage()
      await runs[which]()
      const { user, system } = process.cpuUsage(before)
      taken[which].push((user + system) / 1_000)
    }
  }
  const [one, other] = taken.map((all) => all.sort((a, b) => a - b)[place] ?? 0)
  return [one ?? 0, other ?? 0]
}

async function isAccepted(body: string | Buffer, options?: ScanOptions): Promise<boolean> {
  try {
    await scanBody(Buffer.from(body), { type: 'object' }, options)
    return true
  } catch {
    return false
  }
}

/** Whether JSON.parse takes a text, and it says nothing that parsers read in different ways. */
function isStrictJson(text: string): boolean {
  try {
    JSON.parse(text, (key, value) => {
      const isStrict =
        typeof value === 'number' ? Number.isFinite(value) : typeof value !== 'string' || value.isWellFormed()
      if (!isStrict || !key.isWellFormed()) throw new Error('not strict')
      return value
    })
    return true
  } catch {
    return false
  }
}
