import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { createStreamReader, parseNotice, type StreamEnd, type StreamEvent } from './stream.ts'

const head = '"id":"chatcmpl-99","object":"chat.completion.chunk","created":1795235896,"model":"qwen2.5-vl-tiny"'
const delta = (content: string): string =>
  `data: {${head},"choices":[{"index":0,"delta":{"content":${JSON.stringify(content)}},"logprobs":null,"finish_reason":null}]}\n\n`
const finish = `data: {${head},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"length","stop_reason":null}]}\n\n`
const usage = `data: {${head},"choices":[],"usage":{"prompt_tokens":20,"total_tokens":28,"completion_tokens":8}}\n\n`
const done = 'data: [DONE]\n\n'

function read(parts: readonly Uint8Array[]): { events: StreamEvent[]; end: StreamEnd } {
  const events: StreamEvent[] = []
  const reader = createStreamReader((event) => events.push(event))
  for (const part of parts) reader.feed(part)
  return { events, end: reader.end() }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const readText = (text: string) => read([bytes(text)])

it('a whole vLLM stream gives its text, reason and usage, and is complete', () => {
  const { events, end } = readText(delta('He') + delta('llo') + finish + usage + done)
  assert.deepEqual(events, [
    { type: 'delta', text: 'He' },
    { type: 'delta', text: 'llo' },
    { type: 'finish', reason: 'length' },
    { type: 'usage', usage: { promptTokens: 20, completionTokens: 8 } },
  ])
  assert.equal(end, 'complete')
})

it('however the bytes are split, also inside a character, the events are the same', () => {
  const whole = bytes(`: queue position=1\n\n${delta('불꽃 🔥 爐火')}${delta('é\r\n')}${finish}${usage}${done}`)
  const expected = read([whole])
  fc.assert(
    fc.property(fc.array(fc.nat({ max: whole.length })), (cuts) => {
      const edges = [0, ...cuts.toSorted((a, b) => a - b), whole.length]
      const parts = edges.slice(1).map((edge, index) => whole.subarray(edges[index], edge))
      assert.deepEqual(read(parts), expected)
    }),
    { numRuns: 200 },
  )
})

it('a stream that ends without [DONE] is cut', () => {
  assert.equal(readText(delta('Hal') + finish).end, 'cut')
  assert.equal(readText('').end, 'cut')
})

it('half a [DONE] line is a cut too', () => {
  assert.equal(readText(`${delta('x')}data: [DONE]`).end, 'cut')
})

it('an error event ends the stream, and a [DONE] after it does not heal it', () => {
  const body = '{"error":{"message":"Engine stopped","type":"server_error","param":null,"code":"engine_reset"}}'
  for (const frame of [`event: error\ndata: ${body}\n\n`, `data: ${body}\n\n`]) {
    const { events, end } = readText(delta('a') + frame + delta('b') + done)
    assert.deepEqual(events.slice(1), [
      { type: 'error', error: { message: 'Engine stopped', code: 'engine_reset', param: undefined } },
    ])
    assert.equal(end, 'error')
  }
})

it('a frame that is no JSON object is an error, not silence', () => {
  for (const data of ['{"choices":[', 'null', '42']) assert.equal(readText(`data: ${data}\n\n${done}`).end, 'error')
})

it('what follows [DONE] is not read', () => {
  const { events, end } = readText(done + delta('ghost'))
  assert.deepEqual(events, [])
  assert.equal(end, 'complete')
})

it('frames without text (role, tool calls, empty choices) change nothing', () => {
  const { events } = readText(
    `data: {${head},"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n` +
      `data: {${head},"choices":[{"index":0,"delta":{"tool_calls":[]}}]}\n\ndata: {${head}}\n\n`,
  )
  assert.deepEqual(events, [])
})

it('comments tell the place in line and the stage of waking', () => {
  assert.deepEqual(parseNotice(' queue position=3 eta=12'), { kind: 'queue', position: 3, etaS: 12 })
  assert.deepEqual(parseNotice('queue position=x eta='), { kind: 'queue', position: undefined, etaS: undefined })
  assert.deepEqual(parseNotice('wake stage=boot t=34'), { kind: 'wake', stage: 'boot', elapsedS: 34 })
  assert.deepEqual(parseNotice(' keep-alive'), { kind: 'keep-alive' })
  assert.deepEqual(parseNotice(''), { kind: 'keep-alive' })
})
