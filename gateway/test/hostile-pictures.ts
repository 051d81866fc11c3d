import { deflateSync } from 'node:zlib'
import {
  jpeg,
  png,
  pngChunk,
  pngHeader,
  pngOf,
  segment,
  vp8,
  vp8l,
  vp8x,
  webpAnimated,
  webpChunk,
  webpExtended,
  webpLossless,
  webpLossy,
  webpOf,
} from './fake-pictures.ts'

/** A picture (or what claims to be one) as a caller would send it, and what has to become of it. */
export interface HostilePicture {
  readonly name: string
  readonly type: string
  readonly bytes: Buffer
  /** The code of its refusal; `passes` where nothing a header shows is wrong. */
  readonly wanted: 'passes' | 'unsupported_picture' | 'bad_picture' | 'picture_too_large'
}

/** More than 200 files that mean harm or are broken. */
export function hostilePictures(): HostilePicture[] {
  return [...cutOff(), ...tooLarge(), ...moving(), ...strangers(), ...liars(), ...bombs(), ...polyglots()]
}

/** Each kind, cut at each byte of its headers. */
function cutOff(): HostilePicture[] {
  const whole = [
    { type: 'png', bytes: png(64, 48), magic: 8, headerEnd: 41 },
    { type: 'jpeg', bytes: jpeg(64, 48), magic: 3, headerEnd: 62 },
    { type: 'webp', bytes: webpLossy(64, 48), magic: 12, headerEnd: 30 },
    { type: 'webp', bytes: webpLossless(64, 48), magic: 12, headerEnd: 25 },
    { type: 'webp', bytes: webpExtended(64, 48), magic: 12, headerEnd: 134 },
  ]
  return whole.flatMap(({ type, bytes, magic, headerEnd }) =>
    Array.from({ length: headerEnd - 1 }, (_, index) => ({
      name: `${type} of ${bytes.length} bytes cut to ${index + 1}`,
      type,
      bytes: bytes.subarray(0, index + 1),
      wanted: index + 1 < magic ? ('unsupported_picture' as const) : ('bad_picture' as const),
    })),
  )
}

function tooLarge(): HostilePicture[] {
  const wanted = 'picture_too_large'
  const sizes = [
    [8193, 1],
    [1, 8193],
    [8192, 3052],
    [5001, 5000],
    [16_383, 16_383],
  ] as const
  return [
    ...sizes.flatMap(([width, height]) => [
      { name: `png of ${width}×${height}`, type: 'png', bytes: png(width, height), wanted } as const,
      { name: `jpeg of ${width}×${height}`, type: 'jpeg', bytes: jpeg(width, height), wanted } as const,
      { name: `webp of ${width}×${height}`, type: 'webp', bytes: webpLossy(width, height), wanted } as const,
      {
        name: `lossless webp of ${width}×${height}`,
        type: 'webp',
        bytes: webpLossless(width, height),
        wanted,
      } as const,
      {
        name: `extended webp of ${width}×${height}`,
        type: 'webp',
        bytes: webpExtended(width, height),
        wanted,
      } as const,
    ]),
    { name: 'png of 2^31-1', type: 'png', bytes: png(0x7fffffff, 0x7fffffff), wanted },
    { name: 'png of 2^32-1', type: 'png', bytes: png(0xffffffff, 0xffffffff), wanted },
    { name: 'jpeg of 65535', type: 'jpeg', bytes: jpeg(65_535, 65_535), wanted },
    {
      name: 'webp canvas of 2^24',
      type: 'webp',
      bytes: webpOf([vp8x(1 << 24, 1 << 24, 0x10), webpChunk('ALPH', Buffer.alloc(9))]),
      wanted,
    },
    { name: '20 MiB and one byte', type: 'png', bytes: Buffer.concat([png(9, 9)], 20 * 1024 * 1024 + 1), wanted },
    { name: '20 MiB', type: 'png', bytes: Buffer.concat([png(9, 9)], 20 * 1024 * 1024), wanted: 'passes' },
  ]
}

function moving(): HostilePicture[] {
  const wanted = 'unsupported_picture'
  const frames = (count: number): Buffer => pngChunk('acTL', Buffer.from([0, 0, 0, count, 0, 0, 0, 0]))
  const note = pngChunk('tEXt', Buffer.alloc(100_000))
  return [
    ...[0, 1, 2, 255].map(
      (count) => ({ name: `APNG of ${count}`, type: 'png', bytes: pngOf(9, 9, [frames(count)]), wanted }) as const,
    ),
    { name: 'APNG behind a note of 100 kB', type: 'png', bytes: pngOf(9, 9, [note, frames(2)]), wanted },
    { name: 'webp that only says it moves', type: 'webp', bytes: webpOf([vp8x(9, 9, 2), vp8(9, 9)]), wanted },
    { name: 'animated webp', type: 'webp', bytes: webpAnimated(9, 9), wanted },
    { name: 'animated webp that denies it', type: 'webp', bytes: webpAnimated(9, 9, false), wanted },
    {
      name: 'webp frame without the header of an animation',
      type: 'webp',
      bytes: webpOf([vp8x(9, 9, 0), webpChunk('ANMF', vp8(9, 9))]),
      wanted,
    },
  ]
}

