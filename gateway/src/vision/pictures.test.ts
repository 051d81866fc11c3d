import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { jpeg, png, segment, webpExtended, webpLossless, webpLossy } from '../../test/fake-pictures.ts'
import { hostilePictures } from '../../test/hostile-pictures.ts'
import type { Span } from '../body/scan.ts'
import { HearthError } from '../errors.ts'
import { checkPictures as checkInSteps, type PictureFacts } from './pictures.ts'

const cpuMsMax = 20
const toUrl = (type: string, bytes: Buffer): string => `data:image/${type};base64,${bytes.toString('base64')}`

/** A body of JSON strings, and where each stands. */
function bodyOf(literals: readonly string[]): { readonly body: Buffer; readonly spans: readonly Span[] } {
  let end = 0
  const spans = literals.map((literal) => {
    const start = end + 1
    end = start + Buffer.byteLength(literal)
    return { start, end }
  })
  return { body: Buffer.from(`[${literals.join(',')}]`), spans }
}

function checkPictures(body: Buffer, spans: readonly Span[]): PictureFacts[] {
  const steps = checkInSteps(body, spans)
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

function check(...urls: readonly string[]): PictureFacts[] {
  const { body, spans } = bodyOf(urls.map((url) => JSON.stringify(url)))
  return checkPictures(body, spans)
}

function refuses(code: string, said: RegExp, literals: readonly string[]): void {
  const { body, spans } = bodyOf(literals)
  assert.throws(
    () => checkPictures(body, spans),
    (error) => {
      assert.ok(error instanceof HearthError, String(error))
      assert.equal(error.code, code, error.message)
      assert.match(error.message, said)
      return true
    },
  )
}

interface Judged {
  /** The code of the refusal, or `passes`. */
  readonly outcome: string
  readonly cpuMs: number
}

function judge(body: Buffer, span: Span): Judged {
  const before = process.cpuUsage()
  const outcome = outcomeOf(() => checkPictures(body, [span]))
  const { user, system } = process.cpuUsage(before)
  return { outcome, cpuMs: (user + system) / 1000 }
}

/** Judges until the time is as it should be, ten times at most: the machine may be busy with something else. */
function judgeUntil(body: Buffer, span: Span): [Judged, ...Judged[]] {
  const tries: [Judged, ...Judged[]] = [judge(body, span)]
  while (tries.length < 10 && (tries.at(-1)?.cpuMs ?? 0) > cpuMsMax) tries.push(judge(body, span))
  return tries
}

function outcomeOf(act: () => unknown): string {
  try {
    act()
    return 'passes'
  } catch (error) {
    if (error instanceof HearthError) return error.code
    throw error
  }
}

describe('checkPictures()', () => {
  it('says kind, size and length of each picture', () => {
    const pictures = [png(10, 20), jpeg(30, 40), webpLossy(50, 60), webpExtended(8192, 3051)]
    const kinds = ['png', 'jpg', 'webp', 'webp']
    assert.deepEqual(
      check(...pictures.map((bytes, index) => toUrl(kinds[index] ?? '', bytes))),
      pictures.map((bytes, index) => ({
        kind: ['png', 'jpeg', 'webp', 'webp'][index],
        width: [10, 30, 50, 8192][index],
        height: [20, 40, 60, 3051][index],
        bytes: bytes.length,
      })),
    )
    assert.deepEqual(check(), [])
  })

  it('passes or refuses each of more than 200 hostile files by the rule, each within 20 ms of CPU time', (t) => {
    const counts = new Map<string, number>()
    let slowest = { name: '', cpuMs: 0 }
    const files = hostilePictures()
    for (const { name, type, bytes, wanted } of files) {
      const { body, spans } = bodyOf([`"${toUrl(type, bytes)}"`])
      const [first, ...more] = judgeUntil(body, spans[0] ?? { start: 0, end: 0 })
      const cpuMs = Math.min(...[first, ...more].map((one) => one.cpuMs))
      assert.equal(first.outcome, wanted, name)
      assert.ok(cpuMs <= cpuMsMax, `${name}: ${cpuMs} ms`)
      if (cpuMs > slowest.cpuMs) slowest = { name, cpuMs }
      counts.set(wanted, (counts.get(wanted) ?? 0) + 1)
    }
    assert.ok(files.length >= 200)
    const figures = [...counts].map(([outcome, count]) => `${count} ${outcome}`)
    t.diagnostic(`${files.length} files: ${figures.join(', ')}; slowest ${slowest.cpuMs} ms (${slowest.name})`)
  })

  it('refuses none of 1,000 honest pictures of 5 kinds', (t) => {
    const kinds = [
      { type: 'png', make: png },
      { type: 'jpeg', make: jpeg },
      { type: 'webp', make: webpLossy },
      { type: 'webp', make: webpLossless },
      { type: 'webp', make: webpExtended },
    ]
    const seen = new Set<string>()
    for (const { type, make } of kinds) {
      const sides = fc.tuple(fc.integer({ min: 1, max: 8192 }), fc.integer({ min: 1, max: 8192 }))
      const allowed = sides.filter(([width, height]) => width * height <= 25_000_000)
      for (const [width, height] of fc.sample(allowed, { numRuns: 200, seed: 5 })) {
        const bytes = Buffer.concat([make(width, height), Buffer.alloc(width)])
        assert.deepEqual(check(toUrl(type, bytes)), [{ kind: type, width, height, bytes: bytes.length }])
        seen.add(`${make.name} ${width}×${height}`)
      }
    }
    t.diagnostic(`1,000 pictures, ${seen.size} of them different, 0 refused`)
  })

  it('throws nothing but HearthErrors for any bytes and any spans', () => {
    const head = fc.constantFrom(
      '',
      '"',
      '"data:image/png;base64,',
      '"data:image/jpeg;base64,/9j/',
      '"data:image/webp;base64,UklGR',
    )
    const bytes = fc.tuple(head, fc.uint8Array({ maxLength: 120 }), fc.base64String({ maxLength: 400 }))
    fc.assert(
      fc.property(bytes, fc.nat(40), fc.nat(900), fc.boolean(), ([before, junk, data], start, end, whole) => {
        const body = Buffer.concat([Buffer.from(before), Buffer.from(junk), Buffer.from(`${data}"`)])
        outcomeOf(() => checkPictures(body, [whole ? { start: 0, end: body.length } : { start, end }]))
      }),
      { numRuns: 5000 },
    )
  })

  it('refuses everything but data URLs of three kinds, and names the picture', () => {
    const good = `"${toUrl('png', png(9, 9))}"`
    const others = [
      '"https://example.com/a.png"',
      '"file:///etc/passwd"',
      '""',
      '"data:image/png,abc"',
      '"data:image/png;charset=utf-8;base64,abcd"',
      '"data:text/html;base64,abcd"',
      '" data:image/png;base64,abcd"',
      '"DATA:image/png;base64,abcd"',
      '"http:\\/\\/169.254.169.254\\/"',
      '"\\u4164ata:image/png;base64,abcd"',
      'null',
      '7',
      '{"url":"data:"}',
    ]
    for (const other of others)
      refuses('unsupported_picture', /^Picture 2 of 3 .*wants "data:image\/png/, [good, other, good])
    refuses('unsupported_picture', /begins with "data:image\/heic;base64,";/, ['"data:image/heic;base64,AAAAsecret"'])
  })

  it('refuses a span that is no string', () => {
    const url = `x${toUrl('png', png(9, 9))}"`
    refuses('unsupported_picture', /is no string/, [url])
    refuses('unsupported_picture', /is no string/, [`"${url.slice(1, -1)}x`])
  })

  it('says of a picture that is cut off how long it is', () => {
    const cut = jpeg(9, 9).subarray(0, 30)
    refuses('bad_picture', /^Picture 1 of 1 ends after 30 bytes, before its data\.$/, [`"${toUrl('jpeg', cut)}"`])
  })

  it('reads escapes as JSON means them, in the prefix and in the data', () => {
    const bytes = Buffer.concat([png(9, 9), Buffer.from('fbffbffbefbe', 'hex')])
    const literal = JSON.stringify(toUrl('png', bytes))
    const slashes = literal.replaceAll('/', '\\/')
    const written = [slashes, slashes.replaceAll('+', '\\u002B'), literal.replaceAll('a', '\\u0061')]
    for (const one of written) {
      assert.ok(one !== literal)
      const { body, spans } = bodyOf([one])
      assert.deepEqual(checkPictures(body, spans), check(toUrl('png', bytes)))
    }
  })

  it('reads escapes wherever they stand in a long string', () => {
    const bytes = Buffer.concat([png(9, 9), Buffer.alloc(60_000, 'Hearth')])
    const facts = check(toUrl('png', bytes))
    const units = (text: string) =>
      text.replaceAll(/[^"]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
    const literal = JSON.stringify(toUrl('png', bytes))
    // What is read in one go ends at another place of an escape each time.
    for (let plain = 0; plain < 7; plain += 1) {
      const { body, spans } = bodyOf([`"${literal.slice(1, 1 + plain)}${units(literal.slice(1 + plain, -1))}"`])
      assert.deepEqual(checkPictures(body, spans), facts)
    }
    for (const wrong of ['\\\\', '\\"', '\\u0141', '\\u4141', '\\n'])
      for (const at of [65_480, 65_490, 65_500, 65_510, 65_520, 65_530]) {
        for (let shift = 0; shift < 7; shift += 1) {
          const text = literal.slice(1, at + shift)
          refuses('bad_picture', /base64/, [`"${text}${wrong.repeat(4)}${literal.slice(at + shift)}`])
        }
      }
  })

  it('stops for other work at least every 64 KiB, escaped or not', () => {
    const literal = JSON.stringify(toUrl('png', Buffer.concat([png(9, 9), Buffer.alloc(300_000, 0xff)])))
    for (const one of [literal, literal.replaceAll('/', '\\/')]) {
      const { body, spans } = bodyOf([one])
      const stops = [...checkInSteps(body, spans)].length
      assert.ok(stops >= body.length / 65_536, `${stops} stops in ${body.length} bytes`)
    }
  })

  it('refuses base64 that is not whole, wherever the fault stands', () => {
    const data = Buffer.concat([png(9, 9), Buffer.alloc(300_000, 'abc')]).toString('base64')
    const places = [0, 1, 100, 65_535, 65_536, 65_537, 200_000, data.length - 5, data.length - 1]
    for (const wrong of ['-', '_', '=', '*', 'é', ' ', '\n', '\r', '\t', '\\', '"', '\0', '\u{2028}', '䄁'])
      for (const at of places) {
        if (wrong === '=' && at === data.length - 1) continue
        const url = `data:image/png;base64,${data.slice(0, at)}${wrong}${data.slice(at + Buffer.byteLength(wrong))}`
        refuses('bad_picture', /base64/, [JSON.stringify(url)])
      }
    for (const tail of ['=', '==', '===', 'A===', 'A', 'AA', 'AAA', '====', 'AA==AAAA', '\\n'])
      refuses('bad_picture', /base64/, [`"data:image/png;base64,${data}${tail}"`])
    refuses('bad_picture', /has 5 characters of base64; wants a multiple of 4/, ['"data:image/png;base64,AAAAA"'])
    refuses('bad_picture', /is empty/, ['"data:image/png;base64,"'])
  })

  it('refuses a ninth picture', () => {
    const url = toUrl('png', png(9, 9))
    assert.equal(check(...Array.from({ length: 8 }, () => url)).length, 8)
    refuses(
      'too_many_pictures',
      /9 pictures; wants at most 8/,
      Array.from({ length: 9 }, () => `"${url}"`),
    )
  })

  it('finds the size of a JPEG behind a colour profile of 900 kB', () => {
    const profile = Array.from({ length: 14 }, () => segment(0xe2, Buffer.alloc(65_000)))
    assert.deepEqual(check(toUrl('jpeg', jpeg(9, 8, { before: profile })))[0]?.width, 9)
  })

  it('checks a body of 5 MB in a few milliseconds', (t) => {
    const noise = Buffer.from(Array.from({ length: 3 * 997 }, (_, index) => (index * index * 31) >> 3))
    const bytes = Buffer.concat([png(9, 9), Buffer.alloc(3_750_000, noise)])
    const literal = `"${toUrl('png', bytes)}"`
    const escapes = literal.replaceAll('/', '\\/').replaceAll('+', '\\u002B')
    const best = [literal, escapes].map((one) => {
      const { body, spans } = bodyOf([one])
      const times = Array.from({ length: 9 }, () => judge(body, spans[0] ?? { start: 0, end: 0 }).cpuMs)
      times.sort((a, b) => a - b)
      t.diagnostic(`${body.length} bytes: CPU median ${times[4]} ms, best ${times[0]} ms`)
      return times[0] ?? 0
    })
    assert.ok((best[0] ?? 0) <= cpuMsMax)
    assert.ok((best[1] ?? 0) <= 5 * cpuMsMax, 'undoing escapes costs more, but no more than reading JSON')
  })
})
