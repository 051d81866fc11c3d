import { HearthError } from '../errors.ts'
import { type Mark, parseSpan, type Span, unsupportedContent } from './scan.ts'

const supportedTypes: ReadonlySet<unknown> = new Set([
  'text',
  'input_text',
  'output_text',
  'refusal',
  'thinking',
  'image_url',
  'input_image',
])
const pictureKeys: ReadonlySet<string> = new Set(['image_url', 'input_image'])
const inlined = 'data:image/'
/** The beginning of a url, also with each of its letters written as an escape. */
const prefixBytesMax = 1 + 6 * inlined.length
const quote = 0x22
const brace = 0x7b

/**
 * The url of each picture in the messages: the JSON string, quotes included. Throws `unsupported_content` for parts other
 * than texts and pictures, `remote_picture` for a url that the engine would have to fetch, `invalid_request` for a
 * picture that has no url or more than one.
 */
export function readPictures(bytes: Buffer, marks: readonly Mark[]): readonly Span[] {
  const pictures: Span[] = []
  for (const [index, mark] of marks.entries()) {
    if (mark.ofPart) checkPart(bytes, mark)
    if (pictureKeys.has(mark.name)) pictures.push(checkUrl(bytes, urlOf(bytes, marks, index, mark)))
  }
  return pictures
}

function checkPart(bytes: Buffer, { name, value }: Mark): void {
  if (unsupportedContent.has(name)) throw unsupported(name)
  if (name !== 'type') return
  const type = value.end - value.start > 64 ? '…' : parseSpan(bytes, value)
  if (!supportedTypes.has(type)) throw unsupported(typeof type === 'string' ? type : JSON.stringify(type))
}

/** The string that is the url: the value itself, or the one `url` in it. */
function urlOf(bytes: Buffer, marks: readonly Mark[], index: number, { name, depth, value }: Mark): Span {
  if (bytes[value.start] === quote) return value
  const urls: Span[] = []
  // What is inside a value was marked before it.
  for (let before = index - 1; before >= 0; before -= 1) {
    const inner = marks[before]
    if (inner === undefined || inner.value.start < value.start) break
    if (inner.name === 'url' && inner.depth === depth + 1) urls.push(inner.value)
  }
  const [url] = urls
  if (bytes[value.start] === brace && url !== undefined && urls.length === 1 && bytes[url.start] === quote) return url
  const message = `Each "${name}" in the messages wants one url: {"url":"data:image/png;base64,…"}.`
  throw new HearthError('invalid_request', { param: 'messages', message })
}

function checkUrl(bytes: Buffer, span: Span): Span {
  const text = bytes.toString('latin1', span.start + 1, Math.min(span.start + prefixBytesMax, span.end - 1))
  // Many encoders write `\/` for "/"; an engine reads both alike.
  const plain = text.replaceAll(/\\(?:u([0-9a-fA-F]{4})|\/)/g, (_whole: string, hex: string | undefined) =>
    hex === undefined ? '/' : String.fromCharCode(Number.parseInt(hex, 16)),
  )
  if (!plain.startsWith(inlined)) throw new HearthError('remote_picture', { param: 'messages' })
  return span
}

function unsupported(what: string): HearthError {
  const message = `Content of the type "${what.replaceAll(/[^ -~]/g, '?')}" is not read here; send parts of the type text or image_url.`
  return new HearthError('unsupported_content', { param: 'messages', message })
}