/** Files of other kinds, under each type that is read here and under their own. */
function strangers(): HostilePicture[] {
  const files = {
    'svg+xml': '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    gif: 'GIF89a\x01\0\x01\0\0\0\0;',
    bmp: `BM${'\0'.repeat(60)}`,
    tiff: `II*\0\x08\0\0\0${'\0'.repeat(60)}`,
    heic: `\0\0\0\x18ftypheic${'\0'.repeat(60)}`,
    avif: `\0\0\0\x1cftypavif${'\0'.repeat(60)}`,
    'x-icon': `\0\0\x01\0\x01\0${'\0'.repeat(60)}`,
    pdf: '%PDF-1.7\n',
    html: '<!doctype html><script>alert(1)</script>',
    zip: 'PK\x03\x04',
    jxl: '\xff\x0a\0\0',
    jp2: '\0\0\0\x0cjP  \r\n\x87\n',
    wave: 'RIFF\x24\0\0\0WAVEfmt \0\0\0\0',
    'a single zero': '\0',
  }
  return Object.entries(files).flatMap(([own, text]) =>
    ['png', 'jpeg', 'webp', own].map((type) => ({
      name: `${own} as ${type}`,
      type,
      bytes: Buffer.from(text, 'latin1'),
      wanted: 'unsupported_picture' as const,
    })),
  )
}

function liars(): HostilePicture[] {
  const wanted = 'bad_picture'
  const whole = { png: png(9, 9), jpeg: jpeg(9, 9), webp: webpLossy(9, 9) }
  const types = ['png', 'jpeg', 'jpg', 'webp']
  const declared = Object.entries(whole).flatMap(([kind, bytes]) =>
    types
      .filter((type) => type.replace('jpg', 'jpeg') !== kind)
      .map((type) => ({ name: `${kind} as ${type}`, type, bytes, wanted }) as const),
  )
  const canvas = webpExtended(10, 10)
  canvas.writeUIntLE(8000, 24, 3)
  const colour = png(9, 9)
  colour.writeUInt8(5, 25)
  return [
    ...declared,
    { name: 'png of no width', type: 'png', bytes: png(0, 9), wanted },
    { name: 'png of no height', type: 'png', bytes: png(9, 0), wanted },
    { name: 'jpeg of no width', type: 'jpeg', bytes: jpeg(0, 9), wanted },
    { name: 'jpeg whose height comes later', type: 'jpeg', bytes: jpeg(9, 0), wanted },
    { name: 'webp of no width', type: 'webp', bytes: webpLossy(0, 9), wanted },
    { name: 'webp with another size than its canvas', type: 'webp', bytes: canvas, wanted },
    {
      name: 'webp with a chunk without a header',
      type: 'webp',
      bytes: webpOf([webpChunk('VP8L', Buffer.alloc(4)), vp8(9, 9)]),
      wanted,
    },
    { name: 'webp of version 7', type: 'webp', bytes: webpOf([webpChunk('VP8L', Buffer.alloc(15, 0xff))]), wanted },
    {
      name: 'webp that begins with a note',
      type: 'webp',
      bytes: webpOf([webpChunk('EXIF', Buffer.alloc(9)), vp8l(9, 9)]),
      wanted,
    },
    { name: 'png of no such colour', type: 'png', bytes: colour, wanted },
    { name: 'png with two headers', type: 'png', bytes: pngOf(9, 9, [pngHeader(9000, 9000)]), wanted },
    { name: 'png without data', type: 'png', bytes: pngOf(9, 9, [pngChunk('IEND', Buffer.alloc(0))]), wanted },
    {
      name: 'jpeg with two sizes',
      type: 'jpeg',
      bytes: Buffer.concat([jpeg(9, 9, { scan: false }), jpeg(9000, 9000).subarray(2)]),
      wanted,
    },
    {
      name: 'jpeg without a frame',
      type: 'jpeg',
      bytes: Buffer.concat([Buffer.from('ffd8', 'hex'), segment(0xda, Buffer.alloc(10))]),
      wanted,
    },
    { name: 'jpeg that ends at once', type: 'jpeg', bytes: Buffer.from('ffd8ffd9', 'hex'), wanted },
  ]
}

