import { crc32 } from 'node:zlib'

/** Pictures of any size that are whole in their headers and have next to no pixels; for tests. */

const pngMagic = Buffer.from('89504e470d0a1a0a', 'hex')

export function pngChunk(name: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(name, 'latin1'), data])
  return Buffer.concat([word(data.length), named, word(crc32(named))])
}

export function pngHeader(width: number, height: number): Buffer {
  return pngChunk('IHDR', Buffer.concat([word(width), word(height), Buffer.from([8, 2, 0, 0, 0])]))
}

/** A PNG with chunks between its header and its data. */
export function pngOf(width: number, height: number, between: readonly Buffer[] = [], data = true): Buffer {
  const rest = data
    ? [pngChunk('IDAT', Buffer.from('789c03000000000001', 'hex')), pngChunk('IEND', Buffer.alloc(0))]
    : []
  return Buffer.concat([pngMagic, pngHeader(width, height), ...between, ...rest])
}

export function png(width: number, height: number): Buffer {
  return pngOf(width, height)
}

export function segment(marker: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 0xff]), data])
}

export interface JpegParts {
  /** The marker of the frame header; 0xc2 is progressive. */
  readonly frame?: number
  readonly before?: readonly Buffer[]
  readonly scan?: boolean
}

export function jpeg(
  width: number,
  height: number,
  { frame = 0xc0, before = [], scan = true }: JpegParts = {},
): Buffer {
  const size = [8, height >> 8, height & 0xff, width >> 8, width & 0xff, 3]
  return Buffer.concat([
    Buffer.from('ffd8', 'hex'),
    segment(0xe0, Buffer.from('JFIF\0\x01\x01\0\0\x01\0\x01\0\0', 'latin1')),
    ...before,
    segment(frame, Buffer.from([...size, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1])),
    segment(0xc4, Buffer.alloc(17)),
    scan ? segment(0xda, Buffer.from([3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0])) : Buffer.alloc(0),
    scan ? Buffer.from('0123ffd9', 'hex') : Buffer.alloc(0),
  ])
}

export function webpChunk(name: string, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from(name, 'latin1'), word(data.length).reverse(), data, Buffer.alloc(data.length % 2)])
}

export function webpOf(chunks: readonly Buffer[]): Buffer {
  const data = Buffer.concat([Buffer.from('WEBP'), ...chunks])
  return Buffer.concat([Buffer.from('RIFF'), word(data.length).reverse(), data])
}

export function vp8(width: number, height: number): Buffer {
  const data = Buffer.from('300100' + '9d012a' + '00000000' + '0123456789ab', 'hex')
  data.writeUInt16LE(width, 6)
  data.writeUInt16LE(height, 8)
  return webpChunk('VP8 ', data)
}

export function vp8l(width: number, height: number): Buffer {
  const data = Buffer.alloc(15, 0x2f)
  data.writeUInt32LE((width - 1) | ((height - 1) << 14), 1)
  return webpChunk('VP8L', data)
}

export function vp8x(width: number, height: number, flags: number): Buffer {
  const data = Buffer.alloc(10)
  data.writeUInt8(flags, 0)
  data.writeUIntLE(width - 1, 4, 3)
  data.writeUIntLE(height - 1, 7, 3)
  return webpChunk('VP8X', data)
}

export function webpLossy(width: number, height: number): Buffer {
  return webpOf([vp8(width, height)])
}

export function webpLossless(width: number, height: number): Buffer {
  return webpOf([vp8l(width, height)])
}

/** With a colour profile before its data and a note behind it. */
export function webpExtended(width: number, height: number): Buffer {
  const chunks = [webpChunk('ICCP', Buffer.alloc(77)), vp8(width, height), webpChunk('EXIF', Buffer.alloc(9))]
  return webpOf([vp8x(width, height, 0x28), ...chunks])
}

/** Two frames; without the flag, VP8X denies it. */
export function webpAnimated(width: number, height: number, flag = true): Buffer {
  const frame = webpChunk('ANMF', Buffer.concat([Buffer.alloc(16), vp8(width, height)]))
  return webpOf([vp8x(width, height, flag ? 2 : 0), webpChunk('ANIM', Buffer.alloc(6)), frame, frame])
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
