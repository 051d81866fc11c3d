import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { StubShaper } from '../../test/exchange.ts'
import { EventPath } from './events.ts'

function open({ shaper = new StubShaper(), passQuiet = true, lastComment = '' } = {}) {
  return { shaper, path: new EventPath({ shaper, passQuiet, lastComment: () => lastComment }) }
}

/** All that comes out of `bytes` cut at `cuts`. */
function feedAll(path: EventPath, bytes: Buffer, cuts: readonly number[]): Buffer {
  const edges = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  const out: Buffer[] = []
  for (const [index, edge] of edges.slice(1).entries()) {
    if (path.end === 'open') out.push(path.feed(Buffer.from(bytes.subarray(edges[index], edge))))
  }
  return Buffer.concat(out)
}

const cuts = fc.array(fc.nat({ max: 5_000 }), { maxLength: 60 })
const lineEnd = fc.constantFrom('\n', '\r\n', '\r')
const lines = fc.constantFrom(
  ['data: {"a":"é漢字😀"}'],
  ['data:{"b":1}'],
  ['data: {', 'data: "c":1}'],
  ['event: delta', 'data: {"d":1}', 'id: 7'],
  [': a comment within', 'data: {"e":1}'],
  ['data'],
)
const quiet = fc.constantFrom([': ping'], ['id: 3'], ['retry: 9'], ['event: note'], ['datax: 1'], [' data: 1'], [])
const event = fc.tuple(fc.oneof(lines, quiet), lineEnd).map(([rows, end]) => [...rows, ''].join(end) + end)

/** What a parser by the standard makes of a stream: the data of each event that it tells anybody of. */
function parse(text: string): string[] {
  const told: string[] = []
  let data: string[] = []
  for (const line of text.replace(/^\ufeff/, '').split(/\r\n|\n|\r/)) {
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? []
    if (name === 'data') data.push(value)
    if (line !== '') continue
    if (data.length > 0) told.push(data.join('\n'))
    data = []
  }
  return told
}

describe('EventPath', () => {
  it('passes every stream byte for byte at any slicing, with every end of a line, and shows each event once', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 15 }), cuts, (events, at) => {
        const text = `${events.join('')}data: last\n\n`
        const { path, shaper } = open()
        assert.equal(feedAll(path, Buffer.from(text), at).toString(), text)
        assert.deepEqual(shaper.shown.flatMap(parse), parse(text))
        assert.equal(shaper.shown.length, parse(text).length)
      }),
      { numRuns: 4_000 },
    )
  })

  it('takes an LF for the rest of a CR only where it follows it', () => {
    const { path, shaper } = open()
    assert.equal(path.feed(Buffer.from('\ndata: 1\r\r')).toString(), '\ndata: 1\r\r')
    assert.equal(path.feed(Buffer.from('\ndata: 2\n\n')).toString(), '\ndata: 2\n\n')
    assert.deepEqual(shaper.shown, ['data: 1\r\r', 'data: 2\n\n'])
  })

  it('shows an event once that ends with CR where its chunk does, though the chunk began with an empty line', () => {
    const { path, shaper } = open()
    const text = '\ndata: 1\n\ndata: 2\r\rdata: 3\n\n'
    assert.equal(feedAll(path, Buffer.from(text), [text.indexOf('data: 3')]).toString(), text)
    assert.deepEqual(shaper.shown.flatMap(parse), ['1', '2', '3'])
  })

  it('is whole with [DONE] at any slicing, and says so with every byte of it', () => {
    const ends = fc.constantFrom('data: [DONE]', 'data:[DONE]', 'data:  [DONE]', 'event: x\ndata: [DONE]')
    const blank = fc.constantFrom('\n\n', '\r\n\r\n')
    fc.assert(
      fc.property(fc.array(event, { maxLength: 8 }), ends, blank, cuts, (events, end, last, at) => {
        const text = events.join('') + end + last
        const { path, shaper } = open()
        shaper.finishReason = 'stop'
        assert.equal(feedAll(path, Buffer.from(`${text}data: late\n\n`), at).toString(), text)
        assert.equal(path.end, 'whole')
        assert.equal(
          shaper.shown.some((shown) => shown.includes('[DONE]')),
          false,
        )
      }),
      { numRuns: 1_000 },
    )
  })

  it('shows no error of the engine and passes none, whichever line it begins in', () => {
    const errors = [
      'data: {"error":"dead"}\n\n',
      'data:{ "error": {"code":500}}\r\n\r\n',
      'data: {\ndata: "error": 1}\n\n',
      'event: error\ndata: {"message":"dead"}\n\n',
      'data: {"message":"dead"}\nevent:error\n\n',
    ]
    for (const error of errors) {
      const { path, shaper } = open()
      assert.equal(path.feed(Buffer.from(`data: 1\n\n${error}data: [DONE]\n\n`)).toString(), 'data: 1\n\n', error)
      assert.deepEqual([typeof path.end, shaper.shown.length], ['object', 1])
    }
  })

  it('takes for an end or an error what stands in the data alone', () => {
    const text = [
      ': [DONE]',
      'data: x [DONE]',
      'data: {"a":{"error":1}}',
      'id: [DONE]',
      'event: errors',
      'event: xerror',
      'data:\ndata: [DONE]',
    ]
    for (const lines of text) {
      const { path } = open()
      assert.equal(path.feed(Buffer.from(`${lines}\n\n`)).toString(), `${lines}\n\n`)
      assert.equal(path.end, 'open', lines)
    }
  })

  it('leaves out a mark of byte order, however it is cut: something of ours may stand before it', () => {
    for (const at of [[], [1], [2], [1, 2], [3]]) {
      const { path, shaper } = open()
      assert.equal(feedAll(path, Buffer.from('\ufeffdata: 1\n\ndata: 2\n\n'), at).toString(), 'data: 1\n\ndata: 2\n\n')
      assert.deepEqual(shaper.shown, ['data: 1\n\n', 'data: 2\n\n'])
    }
  })

  it('gives the very bytes of a chunk that nobody changed, without a copy', () => {
    const { path } = open()
    const chunk = Buffer.from('data: 1\n\n: ping\n\ndata: 2\n\n')
    assert.equal(path.feed(chunk), chunk)
    const more = Buffer.from('data: 3\n\ndata: 4\n\ndata: 5')
    const out = path.feed(more)
    assert.deepEqual([out.buffer === more.buffer, out.toString()], [true, 'data: 3\n\ndata: 4\n\n'])
  })

  it('puts what the shaper makes of an event in its place, and leaves out what it keeps', () => {
    const { path, shaper } = open()
    shaper.event = (bytes) => {
      if (bytes.includes('2')) return Buffer.from('data: two\n\n')
      return bytes.includes('3') ? Buffer.alloc(0) : bytes
    }
    const text = [1, 2, 3, 4, 5].map((count) => `data: ${count}\n\n`).join('')
    assert.equal(path.feed(Buffer.from(text)).toString(), 'data: 1\n\ndata: two\n\ndata: 4\n\ndata: 5\n\n')
  })

  it('asks the shaper for what it held back before the last event, and puts the comment between', () => {
    const { path, shaper } = open({ lastComment: 'times' })
    shaper.endOfEvents = () => Buffer.from('data: rest\n\n')
    const out = path.feed(Buffer.from('data: 1\n\ndata: [DONE]\n\n'))
    assert.equal(out.toString(), 'data: 1\n\ndata: rest\n\n: times\n\ndata: [DONE]\n\n')
  })
})
