export type PictureKind = 'png' | 'jpeg' | 'webp'

/** What the first bytes of a picture say about it. `cut`: its header goes on where the bytes given end. */
export type Sniffed =
  | {
      readonly verdict: 'picture'
      readonly kind: PictureKind
      readonly width: number
      readonly height: number
      readonly frames: number
    }
  | { readonly verdict: 'cut'; readonly kind: PictureKind }
  | { readonly verdict: 'broken'; readonly kind: PictureKind; readonly reason: string }
  | { readonly verdict: 'unknown' }

/** Chunks, segments and fill bytes walked per picture; the largest colour profile of a JPEG takes 255 segments. */
const stepsMax = 4096
const unknown: Sniffed = { verdict: 'unknown' }
const pngMagic = Buffer.from('89504e470d0a1a0a', 'hex')
/** Bit depths that PNG allows, by colour type. */
const pngDepths = new Map([
  [0, [1, 2, 4, 8, 16]],
  [2, [8, 16]],
  [3, [1, 2, 4, 8]],
  [4, [8, 16]],
  [6, [8, 16]],
])

/**
 * Reads kind, size and number of frames of a PNG, JPEG or WebP from its headers. Nothing is decoded, never throws, and
 * what comes behind the headers changes nothing. `frames` is 2 or more for what moves, whatever it says about itself.
 */
export function sniff(bytes: Buffer): Sniffed {
  if (startsWith(bytes, 0, pngMagic)) return sniffPng(bytes)
  if (bytes.length >= 3 && bytes.readUIntBE(0, 3) === 0xffd8ff) return sniffJpeg(bytes)
  if (bytes.length >= 12 && tag(bytes, 0) === 'RIFF' && tag(bytes, 8) === 'WEBP') return sniffWebp(bytes)
  return unknown
}

function sniffPng(bytes: Buffer): Sniffed {
  const kind = 'png'
  if (bytes.length < 33) return cut(kind)
  if (bytes.readUInt32BE(8) !== 13 || tag(bytes, 12) !== 'IHDR') return broken(kind, 'does not begin with IHDR')
  const width = bytes.readUInt32BE(16)
  const height = bytes.readUInt32BE(20)
  const depth = bytes.readUInt8(24)
  if (pngDepths.get(bytes.readUInt8(25))?.includes(depth) !== true) return broken(kind, 'has no such colour type')
  if (bytes.readUInt16BE(26) !== 0 || bytes.readUInt8(28) > 1) return broken(kind, 'is packed in no known way')
  let frames = 1
  let at = 33
  for (let step = 0; step < stepsMax; step += 1) {
    if (at + 8 > bytes.length) return cut(kind)
    const length = bytes.readUInt32BE(at)
    const name = tag(bytes, at + 4)
    if (length > 0x7fffffff || !/^[A-Za-z]{4}$/.test(name)) return broken(kind, `has a broken chunk at byte ${at}`)
    if (name === 'IDAT') return picture(kind, width, height, frames)
    if (name === 'IHDR' || name === 'IEND') return broken(kind, `has ${name} before its data`)
    if (name === 'acTL') {
      if (at + 12 > bytes.length) return cut(kind)
      frames = Math.max(2, bytes.readUInt32BE(at + 8))
    }
    at += 12 + length
  }
  return broken(kind, `has more than ${stepsMax} chunks before its data`)
}

/**
 * Walks to the start of the scan, not only to the frame: a second frame header with another size would be the one that
 * some decoders believe. A second picture behind the end (phones do that) is not looked at; decoders read the first.
 */
function sniffJpeg(bytes: Buffer): Sniffed {
  const kind = 'jpeg'
  let frame: { readonly width: number; readonly height: number } | undefined
  let at = 2
  for (let step = 0; step < stepsMax; step += 1) {
    if (at + 2 > bytes.length) return cut(kind)
    if (bytes.readUInt8(at) !== 0xff) return broken(kind, `has no marker at byte ${at}`)
    const marker = bytes.readUInt8(at + 1)
    at += marker === 0xff ? 1 : 2
    if (marker === 0xff || standsAlone(marker)) continue
    if (marker < 0xc0 || marker === 0xd8 || marker === 0xd9)
      return broken(kind, `has a marker out of place at byte ${at - 2}`)
    if (marker === 0xda)
      return frame === undefined ? broken(kind, 'has no frame header') : picture(kind, frame.width, frame.height, 1)
    if (at + 2 > bytes.length) return cut(kind)
    const length = bytes.readUInt16BE(at)
    if (length < 2) return broken(kind, `has a segment of ${length} bytes at byte ${at - 2}`)
    if (isFrame(marker)) {
      if (frame !== undefined) return broken(kind, 'has two frame headers')
      if (at + 8 > bytes.length) return cut(kind)
      if (length !== 8 + 3 * bytes.readUInt8(at + 7) || length < 11) return broken(kind, 'has a broken frame header')
      frame = { height: bytes.readUInt16BE(at + 3), width: bytes.readUInt16BE(at + 5) }
    }
    at += length
  }
  return broken(kind, `has more than ${stepsMax} segments before its data`)
}

