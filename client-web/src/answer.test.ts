import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createAnswer, runAnswer } from './answer.ts'
import { ApiError } from './failure.ts'

const encoder = new TextEncoder()
const delta = (content: string): string => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`

/** A body fed by the test, and a clock whose frames the test paints. */
function createScene() {
  const frames: (() => void)[] = []
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const body = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given
    },
  })
  return {
    answer: createAnswer('m', 0),
    body,
    frames,
    clock: { now: () => 5, onFrame: (callback: () => void) => void frames.push(callback) },
    write: (text: string) => controller?.enqueue(encoder.encode(text)),
    close: () => controller?.close(),
    fail: () => controller?.error(new TypeError('network error')),
  }
}

it('however many pieces come, the text is shown once per frame, and whole at the end', async () => {
  const { answer, body, frames, clock, write, close } = createScene()
  const shown: string[] = []
  answer.text.subscribe((text) => void shown.push(text))
  const running = runAnswer(answer, () => Promise.resolve(body), clock, new AbortController().signal)
  for (let index = 0; index < 500; index += 1) write(delta('x'))
  write('data: [DONE]\n\n')
  close()
  await running
  assert.equal(frames.length, 1)
  assert.deepEqual(shown, ['', 'x'.repeat(500)])
  assert.equal(answer.phase.value.name, 'complete')
  frames[0]?.()
  assert.equal(shown.length, 2, 'a frame after the end changes nothing')
})

it('a connection that breaks keeps what came and is a cut', async () => {
  const { answer, body, clock, write, fail } = createScene()
  const running = runAnswer(answer, () => Promise.resolve(body), clock, new AbortController().signal)
  write(delta('half'))
  answer.phase.subscribe(({ name }) => {
    if (name === 'writing') fail()
  })
  await running
  assert.equal(answer.phase.value.name, 'cut')
  assert.equal(answer.text.value, 'half')
  assert.deepEqual(answer.failure.value, { kind: 'cut' })
})

it('a refusal is a failure, and an abort before the answer opened is a stop', async () => {
  const refused = createScene()
  const refuse = () => Promise.reject(new ApiError({ kind: 'key_rejected', status: 401 }))
  await runAnswer(refused.answer, refuse, refused.clock, new AbortController().signal)
  assert.equal(refused.answer.phase.value.name, 'failed')
  assert.equal(refused.answer.failure.value?.kind, 'key_rejected')
  const stopped = createScene()
  const abort = AbortSignal.abort()
  await runAnswer(stopped.answer, (signal) => Promise.reject(signal.reason), stopped.clock, abort)
  assert.equal(stopped.answer.phase.value.name, 'stopped')
  assert.equal(stopped.answer.failure.value, undefined)
})

it('an error before the first word is a failure without text, after it a cut', async () => {
  for (const [before, phase] of [
    ['', 'failed'],
    [delta('a'), 'cut'],
  ] as const) {
    const { answer, body, clock, write, close } = createScene()
    const running = runAnswer(answer, () => Promise.resolve(body), clock, new AbortController().signal)
    write(`: queue position=2\n\n${before}data: {"error":{"message":"no","code":"engine_reset"}}\n\ndata: [DONE]\n\n`)
    close()
    await running
    assert.equal(answer.phase.value.name, phase)
    assert.equal(answer.failure.value?.code, 'engine_reset')
  }
})
