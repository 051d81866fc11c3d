import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cutOut } from './splice.ts'

test('long pieces between cuts are views on the old bytes, and short ones beside each other become one', () => {
  const bytes = Buffer.from(`ab-cd-${'x'.repeat(5000)}-ef`)
  const cuts = [2, 5, 5006].map((start) => ({ start, end: start + 1 }))
  const pieces = cutOut(bytes, { start: 0, end: bytes.length }, cuts)
  deepEqual(
    pieces.map((piece) => piece.toString()),
    ['abcd', 'x'.repeat(5000), 'ef'],
  )
  deepEqual(
    pieces.map((piece) => piece.buffer === bytes.buffer && piece.byteOffset - bytes.byteOffset in bytes),
    [false, true, true],
  )
})

test('whatever is cut out of a value, the rest comes in order and no piece is empty', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 4000 }),
      fc.array(fc.nat(4000), { maxLength: 12 }),
      fc.nat(20),
      (raw, places, before) => {
        const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(raw)])
        const ends = places.map((place) => before + Math.min(place, raw.length)).sort((one, other) => one - other)
        const cuts = ends.flatMap((start, index) => {
          const end = ends[index + 1]
          return index % 2 === 1 || end === undefined ? [] : [{ start, end }]
        })
        const wanted = [...bytes].filter(
          (_byte, at) => at >= before && !cuts.some(({ start, end }) => at >= start && at < end),
        )
        const pieces = cutOut(bytes, { start: before, end: bytes.length }, cuts)
        equal(Buffer.compare(Buffer.concat(pieces), Buffer.from(wanted)), 0)
        ok(pieces.every((piece) => piece.length > 0))
      },
    ),
  )
})
