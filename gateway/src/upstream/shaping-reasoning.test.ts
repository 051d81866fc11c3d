import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Shaper } from './shaper.ts'
import { createShaper, type ShaperOptions } from './shaping.ts'

function shaperOf(reasoning: ShaperOptions['reasoning'], options: Partial<ShaperOptions> = {}): Shaper {
  return createShaper({
    kind: 'chat',
    dialect: 'vllm',
    model: 'm',
    served: 'm',
    reasoning,
    showUsage: true,
    ...options,
  })
}

interface Said {
  role?: string
  content?: string | null
  reasoning?: string | null
  reasoning_content?: string | null
  tool_calls?: unknown
}

interface Told {
  index: number
  delta?: Said
  message?: Said
  finish_reason?: string | null
}

function chunk(...choices: readonly Told[]): Buffer {
  return Buffer.from(`data: ${JSON.stringify({ id: 'c', model: 'm', choices })}\n\n`)
}

function choicesOf(event: Buffer): Told[] {
  return JSON.parse(event.toString().slice('data: '.length)).choices
}

/** One delta through a shaper of its own. */
function passDelta(delta: Said, reasoning: ShaperOptions['reasoning'] = 'fields'): Said | undefined {
  return choicesOf(shaperOf(reasoning).event(chunk({ index: 0, delta })))[0]?.delta
}

function passMessage(message: Said, reasoning: ShaperOptions['reasoning'], finish = 'stop'): Said {
  const shaper = shaperOf(reasoning)
  const body = { id: 'c', model: 'm', choices: [{ index: 0, message, finish_reason: finish }] }
  const passed = Buffer.concat([shaper.piece(Buffer.from(JSON.stringify(body))), shaper.endOfPieces()])
  return JSON.parse(passed.toString()).choices[0].message
}

test('what an engine calls reasoning has both names, in deltas and in messages', () => {
  const both = { reasoning: 'é "\\', reasoning_content: 'é "\\' }
  for (const pass of [passDelta, (said: Said) => passMessage(said, 'fields')]) {
    deepEqual(pass({ reasoning: both.reasoning }), both)
    deepEqual(pass({ reasoning_content: both.reasoning }), both)
    deepEqual(pass({ reasoning: null, reasoning_content: both.reasoning }), both)
    deepEqual(pass({ reasoning: both.reasoning, reasoning_content: null }), both)
    deepEqual(pass({ content: null, reasoning: both.reasoning }), { content: null, ...both })
  }
})

test('both names already, none, or null: the very same bytes', () => {
  for (const delta of [
    { reasoning: 'a', reasoning_content: 'b' },
    { content: 'a', reasoning: null },
    { content: null, reasoning_content: null },
    { reasoning: null, reasoning_content: null },
    { content: '"reasoning":"no"' },
    {},
  ]) {
    const event = chunk({ index: 0, delta })
    equal(shaperOf('fields').event(event), event, JSON.stringify(delta))
  }
})

test('thinking is taken out of the text of a model with tags, whatever the chunks', () => {
  const shaper = shaperOf('tags')
  const told = ['\n', '<thi', 'nk>', '\nHm', '.\n</', 'think>', '\n', '\nYes', '.'].map(
    (content) => choicesOf(shaper.event(chunk({ index: 0, delta: { content } })))[0]?.delta,
  )
  const thought = (text: string) => ({ reasoning: text, reasoning_content: text })
  deepEqual(told, [
    ...[{ content: '' }, { content: '' }, { content: '' }, thought('Hm'), thought('.\n'), { content: '' }],
    ...[{ content: '' }, { content: 'Yes' }, { content: '.' }],
  ])
  const late = chunk({ index: 0, delta: { content: '<think>' } })
  equal(shaper.event(late), late, 'behind the thought nothing is touched')
})

test('a chunk that ends a thought and begins the answer has both', () => {
  const both = { content: 'b', reasoning: 'a', reasoning_content: 'a' }
  deepEqual(passDelta({ role: 'assistant', content: '<think>a</think>b' }, 'tags'), { role: 'assistant', ...both })
  deepEqual(passDelta({ content: 'a</think>\n\nb' }, 'open-tags'), both)
})

test('what is still held when a choice ends goes out with its end, whatever its last delta is', () => {
  for (const delta of [{}, { content: null }, { content: '' }, { role: 'assistant' }, undefined]) {
    const shaper = shaperOf('tags')
    shaper.event(chunk({ index: 0, delta: { content: '<thi' } }))
    const end = { index: 0, ...(delta === undefined ? {} : { delta }), finish_reason: 'length' }
    const [choice] = choicesOf(shaper.event(chunk(end)))
    deepEqual([choice?.delta?.content, choice?.finish_reason], ['<thi', 'length'], JSON.stringify(delta))
  }
  const shaper = shaperOf('open-tags')
  shaper.event(chunk({ index: 0, delta: { content: 'a</th' } }))
  const [choice] = choicesOf(shaper.event(chunk({ index: 0, delta: {}, finish_reason: 'length' })))
  deepEqual(choice?.delta, { reasoning: '</th', reasoning_content: '</th' })
})

