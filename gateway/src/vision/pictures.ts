import type { Span } from '../body/scan.ts'
import { HearthError } from '../errors.ts'
import { type PictureKind, type Sniffed, sniff } from './sniff.ts'

/** What a picture says about itself; `bytes` is its decoded length. */
export interface PictureFacts {
  readonly kind: PictureKind
  readonly width: number
  readonly height: number
  readonly bytes: number
}

/** Base64 text inside of a buffer. */
interface Base64 {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
}

type Whole = Exclude<Sniffed, { readonly verdict: 'cut' }>

export const picturesMax = 8
export const pictureBytesMax = 20 * 1024 * 1024
export const pictureSideMax = 8192
export const picturePixelsMax = 25_000_000
/** How much of a picture is decoded to find its size: mostly the first is enough, large colour profiles want the second. */
const headerBytes = [64 * 1024, 1024 * 1024] as const
/** Base64 characters per step of the alphabet's check; a multiple of 4. */
const stepChars = 64 * 1024
const wanted = 'wants "data:image/png;base64,…", or jpeg or webp in its place'
const quote = 0x22
const backslash = 0x5c
const padding = 0x3d

/**
 * Holds the pictures of a body to the limits, by their headers alone; no picture is decoded. `urls` are the JSON strings
 * of the pictures with their quotes. Throws `too_many_pictures`, `unsupported_picture`, `bad_picture` or
 * `picture_too_large`, naming the picture, what was found and what is wanted.
 */
export function checkPictures(body: Buffer, urls: readonly Span[]): PictureFacts[] {
  if (urls.length > picturesMax)
    throw new HearthError('too_many_pictures', {
      param: 'messages',
      message: `The request holds ${urls.length} pictures; wants at most ${picturesMax}.`,
    })
  return urls.map((url, index) => new Check(`Picture ${index + 1} of ${urls.length}`).run(body, url))
}

/** The check of one picture; `name` is what messages call it. */
class Check {
  readonly #name: string

  constructor(name: string) {
    this.#name = name
  }

  run(body: Buffer, url: Span): PictureFacts {
    const text = this.#readString(body, url)
    const { kind, data } = this.#readPrefix(text)
    const bytes = this.#countBytes(data)
    this.#checkAlphabet(data)
    return this.#checkHeader(this.#sniff(data, bytes), kind, bytes)
  }

  /** The characters of a JSON string. Many encoders write `\/` for "/" and `\u002B` for "+", so escapes are undone. */
  #readString(body: Buffer, { start, end }: Span): Base64 {
    if (end - start < 2 || body[start] !== quote || body[end - 1] !== quote)
      throw this.#error('unsupported_picture', `is no string; ${wanted}`)
    if (!body.subarray(start, end).includes(backslash)) return { buffer: body, start: start + 1, end: end - 1 }
    const buffer = Buffer.from(this.#parse(body.toString('utf8', start, end)))
    return { buffer, start: 0, end: buffer.length }
  }

  #parse(json: string): string {
    try {
      return String(JSON.parse(json))
    } catch (cause) {
      throw new HearthError('bad_picture', { message: `${this.#name} is no JSON string.`, param: 'image_url', cause })
    }
  }

  #readPrefix({ buffer, start, end }: Base64): { readonly kind: PictureKind; readonly data: Base64 } {
    const head = buffer.toString('latin1', start, Math.min(end, start + 32))
    const found = /^data:image\/(png|jpeg|jpg|webp);base64,/.exec(head)
    if (found === null) throw this.#error('unsupported_picture', `begins with ${shown(head)}; ${wanted}`)
    const kind = found[1] === 'png' || found[1] === 'webp' ? found[1] : 'jpeg'
    return { kind, data: { buffer, start: start + found[0].length, end } }
  }

  /** The decoded length, by length and padding alone. */
  #countBytes({ buffer, start, end }: Base64): number {
    const length = end - start
    if (length === 0) throw this.#error('bad_picture', 'is empty')
    if (length % 4 !== 0)
      throw this.#error('bad_picture', `has ${length} characters of base64; wants a multiple of 4, padded with "="`)
    const pads = buffer[end - 1] !== padding ? 0 : buffer[end - 2] !== padding ? 1 : 2
    const bytes = (length / 4) * 3 - pads
    if (bytes > pictureBytesMax)
      throw this.#error('picture_too_large', `is ${bytes} bytes long; wants at most ${pictureBytesMax}`)
    return bytes
  }

  /** Decodes in steps into one small buffer: the native decoder leaves out what is no base64, so the count tells. */
  #checkAlphabet({ buffer, start, end }: Base64): void {
    const last = end - 4
    const scratch = Buffer.allocUnsafe((stepChars / 4) * 3)
    for (let at = start; at < last; at += stepChars) {
      const stop = Math.min(at + stepChars, last)
      if (scratch.write(buffer.toString('latin1', at, stop), 'base64') !== ((stop - at) / 4) * 3)
        throw this.#notBase64()
    }
    if (!/^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$/.test(buffer.toString('latin1', last, end)))
      throw this.#notBase64()
    // The native decoder also takes the alphabet for URLs, which engines do not.
    const data = buffer.subarray(start, end)
    if (data.includes('-') || data.includes('_')) throw this.#notBase64()
  }

  #notBase64(): HearthError {
    return this.#error('bad_picture', 'is no base64; wants A–Z, a–z, 0–9, "+" and "/" without white space')
  }

  #sniff({ buffer, start, end }: Base64, bytes: number): Whole {
    for (const most of headerBytes) {
      const stop = Math.min(end, start + Math.ceil(most / 3) * 4)
      const sniffed = sniff(Buffer.from(buffer.toString('latin1', start, stop), 'base64'))
      if (sniffed.verdict !== 'cut') return sniffed
      if (bytes <= most) throw this.#error('bad_picture', `ends after ${bytes} bytes, before its data`)
    }
    throw this.#error('bad_picture', `has a header of more than ${headerBytes[1]} bytes`)
  }

  #checkHeader(sniffed: Whole, declared: PictureKind, bytes: number): PictureFacts {
    if (sniffed.verdict === 'unknown')
      throw this.#error('unsupported_picture', `is declared as image/${declared}, but is neither PNG nor JPEG nor WebP`)
    const { kind } = sniffed
    if (kind !== declared)
      throw this.#error('bad_picture', `is declared as image/${declared}, but its bytes are image/${kind}`)
    if (sniffed.verdict === 'broken') throw this.#error('bad_picture', `is no whole ${kind}: it ${sniffed.reason}`)
    const { width, height, frames } = sniffed
    if (frames > 1) throw this.#error('unsupported_picture', 'has more than one frame; wants a still picture')
    if (width > pictureSideMax || height > pictureSideMax || width * height > picturePixelsMax)
      throw this.#error(
        'picture_too_large',
        `is ${width}×${height} pixels; wants sides of at most ${pictureSideMax} and at most ${picturePixelsMax} in all`,
      )
    return { kind, width, height, bytes }
  }

  #error(code: 'unsupported_picture' | 'bad_picture' | 'picture_too_large', what: string): HearthError {
    return new HearthError(code, { param: 'image_url', message: `${this.#name} ${what}.` })
  }
}

/** The beginning of a URL (at most 32 characters) for a message; nothing of the data behind the comma. */
function shown(head: string): string {
  return JSON.stringify(head.replace(/[^\x20-\x7e]/g, '?').replace(/,.*/, ','))
}
