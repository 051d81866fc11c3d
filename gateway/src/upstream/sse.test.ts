import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type EventKind, SseCutter } from './sse.ts'

/** The whole events of one chunk, joined, and the kind that ended them. */
function feed(cutter: SseCutter, chunk: Buffer): { events: Buffer; end: EventKind | undefined } {
  const bytes = cutter.add(chunk)
  for (let kind = cutter.next(); kind !== undefined; kind = cutter.next()) {
    if (kind === 'done') return { events: bytes.subarray(0, cutter.end), end: kind }
    if (kind === 'error') return { events: bytes.subarray(0, cutter.start), end: kind }
  }
  return { events: bytes.subarray(0, cutter.start), end: undefined }
}

/** Feeds `text` in pieces cut at `cuts` (bytes) and returns what came out, joined, and how it ended. */
function feedAll(text: string, cuts: readonly number[]): { out: string; end: string | undefined; held: number } {
  const bytes = Buffer.from(text)
  const edges = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  const cutter = new SseCutter()
  const out: Buffer[] = []
  for (const [index, edge] of edges.slice(1).entries()) {
    const piece = feed(cutter, bytes.subarray(edges[index], edge))
    out.push(Buffer.from(piece.events))
    if (piece.end !== undefined) return { out: Buffer.concat(out).toString(), end: piece.end, held: cutter.bytesHeld }
  }
  return { out: Buffer.concat(out).toString(), end: undefined, held: cutter.bytesHeld }
}

const cuts = fc.array(fc.nat({ max: 5000 }), { maxLength: 60 })
const blank = fc.constantFrom('\n\n', '\r\n\r\n', '\r\r', '\r\n\n')
const line = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => `data: {"x":${JSON.stringify(text)}}`),
  fc.constantFrom(': keep-alive', 'data: é漢字😀', 'id: 7', 'data:{"choices":[{"delta":{"content":"[DONE]"}}]}'),
)
const event = fc.tuple(line, blank).map(([text, end]) => text + end)

describe('SseCutter', () => {
  it('passes whole events byte for byte at any slicing', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 20 }), cuts, (events, at) => {
        const text = events.join('')
        assert.deepEqual(feedAll(text, at), { out: text, end: undefined, held: 0 })
      }),
      { numRuns: 1000 },
    )
  })

  it('tells the terminal event at any slicing and passes nothing after it', () => {
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 10 }),
        fc.constantFrom('data: [DONE]', 'data:[DONE]'),
        blank,
        cuts,
        (events, done, end, at) => {
          const text = events.join('') + done + end
          const result = feedAll(`${text}data: late\n\n`, at)
          assert.equal(result.end, 'done')
          assert.equal(result.out, text)
        },
      ),
      { numRuns: 1000 },
    )
  })

  it("leaves out the engine's own error event and what follows it, so that its [DONE] is never seen", () => {
    const errors = [
      'data: {"error":{"message":"dead","code":500}}',
      'data: { "error": "dead" }',
      'event: error\ndata: {"message":"dead"}',
    ]
    fc.assert(
      fc.property(fc.array(event, { maxLength: 10 }), fc.constantFrom(...errors), cuts, (events, error, at) => {
        const text = events.join('')
        const result = feedAll(`${text}${error}\n\ndata: [DONE]\n\n`, at)
        assert.equal(result.end, 'error')
        assert.equal(result.out, text)
      }),
      { numRuns: 1000 },
    )
  })

  it('does not take a word of the answer for an error or an end', () => {
    const text = 'data: {"choices":[{"delta":{"content":"{\\"error\\": 1} data: [DONE]"}}]}\n\n'
    assert.deepEqual(feedAll(text, []), { out: text, end: undefined, held: 0 })
  })

  it('holds back an event until it is whole', () => {
    const cutter = new SseCutter()
    assert.equal(feed(cutter, Buffer.from('data: 1\n\ndata: 2\n')).events.toString(), 'data: 1\n\n')
    assert.equal(cutter.bytesHeld, 8)
    assert.equal(feed(cutter, Buffer.from('\n')).events.toString(), 'data: 2\n\n')
  })

  it('gives up on an event that never ends', () => {
    const cutter = new SseCutter()
    const chunk = Buffer.alloc(1024 * 1024, 0x61)
    assert.throws(
      () => {
        for (let chunks = 0; chunks < 6; chunks += 1) feed(cutter, chunk)
      },
      { code: 'engine_bad_answer' },
    )
  })

  it('does not copy a large event once for each of its pieces', () => {
    const cpuOf = (bytes: number) => {
      const cutter = new SseCutter()
      const piece = Buffer.alloc(64, 0x61)
      const before = process.cpuUsage()
      for (let fed = 0; fed < bytes; fed += piece.length) feed(cutter, piece)
      assert.equal(cutter.bytesHeld, bytes)
      const { user, system } = process.cpuUsage(before)
      return user + system
    }
    cpuOf(256 * 1024)
    const small = cpuOf(256 * 1024)
    const large = cpuOf(4 * 1024 * 1024)
    // Sixteen times the bytes: sixteen times the work, where copying each time would be 256 times.
    assert.ok(large < 80 * Math.max(small, 1000), `${small} µs, ${large} µs`)
  })
})
