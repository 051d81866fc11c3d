import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { readFields } from '../src/body/fields.ts'
import { Turns } from '../src/body/turns.ts'
import { withDeadline } from './deadline.ts'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { hostileBodies } from './hostile-json.ts'
import { readJsonTexts } from './json-texts.ts'
import { cpuMs, delaysUnderLoad, roundsOf, summarise, threadCpuMs } from './loop-delay.ts'
import { assertError, chatPath, endPair, model, startPair } from './wire.ts'

/** Of the texts of which each reader may think what it likes, those that pass: any double holds them, or rounds them. */
const acceptedOfFree: readonly string[] = [
  'i_number_double_huge_neg_exp',
  'i_number_real_underflow',
  'i_number_too_big_neg_int',
  'i_number_too_big_pos_int',
  'i_number_very_big_negative_int',
]
/** The others: half surrogates, bytes that are no UTF-8, a mark before the root, numbers beyond all doubles, 500 levels. */
const refusedOfFree: readonly string[] = [
  'i_number_huge_exp',
  'i_number_neg_int_huge_exp',
  'i_number_pos_double_huge_exp',
  'i_number_real_neg_overflow',
  'i_number_real_pos_overflow',
  'i_object_key_lone_2nd_surrogate',
  'i_string_1st_surrogate_but_2nd_missing',
  'i_string_1st_valid_surrogate_2nd_invalid',
  'i_string_UTF-16LE_with_BOM',
  'i_string_UTF-8_invalid_sequence',
  'i_string_UTF8_surrogate_U+D800',
  'i_string_incomplete_surrogate_and_escape_valid',
  'i_string_incomplete_surrogate_pair',
  'i_string_incomplete_surrogates_escape_valid',
  'i_string_invalid_lonely_surrogate',
  'i_string_invalid_surrogate',
  'i_string_invalid_utf-8',
  'i_string_inverted_surrogates_U+1D11E',
  'i_string_iso_latin_1',
  'i_string_lone_second_surrogate',
  'i_string_lone_utf8_continuation_byte',
  'i_string_not_in_unicode_range',
  'i_string_overlong_sequence_2_bytes',
  'i_string_overlong_sequence_6_bytes',
  'i_string_overlong_sequence_6_bytes_null',
  'i_string_truncated-utf-8',
  'i_string_utf16BE_no_BOM',
  'i_string_utf16LE_no_BOM',
  'i_structure_500_nested_arrays',
  'i_structure_UTF-8_BOM_empty_object',
]
/** JSON, but of two values under one key parsers keep different ones: refused where the engine would see them. */
const doubled: readonly string[] = ['y_object_duplicated_key', 'y_object_duplicated_key_and_value']

const noProc = process.platform === 'linux' ? false : 'the processor time of another process is read from /proc'
const texts = readJsonTexts()
const ofKind = (kind: string) => texts.filter(({ name }) => name.startsWith(kind))
const start = `{"model":"${model}","messages":[{"role":"user","content":"Hi"}]`
/** Where a text is put: a field that is dropped, and a place that the engine gets as it is. */
const dropped = (text: Buffer) => Buffer.concat([Buffer.from(`${start},"x":`), text, Buffer.from('}')])
const kept = (text: Buffer) =>
  Buffer.concat([
    Buffer.from(`${start},"tools":[{"type":"function","function":{"name":"f","parameters":{"default":`),
    text,
    Buffer.from('}}}]}'),
  ])

