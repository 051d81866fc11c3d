import type { Span } from '../body/scan.ts'
import { HearthError } from '../errors.ts'
import { Base64Text, piecesOf } from './base64-text.ts'
import { type PictureKind, type Sniffed, sniff } from './sniff.ts'

/** What a picture says about itself; `bytes` is its decoded length. */
export interface PictureFacts {
  readonly kind: PictureKind
  readonly width: number
  readonly height: number
  readonly bytes: number
}

type Whole = Exclude<Sniffed, { readonly verdict: 'cut' }>

export const picturesMax = 8
export const pictureBytesMax = 20 * 1024 * 1024
export const pictureSideMax = 8192
export const picturePixelsMax = 25_000_000
/** How much of a picture is decoded to find its size: mostly the first is enough, large colour profiles want the second. */
const headerBytes = [64 * 1024, 1024 * 1024] as const
const wanted = 'wants "data:image/png;base64,…", or jpeg or webp in its place'
const quote = 0x22

/**
 * Holds the pictures of a body to the limits, by their headers alone; no picture is decoded. Pauses by `yield` every
 * 64 KiB, for whoever has other work. `urls` are the JSON strings of the pictures with their quotes. Throws
 * `too_many_pictures`, `unsupported_picture`, `bad_picture` or `picture_too_large`, naming the picture, what was found
 * and what is wanted.
 */
export function* checkPictures(body: Buffer, urls: readonly Span[]): Generator<undefined, PictureFacts[]> {
  if (urls.length > picturesMax)
    throw new HearthError('too_many_pictures', {
      param: 'messages',
      message: `The request holds ${urls.length} pictures; wants at most ${picturesMax}.`,
    })
  const facts: PictureFacts[] = []
  for (const [index, url] of urls.entries()) {
    const check = new Check(`Picture ${index + 1} of ${urls.length}`)
    facts.push(yield* check.run(body, url))
  }
  return facts
}

/** The check of one picture; `name` is what messages call it. */
class Check {
  readonly #name: string

  constructor(name: string) {
    this.#name = name
  }

  *run(body: Buffer, url: Span): Generator<undefined, PictureFacts> {
    if (url.end - url.start < 2 || body[url.start] !== quote || body[url.end - 1] !== quote)
      throw this.#error('unsupported_picture', `is no string; ${wanted}`)
    const pieces = piecesOf(body, url)
    // Longer than any prefix, however it is escaped.
    const { kind, rest } = this.#readPrefix(this.#next(pieces) ?? Buffer.alloc(0))
    const data = new Base64Text(headerBytes[1], pictureBytesMax)
    for (let piece: Buffer | undefined = rest; piece !== undefined; piece = this.#next(pieces)) {
      data.take(piece)
      yield
    }
    const bytes = this.#countBytes(data)
    if (!data.isBase64()) throw this.#notBase64()
    return this.#checkHeader(this.#sniff(data, bytes), kind, bytes)
  }

  #next(pieces: Iterator<Buffer, void>): Buffer | undefined {
    try {
      return pieces.next().value ?? undefined
    } catch (cause) {
      throw new HearthError('bad_picture', { message: `${this.#name} is no JSON string.`, param: 'image_url', cause })
    }
  }

  #readPrefix(text: Buffer): { readonly kind: PictureKind; readonly rest: Buffer } {
    const head = text.toString('latin1', 0, 32)
    const found = /^data:image\/(png|jpeg|jpg|webp);base64,/.exec(head)
    if (found === null) throw this.#error('unsupported_picture', `begins with ${shown(head)}; ${wanted}`)
    const kind = found[1] === 'png' || found[1] === 'webp' ? found[1] : 'jpeg'
    return { kind, rest: text.subarray(found[0].length) }
  }

  #countBytes({ chars, bytes }: Base64Text): number {
    if (chars === 0) throw this.#error('bad_picture', 'is empty')
    if (chars % 4 !== 0)
      throw this.#error('bad_picture', `has ${chars} characters of base64; wants a multiple of 4, padded with "="`)
    if (bytes > pictureBytesMax)
      throw this.#error('picture_too_large', `is ${bytes} bytes long; wants at most ${pictureBytesMax}`)
    return bytes
  }

  #notBase64(): HearthError {
    return this.#error('bad_picture', 'is no base64; wants A–Z, a–z, 0–9, "+" and "/" without white space')
  }

  #sniff(data: Base64Text, bytes: number): Whole {
    for (const most of headerBytes) {
      const sniffed = sniff(data.decodeHead(most))
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