/** TEM and RST0–RST7 have no length. */
function standsAlone(marker: number): boolean {
  return marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)
}

/** SOF0–SOF15; DHT, JPG and DAC stand among them. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
}

function sniffWebp(bytes: Buffer): Sniffed {
  const kind = 'webp'
  if (bytes.length < 20) return cut(kind)
  if (tag(bytes, 12) !== 'VP8X') return sniffWebpData(bytes, 12)
  if (bytes.length < 30) return cut(kind)
  if (bytes.readUInt32LE(16) !== 10) return broken(kind, 'has a broken VP8X chunk')
  const width = bytes.readUIntLE(24, 3) + 1
  const height = bytes.readUIntLE(27, 3) + 1
  if ((bytes.readUInt8(20) & 0x02) !== 0) return picture(kind, width, height, 2)
  let at = 30
  for (let step = 0; step < stepsMax; step += 1) {
    if (at + 8 > bytes.length) return cut(kind)
    const name = tag(bytes, at)
    if (name === 'ANIM' || name === 'ANMF') return picture(kind, width, height, 2)
    // Behind the alpha plane, which can be of any length, decoders themselves hold the data to the canvas.
    if (name === 'ALPH') return picture(kind, width, height, 1)
    if (name === 'VP8 ' || name === 'VP8L') return onCanvas(sniffWebpData(bytes, at), width, height)
    const length = bytes.readUInt32LE(at + 4)
    at += 8 + length + (length % 2)
  }
  return broken(kind, `has more than ${stepsMax} chunks before its data`)
}

/** Reads the size out of the chunk `VP8 ` or `VP8L` at `at`. */
function sniffWebpData(bytes: Buffer, at: number): Sniffed {
  const kind = 'webp'
  const name = tag(bytes, at)
  if (name !== 'VP8 ' && name !== 'VP8L') return broken(kind, 'begins with an unknown chunk')
  const headerEnd = at + (name === 'VP8L' ? 13 : 18)
  if (bytes.readUInt32LE(at + 4) < headerEnd - at - 8)
    return broken(kind, `has a ${name.trim()} chunk without a header`)
  if (headerEnd > bytes.length) return cut(kind)
  if (name === 'VP8L') {
    const bits = bytes.readUInt32LE(at + 9)
    if (bytes.readUInt8(at + 8) !== 0x2f || bits >>> 29 !== 0) return broken(kind, 'has a broken VP8L header')
    return picture(kind, (bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1, 1)
  }
  if ((bytes.readUInt8(at + 8) & 1) !== 0 || bytes.readUIntBE(at + 11, 3) !== 0x9d012a)
    return broken(kind, 'has a broken VP8 header')
  return picture(kind, bytes.readUInt16LE(at + 14) & 0x3fff, bytes.readUInt16LE(at + 16) & 0x3fff, 1)
}

function onCanvas(data: Sniffed, width: number, height: number): Sniffed {
  if (data.verdict !== 'picture' || (data.width === width && data.height === height)) return data
  return broken(data.kind, 'names two different sizes')
}

function picture(kind: PictureKind, width: number, height: number, frames: number): Sniffed {
  if (width === 0 || height === 0) return broken(kind, `says it is ${width}×${height} pixels`)
  return { verdict: 'picture', kind, width, height, frames }
}

function cut(kind: PictureKind): Sniffed {
  return { verdict: 'cut', kind }
}

function broken(kind: PictureKind, reason: string): Sniffed {
  return { verdict: 'broken', kind, reason }
}

function tag(bytes: Buffer, at: number): string {
  return bytes.toString('latin1', at, at + 4)
}

function startsWith(bytes: Buffer, at: number, wanted: Buffer): boolean {
  return bytes.length >= at + wanted.length && bytes.compare(wanted, 0, wanted.length, at, at + wanted.length) === 0
}
