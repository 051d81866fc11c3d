import { HearthError } from '../errors.ts'
import { nameOf, type Path } from './refusals.ts'

/** The beginning of a picture's url, of which vision/ reads the rest. */
const inlined = 'data:image/'
/** As long as it gets with each of its letters written as an escape. */
const prefixBytesMax = 6 * inlined.length

/**
 * Checks that the JSON string at `start` is the url of a picture that is in itself. Throws `remote_picture` for one that
 * an engine would have to fetch.
 */
export function checkPictureUrl(bytes: Buffer, start: number, end: number, path: Path): void {
  const text = bytes.toString('latin1', start + 1, Math.min(start + 1 + prefixBytesMax, end - 1))
  // Many encoders write `\/` for "/"; an engine reads both alike.
  const plain = text.replaceAll(/\\(?:u([0-9a-fA-F]{4})|\/)/g, (_whole: string, hex: string | undefined) =>
    hex === undefined ? '/' : String.fromCharCode(Number.parseInt(hex, 16)),
  )
  if (!plain.startsWith(inlined)) throw new HearthError('remote_picture', { param: nameOf(path) })
}
