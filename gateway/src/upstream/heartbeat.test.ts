import assert from 'node:assert/strict'
import { beforeEach, describe, it, mock } from 'node:test'
import fc from 'fast-check'
import { chatEvent, startExchange } from '../../test/exchange.ts'
import { heartbeatDefault } from './heartbeat.ts'

const everyMs = 100
const asComment = { form: 'comment', everyMs, earlyHeaders: false } as const
const early = { form: 'comment', everyMs, earlyHeaders: true } as const
const asChunk = { form: 'empty-delta', everyMs, earlyHeaders: true } as const
const beat = ': keep-alive\n\n'
const events = 'text/event-stream'

/** The data of the chunks that were written. */
const chunksOf = (written: string) =>
  [...written.matchAll(/^data: (\{.*)$/gm)].map(([, json]) => JSON.parse(json ?? ''))

describe('Heartbeat', () => {
  beforeEach(() => {
    mock.timers.reset()
    mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  })

  it('is a comment after each quarter of a minute of silence, where a key says nothing else', () => {
    assert.deepEqual(heartbeatDefault, { form: 'comment', everyMs: 15_000, earlyHeaders: true })
  })

  it('speaks after each silence and not while the stream speaks', () => {
    const { caller, say } = startExchange({ heartbeat: asComment })
    say.head(events)
    for (let step = 0; step < 10; step += 1) {
      mock.timers.tick(everyMs - 1)
      say.body(chatEvent('a'))
    }
    assert.equal(caller.written.includes(beat), false)
    mock.timers.tick(everyMs)
    assert.equal(caller.written.endsWith(beat), true)
    for (let count = 0; count < 3; count += 1) mock.timers.tick(everyMs)
    assert.equal(caller.written.split(beat).length - 1, 4)
  })

  it('stands between whole events at any slicing and any silence', () => {
    const text = `${chatEvent('é漢😀')}: note\n\n${chatEvent('b').replaceAll('\n', '\r\n')}${chatEvent('d').replaceAll('\n', '\r')}${chatEvent('c', 'stop')}`
    const bytes = Buffer.from(`${text}data: [DONE]\n\n`)
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 120 }), fc.integer({ min: 0, max: 250 })))
    fc.assert(
      fc.property(steps, (cuts) => {
        mock.timers.reset()
        mock.timers.enable({ apis: ['setTimeout', 'Date'] })
        const { caller, say } = startExchange({ heartbeat: asComment })
        say.head(events)
        let at = 0
        for (const [size, silenceMs] of cuts) {
          say.body(bytes.subarray(at, at + size))
          at += size
          mock.timers.tick(silenceMs)
        }
        say.body(bytes.subarray(at))
        const own = /: keep-alive\n\n|: server-timing [^\n]*\n\n/g
        assert.equal(caller.written.replaceAll(own, ''), bytes.toString())
        // What stands before each heartbeat ends in a blank line.
        const before = caller.written.split(beat).slice(0, -1)
        for (const part of before) assert.match(part, /^$|\n\r?\n$|\r\r$/)
      }),
      { numRuns: 300 },
    )
  })

  it('never speaks after the end, whichever end it was', () => {
    for (const end of [`${chatEvent('a', 'stop')}data: [DONE]\n\n`, 'data: {"error":"dead"}\n\n']) {
      const { caller, say } = startExchange({ heartbeat: early })
      say.head(events)
      say.body(end)
      const { written } = caller
      mock.timers.tick(10 * everyMs)
      assert.equal(caller.written, written)
    }
  })

  it('says nothing to a caller who does not read, and goes on when they do', () => {
    const { caller, say } = startExchange({ heartbeat: asComment })
    say.head(events)
    caller.room = false
    say.body(chatEvent('a'))
    mock.timers.tick(5 * everyMs)
    assert.equal(caller.written, chatEvent('a'))
    caller.room = true
    caller.emit('drain')
    mock.timers.tick(everyMs)
    assert.equal(caller.written, chatEvent('a') + beat)
  })

  it('begins the stream with 200 before the engine said anything, where the key takes an early head', () => {
    const { caller } = startExchange({ heartbeat: early })
    mock.timers.tick(everyMs - 1)
    assert.equal(caller.headersSent, false)
    mock.timers.tick(1)
    assert.deepEqual([caller.status, caller.written], [200, beat])
    assert.equal(caller.head['content-type'], 'text/event-stream; charset=utf-8')
    assert.equal(caller.head['x-request-id'], 'r-1')
  })

  it('says nothing before the head of the engine, where the key takes no early head', () => {
    const { caller, say } = startExchange({ heartbeat: asComment })
    mock.timers.tick(10 * everyMs)
    assert.deepEqual([caller.headersSent, caller.written], [false, ''])
    say.head(events)
    mock.timers.tick(everyMs)
    assert.equal(caller.written, beat)
  })

  it('is never heard where it is off: no early head, no comment', () => {
    const { caller, say } = startExchange({ heartbeat: { form: 'off', everyMs, earlyHeaders: true } })
    mock.timers.tick(10 * everyMs)
    assert.equal(caller.headersSent, false)
    say.head(events)
    mock.timers.tick(10 * everyMs)
    assert.equal(caller.written, '')
  })

  it('stops when the answer turns out to be no stream', () => {
    const { caller, say } = startExchange({ heartbeat: early })
    say.head('application/json')
    mock.timers.tick(10 * everyMs)
    assert.deepEqual([caller.headersSent, caller.written], [false, ''])
    say.body('{}')
    say.end()
    assert.equal(caller.written, '{}')
  })

  it('speaks of empty chunks that bear the names of the stream, for parsers that know no comments', () => {
    const { caller, say } = startExchange({ heartbeat: asChunk })
    mock.timers.setTime(5_000)
    mock.timers.tick(everyMs)
    say.head(events)
    say.body(chatEvent('a'))
    mock.timers.tick(everyMs)
    say.body(`${chatEvent('b', 'stop')}data: [DONE]\n\n`)
    assert.equal(/^:/m.test(caller.written), false, 'a comment')
    const [first, , later] = chunksOf(caller.written)
    const choices = [{ index: 0, delta: {}, finish_reason: null }]
    const object = 'chat.completion.chunk'
    assert.deepEqual(first, { id: 'chatcmpl-r-1', object, created: 5, model: 'm', choices })
    assert.deepEqual(later, { id: 'chatcmpl-7', object, created: 42, model: 'm', choices })
  })

  it('has the shape of a text completion where one was asked for', () => {
    const { caller } = startExchange({ heartbeat: asChunk, kind: 'completions' })
    mock.timers.tick(everyMs)
    const [chunk] = chunksOf(caller.written)
    assert.deepEqual([chunk.object, chunk.choices[0].text, chunk.id], ['text_completion', '', 'cmpl-r-1'])
  })

  it('keeps the comments of the engine from callers who want none', () => {
    const passes = (form: 'comment' | 'empty-delta' | 'off') => {
      const { caller, say } = startExchange({ heartbeat: { ...asComment, form } })
      say.head(events)
      say.body(`: ping\n\n${chatEvent('a')}: ping\n\n${chatEvent('b', 'stop')}`)
      return caller.written
    }
    const [a, b] = [chatEvent('a'), chatEvent('b', 'stop')]
    assert.equal(passes('comment'), `: ping\n\n${a}: ping\n\n${b}`)
    assert.equal(passes('empty-delta'), a + b)
    assert.equal(passes('off'), a + b)
  })
})
