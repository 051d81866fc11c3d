import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AnswerReader } from './answer-reader.ts'
import type { ValuePlace } from './choice-parts.ts'

/** What stands at a place, as JSON reads it; undefined where nothing is. */
function valueAt(bytes: Buffer, place: ValuePlace): unknown {
  return place.isThere ? JSON.parse(bytes.toString('utf8', place.start, place.end)) : undefined
}

/** What the reader found, as values. */
function read(reader: AnswerReader, bytes: Buffer, isEvent: boolean) {
  if (!(isEvent ? reader.readEvent(bytes) : reader.read(bytes))) return undefined
  const part = (start: number, end: number) => (start < 0 ? undefined : JSON.parse(bytes.toString('utf8', start, end)))
  return {
    model: part(reader.modelStart, reader.modelEnd),
    usage: part(reader.usageStart, reader.usageEnd),
    choices: reader.hasChoices
      ? reader.choices.slice(0, reader.choiceCount).map((choice) => ({
          index: choice.index,
          finish: valueAt(bytes, choice.finish),
          text: valueAt(bytes, choice.text),
          content: valueAt(bytes, choice.content),
          reasoning: valueAt(bytes, choice.reasoning),
          reasoningContent: valueAt(bytes, choice.reasoningContent),
          calls: choice.calls,
        }))
      : undefined,
  }
}

/** The same by way of JSON.parse. */
function expected(document: Record<string, unknown>) {
  const { model, usage, choices } = document
  return {
    model: typeof model === 'string' ? model : undefined,
    usage: isObject(usage) ? usage : undefined,
    choices: Array.isArray(choices) ? choices.filter(isObject).map(expectedChoice) : undefined,
  }
}

function expectedChoice(choice: Record<string, unknown>) {
  const message = isObject(choice['delta']) ? choice['delta'] : {}
  const calls = message['tool_calls']
  return {
    index: typeof choice['index'] === 'number' ? choice['index'] : 0,
    finish: choice['finish_reason'],
    text: choice['text'],
    content: message['content'],
    reasoning: message['reasoning'],
    reasoningContent: message['reasoning_content'],
    calls: (Array.isArray(calls) && calls.length > 0) || isObject(message['function_call']),
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

const junk = fc.jsonValue({ maxDepth: 2 })
const text = fc.oneof(
  fc.string(),
  fc.constantFrom('"model":"x"', '\\', '"', '</think>', '}', 'a"b\\"c', '漢字😀'.repeat(60)),
)
const value = fc.oneof(text, fc.constant(null), junk)
const delta = fc.record(
  {
    role: text,
    content: value,
    reasoning: value,
    reasoning_content: value,
    tool_calls: junk,
    function_call: junk,
    other: junk,
  },
  { requiredKeys: [] },
)
const choice = fc.record(
  {
    index: fc.nat(7),
    delta: fc.oneof(delta, junk),
    finish_reason: value,
    text: value,
    logprobs: junk,
    usage: junk,
    model: text,
  },
  { requiredKeys: ['index'] },
)
const document = fc.record(
  {
    id: text,
    model: value,
    usage: value,
    choices: fc.oneof(fc.array(choice, { maxLength: 3 }), junk),
    created: fc.nat(),
    timings: junk,
  },
  { requiredKeys: [] },
)
/** Keys in any order: engines differ in it. */
const shuffled = fc.tuple(document, fc.array(fc.nat(9), { maxLength: 6 })).map(([whole, order]) => {
  const entries = Object.entries(whole)
  for (const at of order) entries.push(...entries.splice(at % (entries.length || 1), 1))
  return Object.fromEntries(entries)
})

test('the reader finds in any answer what JSON.parse finds, one event after the other', () => {
  let seen = 0
  fc.assert(
    fc.property(
      fc.array(shuffled, { minLength: 1, maxLength: 4 }),
      fc.constantFrom(undefined, 1),
      (documents, indent) => {
        // One reader for all of them: what it remembers of one event must not show in the next.
        const reader = new AnswerReader()
        for (const whole of documents.flatMap((one) => [one, one])) {
          const json = JSON.stringify(whole, null, indent)
          const event = Buffer.from(`data: ${json.replaceAll('\n', '\ndata: ')}\n\n`)
          const wanted = expected(JSON.parse(json))
          if (indent === undefined) deepEqual(read(reader, event, true), wanted)
          else equal(reader.readEvent(event), true)
          deepEqual(read(new AnswerReader(), Buffer.from(json), false), wanted)
          seen += 1
        }
      },
    ),
    { numRuns: 1_500 },
  )
  console.log(`${seen} answers`)
})

test('an answer that is cut anywhere is not read as one', () => {
  fc.assert(
    fc.property(shuffled, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (whole, share) => {
      const bytes = Buffer.from(JSON.stringify(whole))
      equal(new AnswerReader().read(bytes.subarray(0, Math.floor(bytes.length * share))), false)
    }),
    { numRuns: 1_000 },
  )
})

test('no bytes at all make it throw, or go on without end', () => {
  const bits = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    ':',
    ',',
    '"choices"',
    '"delta"',
    '"model"',
    'null',
    '1',
    '\n',
    'data: ',
  )
  fc.assert(
    fc.property(fc.array(bits, { maxLength: 30 }), fc.uint8Array({ maxLength: 20 }), (some, raw) => {
      const reader = new AnswerReader()
      for (const bytes of [Buffer.from(`data: {${some.join('')}`), Buffer.from(some.join('')), Buffer.from(raw)]) {
        reader.readEvent(bytes)
        reader.read(bytes)
      }
    }),
    { numRuns: 5_000 },
  )
})