test('several choices think each for itself, in one chunk or in turns', () => {
  const shaper = shaperOf('tags')
  const pass = (...choices: [number, string][]) =>
    choicesOf(shaper.event(chunk(...choices.map(([index, content]) => ({ index, delta: { content } }))))).map(
      ({ delta }) => delta?.content ?? `(${delta?.reasoning})`,
    )
  deepEqual(pass([0, '<think>a'], [1, 'b'], [2, '<thi']), ['(a)', 'b', ''])
  deepEqual(pass([2, 'nk>c'], [0, 'd</think>e']), ['(c)', 'e'])
  deepEqual(pass([1, '<think>'], [0, '</think>']), ['<think>', '</think>'])
})

test('calls of tools pass untouched while a model thinks', () => {
  const shaper = shaperOf('open-tags')
  shaper.event(chunk({ index: 0, delta: { content: 'a' } }))
  const call = chunk({ index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: '</think>' } }] } })
  equal(shaper.event(call), call)
})

test('an engine that tells thinking apart itself is believed', () => {
  const shaper = shaperOf('open-tags')
  const first = choicesOf(shaper.event(chunk({ index: 0, delta: { reasoning_content: 'a' } })))[0]?.delta
  deepEqual(first, { reasoning_content: 'a', reasoning: 'a' })
  const second = chunk({ index: 0, delta: { content: 'b' } })
  equal(shaper.event(second), second)
  deepEqual(passMessage({ content: 'b', reasoning: 'a' }, 'open-tags'), {
    content: 'b',
    reasoning: 'a',
    reasoning_content: 'a',
  })
})

test('a message: its thought in both fields, also where they are null, its content the answer', () => {
  const both = { reasoning: 'a', reasoning_content: 'a' }
  deepEqual(passMessage({ content: '<think>a</think>\n\nb', reasoning: null }, 'tags'), { content: 'b', ...both })
  deepEqual(passMessage({ role: 'assistant', content: 'a</think>' }, 'open-tags'), {
    role: 'assistant',
    content: '',
    ...both,
  })
  deepEqual(passMessage({ content: 'b' }, 'tags'), { content: 'b' })
})

test('a message that was cut off while its model thought has no content: null, and no answer made of the thought', () => {
  const both = { reasoning: 'a', reasoning_content: 'a' }
  deepEqual(passMessage({ content: '<think>a' }, 'tags', 'length'), { content: null, ...both })
  deepEqual(passMessage({ content: 'a' }, 'open-tags', 'length'), { content: null, ...both })
  for (const message of [
    { content: null, reasoning: null },
    { content: null, tool_calls: [{}] },
    { role: 'assistant' },
  ])
    deepEqual(passMessage(message, 'tags'), message)
})

test('a plain completion is text, whatever tags are in it', () => {
  const shaper = shaperOf('tags', { kind: 'completions' })
  const body = '{"choices":[{"index":0,"text":"<think>a</think>b","finish_reason":"stop"}]}'
  equal(Buffer.concat([shaper.piece(Buffer.from(body)), shaper.endOfPieces()]).toString(), body)
})

test('streamed or plain, in any chunks: the same thought and the same answer', () => {
  const bit = fc.constantFrom('<think>', '</think>', '\n', '<', '</', 'a', '"', '\\', '漢', '😀', '\u2028')
  const pieces = fc.array(fc.oneof(bit, fc.string({ maxLength: 3 })), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(pieces, fc.constantFrom('tags', 'open-tags' as const), (bits, form) => {
      const shaper = shaperOf(form)
      let content = ''
      let thought = ''
      for (const [at, bit] of bits.entries()) {
        const end = at === bits.length - 1 ? { finish_reason: 'stop' } : {}
        const [choice] = choicesOf(shaper.event(chunk({ index: 0, delta: { content: bit }, ...end })))
        content += choice?.delta?.content ?? ''
        thought += choice?.delta?.reasoning ?? ''
        equal(choice?.delta?.reasoning, choice?.delta?.reasoning_content)
      }
      const message = passMessage({ content: bits.join('') }, form)
      deepEqual([message.content ?? '', message.reasoning ?? ''], [content, thought])
    }),
    { numRuns: 2_000 },
  )
})
