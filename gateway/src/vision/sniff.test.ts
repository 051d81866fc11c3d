import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  jpeg,
  png,
  pngChunk,
  pngOf,
  segment,
  webpAnimated,
  webpExtended,
  webpLossless,
  webpLossy,
} from '../../test/fake-pictures.ts'
import { sniff } from './sniff.ts'

const anySide = fc.integer({ min: 1, max: 16_383 })
const kinds = [
  { name: 'PNG', kind: 'png', make: png },
  { name: 'JPEG', kind: 'jpeg', make: jpeg },
  { name: 'WebP with VP8', kind: 'webp', make: webpLossy },
  { name: 'WebP with VP8L', kind: 'webp', make: webpLossless },
  { name: 'WebP with VP8X', kind: 'webp', make: webpExtended },
]

describe('sniff()', () => {
  for (const { name, kind, make } of kinds) {
    it(`reads kind, size and frames of every ${name}`, () => {
      fc.assert(
        fc.property(anySide, anySide, (width, height) => {
          assert.deepEqual(sniff(make(width, height)), { verdict: 'picture', kind, width, height, frames: 1 })
        }),
      )
    })

    it(`says the same of a ${name} whatever is appended to it`, () => {
      fc.assert(
        fc.property(anySide, anySide, fc.uint8Array({ maxLength: 200 }), (width, height, junk) => {
          const bytes = make(width, height)
          assert.deepEqual(sniff(Buffer.concat([bytes, junk])), sniff(bytes))
        }),
      )
    })

    it(`never says another size of a ${name} that is cut off`, () => {
      const bytes = make(640, 480)
      const whole = sniff(bytes)
      for (let length = 12; length < bytes.length; length += 1) {
        const sniffed = sniff(bytes.subarray(0, length))
        if (sniffed.verdict !== 'cut') assert.deepEqual(sniffed, whole, `${length} bytes`)
      }
    })

    it(`has a verdict for every ${name} with bytes changed`, () => {
      const change = fc.tuple(fc.nat({ max: 90 }), fc.nat({ max: 255 }))
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
          const bytes = Buffer.from(make(640, 480))
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte
          const sniffed = sniff(bytes)
          if (sniffed.verdict === 'picture') assert.ok(sniffed.width > 0 && sniffed.height > 0 && sniffed.frames > 0)
        }),
        { numRuns: 2000 },
      )
    })
  }

  it('has a verdict for every sequence of bytes', () => {
    const heads = ['', '89504e470d0a1a0a', 'ffd8ff', '52494646000000005745425056503820'].map((hex) =>
      Buffer.from(hex, 'hex'),
    )
    fc.assert(
      fc.property(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 400 }), (head, rest) => {
        assert.ok(['picture', 'cut', 'broken', 'unknown'].includes(sniff(Buffer.concat([head, rest])).verdict))
      }),
      { numRuns: 3000 },
    )
  })

  it('takes an APNG for moving, also one that claims a single frame', () => {
    for (const claimed of [0, 1, 2, 0xffffffff]) {
      const frames = Buffer.alloc(8)
      frames.writeUInt32BE(claimed)
      const sniffed = sniff(pngOf(10, 10, [pngChunk('tEXt', Buffer.alloc(9)), pngChunk('acTL', frames)]))
      assert.ok(sniffed.verdict === 'picture' && sniffed.frames >= 2, String(claimed))
    }
  })

  it('takes an animated WebP for moving, with the flag or without it', () => {
    for (const flag of [true, false]) {
      const sniffed = sniff(webpAnimated(10, 10, flag))
      assert.ok(sniffed.verdict === 'picture' && sniffed.frames >= 2)
    }
  })

  it('reads every kind of frame header of JPEG, and no other segment as one', () => {
    for (let marker = 0xc0; marker <= 0xcf; marker += 1) {
      const expected = [0xc4, 0xc8, 0xcc].includes(marker) ? 'broken' : 'picture'
      assert.equal(sniff(jpeg(10, 20, { frame: marker })).verdict, expected, marker.toString(16))
    }
  })

  it('says what is wrong with a broken header', () => {
    const changed = (bytes: Buffer, at: number, byte: number): Buffer => {
      bytes[at] = byte
      return bytes
    }
    const cases = [
      { bytes: changed(png(9, 9), 28, 2), said: /packed in no known way/ },
      { bytes: changed(png(9, 9), 26, 1), said: /packed in no known way/ },
      { bytes: changed(png(9, 9), 24, 3), said: /no such colour type/ },
      { bytes: pngOf(9, 9, [Buffer.from('ffffffff74455874', 'hex')]), said: /broken chunk at byte 33/ },
      { bytes: pngOf(9, 9, [Buffer.from('0000000074453874', 'hex')]), said: /broken chunk at byte 33/ },
      { bytes: jpeg(9, 9, { before: [Buffer.from('ffe10001', 'hex')] }), said: /a segment of 1 bytes at byte 20/ },
      { bytes: jpeg(9, 9, { before: [Buffer.from('ff02', 'hex')] }), said: /a marker out of place at byte 20/ },
      { bytes: jpeg(9, 9, { before: [Buffer.from('abcd', 'hex')] }), said: /no marker at byte 20/ },
      { bytes: changed(webpLossless(9, 9), 24, 0x20), said: /broken VP8L header/ },
      { bytes: changed(webpLossless(9, 9), 20, 0x2e), said: /broken VP8L header/ },
      { bytes: changed(webpLossy(9, 9), 20, 0x31), said: /broken VP8 header/ },
      { bytes: changed(webpLossy(9, 9), 24, 0x02), said: /broken VP8 header/ },
      { bytes: changed(webpExtended(9, 9), 16, 11), said: /broken VP8X chunk/ },
    ]
    for (const { bytes, said } of cases) {
      const sniffed = sniff(bytes)
      assert.match(sniffed.verdict === 'broken' ? sniffed.reason : sniffed.verdict, said)
    }
  })

  it('steps over markers of a JPEG that have no length', () => {
    for (const marker of ['ff01', 'ffd0', 'ffd7'])
      assert.equal(sniff(jpeg(9, 9, { before: [Buffer.from(marker, 'hex')] })).verdict, 'picture', marker)
  })

  it('steps over fill bytes and 200 segments of a JPEG', () => {
    const before = [Buffer.alloc(100, 0xff), ...Array.from({ length: 200 }, () => segment(0xe2, Buffer.alloc(65_000)))]
    assert.equal(sniff(jpeg(10, 20, { before })).verdict, 'picture')
  })

  it('believes no JPEG with two frame headers, and no WebP whose data has another size than its canvas', () => {
    const second = jpeg(9000, 9000).subarray(2)
    assert.equal(sniff(Buffer.concat([jpeg(10, 20, { scan: false }), second])).verdict, 'broken')
    const lying = webpExtended(10, 10)
    lying.writeUIntLE(1234, 24, 3)
    assert.equal(sniff(lying).verdict, 'broken')
  })

  it('walks 20 MiB of the smallest chunks, segments and fill bytes in less than 20 ms', () => {
    const length = 20 * 1024 * 1024
    const long = [
      Buffer.alloc(length, 0xff),
      Buffer.concat([pngOf(10, 10, [], false), Buffer.alloc(length, pngChunk('tEXt', Buffer.alloc(0)))]),
      Buffer.concat([Buffer.from('ffd8', 'hex'), Buffer.alloc(length, segment(0xe1, Buffer.alloc(0)))]),
      Buffer.concat([webpExtended(10, 10).subarray(0, 30), Buffer.alloc(length, Buffer.from('EXIF\0\0\0\0'))]),
    ]
    long[0]?.writeUInt8(0xd8, 1)
    for (const bytes of long) {
      const before = process.cpuUsage()
      assert.equal(sniff(bytes).verdict, 'broken')
      const { user, system } = process.cpuUsage(before)
      assert.ok(user + system < 20_000, `${user + system} µs`)
    }
  })
})
