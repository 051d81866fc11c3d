import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { spliceBody } from './splice.ts'

test('the pieces around a replacement are views on the old bytes, and nothing is copied', () => {
  const bytes = Buffer.from('{"model":"old","n":1}')
  const fresh = Buffer.from('"new"')
  const pieces = spliceBody(bytes, [{ span: { start: 9, end: 14 }, bytes: fresh }])
  equal(Buffer.concat(pieces).toString(), '{"model":"new","n":1}')
  equal(pieces[1], fresh)
  deepEqual(
    [pieces[0], pieces[2]].map((piece) => piece?.buffer === bytes.buffer),
    [true, true],
  )
})

test('a body without replacements is the one old piece', () => {
  const bytes = Buffer.from('{}')
  deepEqual(
    spliceBody(bytes, []).map((piece) => piece.toString()),
    ['{}'],
  )
})

test('any replacements give the text that replacing from the right gives, and no piece is empty', () => {
  const cuts = fc.array(fc.nat(40), { maxLength: 8 })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), cuts, fc.array(fc.uint8Array({ maxLength: 5 })), (raw, at, news) => {
      const bytes = Buffer.from(raw)
      const ends = at.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b)
      const replacements = ends.flatMap((start, index) => {
        const end = ends[index + 1]
        if (index % 2 === 1 || end === undefined) return []
        return [{ span: { start, end }, bytes: Buffer.from(news[index] ?? []) }]
      })
      const wanted = replacements.reduceRight(
        (body, { span, bytes: fresh }) => Buffer.concat([body.subarray(0, span.start), fresh, body.subarray(span.end)]),
        bytes,
      )
      const pieces = spliceBody(bytes, replacements)
      deepEqual(Buffer.concat(pieces), wanted)
      equal(
        pieces.some((piece) => piece.length === 0),
        false,
      )
    }),
  )
})