describe('R15: JSON that is hostile', () => {
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({
      engineConfig: { kind: 'openai' },
      sections: { limits: { bodyBytesInFlight: 200 * 2 ** 20 } },
    }))
  })
  after(async () => {
    await endPair({ engine, gateway })
  })

  const send = (body: Buffer): Promise<Response> =>
    fetch(`${gateway.url}${chatPath}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' },
      body: new Uint8Array(body),
    })
  const refused = async (body: Buffer, code: string, label: string) => {
    const before = engine.counts().requests
    const response = await send(body)
    assert.equal(response.status, 400, label)
    await assertError(response, 400, code)
    assert.equal(engine.counts().requests, before, `${label} reached the engine`)
  }
  const accepted = async (body: Buffer, json: unknown, label: string) => {
    const response = await send(body)
    assert.equal(response.status, 200, `${label}: ${await response.text()}`)
    const received = engine.requests.at(-1)?.json
    assert.deepEqual(received, json, label)
  }

  it('is judged text by text: all of JSONTestSuite has its verdict', () => {
    assert.deepEqual(
      ofKind('i_')
        .map(({ name }) => name)
        .sort(),
      [...acceptedOfFree, ...refusedOfFree].sort(),
    )
    assert.deepEqual([ofKind('y_').length, ofKind('n_').length, ofKind('i_').length], [95, 188, 35])
  })

  it('is refused where it is no JSON, wherever it stands, and the engine never sees it', async () => {
    const wrong = [...ofKind('n_'), ...ofKind('i_').filter(({ name }) => refusedOfFree.includes(name))]
    for (const { name, bytes } of wrong) {
      await refused(dropped(bytes), 'invalid_json', name)
      await refused(kept(bytes), 'invalid_json', name)
    }
    console.log(`${wrong.length} texts refused in two places each`)
  })

  it('reaches the engine with the same meaning where it is JSON, and not at all where nobody asked for it', async () => {
    const right = [...ofKind('y_'), ...ofKind('i_').filter(({ name }) => acceptedOfFree.includes(name))]
    const bare = JSON.parse(`${start}}`)
    for (const { name, bytes } of right) {
      await accepted(dropped(bytes), bare, name)
      if (doubled.includes(name)) await refused(kept(bytes), 'invalid_json', name)
      else await accepted(kept(bytes), JSON.parse(kept(bytes).toString()), name)
    }
    console.log(`${right.length} texts accepted in two places each, but ${doubled.length} that have a key twice`)
  })

  it('is no body of a request by itself, whichever text it is', async () => {
    const before = engine.counts().requests
    for (const { name, bytes } of texts) {
      const response = await send(bytes)
      assert.equal(response.status, 400, name)
      assert.match(await response.text(), /"code":"(invalid_json|invalid_request)"/, name)
    }
    assert.equal(engine.counts().requests, before)
  })

  it('is refused where it is deep, wide, doubled, beyond all numbers, half a character or more than one value', async () => {
    const cases: readonly (readonly [label: string, body: string | Buffer, code?: string])[] = [
      ['five million lists in each other', `${start},"x":${'['.repeat(5_000_000)}`],
      ['a million objects in each other', `${start},"x":${'{"a":'.repeat(1_000_000)}`],
      ['600,000 keys', `${start},"x":{${Array.from({ length: 600_000 }, (_, key) => `"${key}":0`).join()}}}`],
      ['the messages twice', `${start},"messages":[]}`],
      ['a role twice', `{"model":"${model}","messages":[{"role":"user","role":"system"}]}`],
      ['a key of a schema twice', kept(Buffer.from('{"a":1,"b":{"c":1,"c":2}}'))],
      ['a key in escapes', `{"m\\u006fdel":"${model}","messages":[]}`],
      ['1e999', `${start},"temperature":1e999}`],
      ['1e999 where nobody looks', `${start},"x":[1e999]}`],
      ['a number of a million digits', `${start},"x":${'9'.repeat(1_000_000)}}`],
      ['half a surrogate pair', `${start.replace('Hi', '\\ud83d')}}`],
      ['half a surrogate pair in a key', `${start},"\\ude00":1}`],
      ['a byte order mark', `\ufeff${start}}`],
      ['NaN', `${start},"temperature":NaN}`],
      ['Infinity', `${start},"x":-Infinity}`],
      ['a comment', `${start}/* */}`],
      ['two values', `${start}}${start}}`],
      ['a list around it', `[${start}}]`],
      ['bytes that are no UTF-8', Buffer.concat([Buffer.from(start.replace('Hi"}]', '')), Buffer.from([0xc0, 0xaf])])],
      [
        'an overlong slash',
        Buffer.concat([Buffer.from(`${start},"x":"`), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')]),
      ],
      ['a megabyte of white space', `${start}${' '.repeat(1_000_000)}}`],
    ]
    for (const [label, body, code = 'invalid_json'] of cases)
      await refused(typeof body === 'string' ? Buffer.from(body) : body, code, label)
  })

  it('costs no more where its keys are made to collide than where they are not', { skip: noProc }, async () => {
    // Keys that are whole numbers were hashed by their value, so these met in one place of a table (CVE-2026-21717).
    const keysOf = (step: number) => Array.from({ length: 90_000 }, (_, key) => `"${key * step}":0`).join()
    const colliding = Buffer.from(`${start},"x":{${keysOf(2 ** 24)}}}`)
    const plain = Buffer.from(`${start},"x":{${keysOf(16_777_259)}}}`)
    const costs: Record<'colliding' | 'plain', number[]> = { colliding: [], plain: [] }
    for (let round = 0; round < 5; round += 1) {
      for (const [name, body] of [
        ['colliding', colliding],
        ['plain', plain],
      ] as const) {
        const before = cpuMs(gateway.pid)
        assert.equal((await send(body)).status, 200)
        costs[name].push(cpuMs(gateway.pid) - before)
      }
    }
    const [one = 0, other = 0] = [costs.colliding, costs.plain].map((all) => all.sort((a, b) => a - b)[2])
    console.log(`90,000 keys: ${one} ms of processor where they collide, ${other} ms where they do not`)
    assert.ok(one <= 3 * other + 30)
  })

  it('takes the loop for moments only: with four bodies of 10 MiB in flight no round of it costs more than 50 ms of processor', async () => {
    const bodies = hostileBodies()
    const turns = new Turns()
    const outcomes: string[] = []
    const readLane = async (lane: number) => {
      for (let step = 0; step < bodies.length / 2; step += 1) {
        const body = bodies[(lane * 2 + step) % bodies.length] ?? Buffer.alloc(0)
        const reading = readFields(body, 'chat', { strictFields: false, turns })
        await reading.catch((error: Error) => outcomes.push(error.message))
      }
    }
    const rounds = await roundsOf(() => Promise.all([0, 1, 2, 3].map(readLane)))
    const parses = bodies.map(parseMs)
    const ours = summarise(rounds)
    console.log(
      `processor ms of a round of the loop: ${JSON.stringify(ours)}; of one JSON.parse: ${parses.map(Math.round).join(', ')}`,
    )
    assert.equal(outcomes.length, 2 * bodies.length)
    assert.ok(ours.count > 100, `only ${ours.count} rounds`)
    assert.ok(ours.p99 <= 50 && ours.max <= 150, JSON.stringify(ours))
    assert.ok(ours.max < Math.max(...parses))
  })

  it('never holds up the others: four bodies of 10 MiB in flight leave the gateway far quicker to answer than JSON.parse does', async () => {
    const through = await delaysUnderLoad(gateway.url, `Bearer ${gateway.key}`)
    const naive = fork(new URL('loop-delay-baseline.ts', import.meta.url), { stdio: 'inherit' })
    try {
      const [port] = await withDeadline(once(naive, 'message'), 10_000, 'the baseline listens')
      const parsed = await delaysUnderLoad(`http://127.0.0.1:${port}`, '')
      const [ours, theirs] = [summarise(through.delaysMs), summarise(parsed.delaysMs)]
      console.log(`GET /health beside four hostile bodies of 10 MiB, ms: ${JSON.stringify(ours)}, ${through.sent} sent`)
      console.log(`the same where JSON.parse reads them, ms: ${JSON.stringify(theirs)}, ${parsed.sent} sent`)
      assert.ok(through.sent >= 4 && parsed.sent >= 1, 'too few to say anything')
      assert.ok(ours.p50 < theirs.p50 / 4, `half within ${ours.p50} ms, and ${theirs.p50} ms by JSON.parse`)
      assert.ok(ours.p99 < theirs.p99, `p99 ${ours.p99} ms, and ${theirs.p99} ms by JSON.parse`)
    } finally {
      naive.kill()
    }
  })
})

/** Processor time that it takes to parse a body, whatever comes of it. */
function parseMs(body: Buffer): number {
  const before = threadCpuMs()
  try {
    JSON.parse(body.toString())
  } catch {
    // Some are no JSON.
  }
  return threadCpuMs() - before
}
