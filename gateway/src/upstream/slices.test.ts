import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { sliceBody } from './slices.ts'

const large = (bytes: number) => Buffer.allocUnsafeSlow(Math.max(bytes, 100_000)).fill('abcdefg').subarray(0, bytes)
/** Copies, as they come: the slices themselves are written anew. */
function slicesOf(body: ReturnType<typeof sliceBody>): readonly Buffer[] {
  const copies: Buffer[] = []
  for (const slice of body === null || Buffer.isBuffer(body) ? [] : body) copies.push(Buffer.from(slice))
  return copies
}

test('a small body goes out as it is, in one piece', () => {
  const one = Buffer.from('one')
  equal(sliceBody([one]), one)
  deepEqual(sliceBody([one, Buffer.from(' two')]), Buffer.from('one two'))
  equal(sliceBody([]), null)
})

test('a large body goes out in whole slices and one rest, the same byte for byte, and again where it is sent again', () => {
  const piece = fc.nat(200_000).map(large)
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 8 }), (pieces) => {
      const body = sliceBody(pieces)
      for (let times = 0; times < 2; times += 1) {
        const slices = slicesOf(body)
        ok(Buffer.concat(slices).equals(Buffer.concat(pieces)))
        ok(slices.slice(0, -1).every(({ length }) => length === 131_072))
      }
    }),
    { numRuns: 30 },
  )
})

test('no slice shares memory with the body, however small the piece is that is left of it', () => {
  const piece = large(10)
  const body = sliceBody([piece, Buffer.from('x')])
  ok(body !== null && !Buffer.isBuffer(body))
  for (const slice of body) ok(slice.buffer !== piece.buffer)
})

test('a body that is freed while it is sent ends early, so that its length does not fit and its connection is cut', () => {
  const piece = Buffer.alloc(200_000)
  const seen: number[] = []
  for (const slice of sliceBody([piece]) as Iterable<Buffer>) {
    seen.push(slice.length)
    piece.buffer.transfer(0)
  }
  deepEqual(seen, [131_072])
})