/** What would cost time or memory in a reader that believes lengths, unpacks notes or follows offsets. */
function bombs(): HostilePicture[] {
  const packed = deflateSync(Buffer.alloc(64 * 1024 * 1024))
  const named = Buffer.concat([Buffer.from('x\0\0'), packed])
  const longChunk = Buffer.from('7fffffff74455874', 'hex')
  // An IFD whose next IFD is itself.
  const exifLoop = Buffer.from('Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0', 'latin1')
  const tiny = Buffer.alloc(900_000, pngChunk('tEXt', Buffer.alloc(0)))
  return [
    { name: 'png with a zTXt bomb', type: 'png', bytes: pngOf(9, 9, [pngChunk('zTXt', named)]), wanted: 'passes' },
    { name: 'png with an iCCP bomb', type: 'png', bytes: pngOf(9, 9, [pngChunk('iCCP', named)]), wanted: 'passes' },
    {
      name: 'png with 50 bombs',
      type: 'png',
      bytes: pngOf(
        9,
        9,
        Array.from({ length: 50 }, () => pngChunk('iCCP', named)),
      ),
      wanted: 'bad_picture',
    },
    { name: 'png with 75,000 chunks', type: 'png', bytes: pngOf(9, 9, [tiny]), wanted: 'bad_picture' },
    { name: 'png with a chunk of 2 GiB', type: 'png', bytes: pngOf(9, 9, [longChunk]), wanted: 'bad_picture' },
    {
      name: 'png with a negative length',
      type: 'png',
      bytes: pngOf(9, 9, [Buffer.from('fffffff474455874', 'hex')]),
      wanted: 'bad_picture',
    },
    {
      name: 'jpeg with a loop in its EXIF',
      type: 'jpeg',
      bytes: jpeg(9, 9, { before: [segment(0xe1, exifLoop)] }),
      wanted: 'passes',
    },
    {
      name: 'jpeg of segments without length',
      type: 'jpeg',
      bytes: jpeg(9, 9, { before: [Buffer.alloc(9, Buffer.from('ffe10000', 'hex'))] }),
      wanted: 'bad_picture',
    },
    {
      name: 'jpeg of a million fill bytes',
      type: 'jpeg',
      bytes: jpeg(9, 9, { before: [Buffer.alloc(1_000_000, 0xff)] }),
      wanted: 'bad_picture',
    },
    {
      name: 'jpeg of restarts',
      type: 'jpeg',
      bytes: jpeg(9, 9, { before: [Buffer.alloc(900_000, Buffer.from('ffd0', 'hex'))] }),
      wanted: 'bad_picture',
    },
    {
      name: 'jpeg with notes of 2 MB',
      type: 'jpeg',
      bytes: jpeg(9, 9, { before: Array.from({ length: 32 }, () => segment(0xfe, Buffer.alloc(65_000))) }),
      wanted: 'bad_picture',
    },
    {
      name: 'webp with a chunk of 4 GiB',
      type: 'webp',
      bytes: webpOf([vp8x(9, 9, 0x20), Buffer.from('49434350ffffffff', 'hex'), Buffer.alloc(99)]),
      wanted: 'bad_picture',
    },
    {
      name: 'webp of empty chunks',
      type: 'webp',
      bytes: webpOf([vp8x(9, 9, 0), Buffer.alloc(800_000, Buffer.from('ABCD\0\0\0\0'))]),
      wanted: 'bad_picture',
    },
  ]
}

/** Also something else to another reader; pictures in all that matters here. */
function polyglots(): HostilePicture[] {
  const tails = ['PK\x03\x04', '%PDF-1.7', '<script>alert(1)</script>', 'GIF89a']
  const whole = { png: png(9, 9), jpeg: jpeg(9, 9), webp: webpLossy(9, 9) }
  const passes = Object.entries(whole).flatMap(([type, bytes]) =>
    tails.map(
      (tail) =>
        ({
          name: `${type} and ${tail}`,
          type,
          bytes: Buffer.concat([bytes, Buffer.from(tail)]),
          wanted: 'passes',
        }) as const,
    ),
  )
  const script = segment(0xfe, Buffer.from('*/=alert(1)/*'))
  return [
    ...passes,
    { name: 'jpeg with a script', type: 'jpeg', bytes: jpeg(9, 9, { before: [script] }), wanted: 'passes' },
    {
      name: 'gif and jpeg',
      type: 'jpeg',
      bytes: Buffer.concat([Buffer.from('GIF89a'), jpeg(9, 9)]),
      wanted: 'unsupported_picture',
    },
  ]
}
