import type { ModelNames } from './shaper.ts'

/** What the body of an error says. */
export interface EngineWords {
  readonly message: string
  readonly param: string | undefined
  /** The status in the body itself, or the one that its type means: all there is of an error inside of a stream. */
  readonly status: number | undefined
  /** Whether it says that the conversation is too long, by a code of its own or in words. */
  readonly tooLong: boolean
}

const messageCharsMax = 2048

/** How engines say that the conversation is too long; the wording differs between their versions. */
const contextWords =
  /maximum context length|exceeds the context window|(exceeds? the|longer than the) (available|maximum|model's).{0,80}?(context|length)|^Input length/i

const tooLongCodes: ReadonlySet<string> = new Set(['context_length_exceeded', 'exceed_context_size_error'])

/** What belongs to the inside: addresses, names of the home, places in a program. No caller needs them. */
const inner =
  /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])|::[\da-f]|\.(?:ts\.net|local|internal|svc)\b|Traceback|\bFile "|\bat \/|\/site-packages\/|node_modules/i
/** The name of a field, as engines write it. */
const paramName = /^[\w.[\]-]{1,128}$/

/** Longest place and longest message of one problem in pydantic's list. */
const placeCharsMax = 600
const problemCharsMax = 1000
/** What pydantic prints behind each message, the input among it, and its line of advertisement. */
const typeMark = ' [type='
const adviceMark = 'For further information visit'

/** Bytes as Python prints them: the begin of a picture, in most messages that have some. */
const printedBytes = /\bb'(?:[^'\\]|\\.){32,}'?/g

/** Words by which engines name what an HTTP status would, where they give no number. */
const statusByType: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  exceed_context_size_error: 400,
  BadRequestError: 400,
  authentication_error: 401,
  permission_error: 403,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  unavailable_error: 503,
}

/** Whether a text names something of the inside. */
export function isInner(text: string): boolean {
  return inner.test(text)
}

/** The words of an error body: OpenAI's object, vLLM's `{"error":"text"}`, FastAPI's `{"detail":…}`, SGLang's bare one. */
export function readWords(body: Buffer): EngineWords | undefined {
  let document: unknown
  try {
    document = JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
  const error = field(document, 'error') ?? field(document, 'detail') ?? document
  const message = typeof error === 'string' ? error : (field(error, 'message') ?? joinDetails(error))
  const param = field(error, 'param')
  if (typeof message !== 'string') return undefined
  return {
    message,
    param: typeof param === 'string' && paramName.test(param) ? param : undefined,
    status: statusOf(error),
    tooLong:
      contextWords.test(message) ||
      tooLongCodes.has(word(field(error, 'code'))) ||
      tooLongCodes.has(word(field(error, 'type'))),
  }
}

function statusOf(error: unknown): number | undefined {
  const code = field(error, 'code')
  if (typeof code === 'number' && Number.isInteger(code) && code >= 400 && code <= 599) return code
  for (const word of [code, field(error, 'type')])
    if (typeof word === 'string' && Object.hasOwn(statusByType, word)) return statusByType[word]
  return undefined
}

/** FastAPI's list of what is wrong, without the values it echoes. */
function joinDetails(detail: unknown): string | undefined {
  if (!Array.isArray(detail) || detail.length === 0) return undefined
  return detail
    .map((item) => `${[field(item, 'loc')].flat().map(word).join('.')}: ${word(field(item, 'msg'))}`)
    .join('; ')
}

/** A text or a number; what is neither could be nested without end, or bring its own way to become a text. */
function word(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '…'
}

function field(value: unknown, key: string): unknown {
  return value !== null && typeof value === 'object' ? Reflect.get(value, key) : undefined
}

/**
 * Without what engines echo of the request (inputs that did not validate, prompts given to a processor, long runs of
 * base64), without the salt that the gateway put into the body, and with the public name of the model.
 */
export function tidy(message: string, names?: ModelNames): string {
  const text = withoutInputs(message)
    .replace(printedBytes, '…')
    .replace(/[A-Za-z0-9+/=_-]+/g, (run) => (run.length < 200 ? run : '…'))
    .replace(/\b[0-9a-f]{64}\b/g, '…')
  const named = names === undefined || names.served === names.model ? text : text.replaceAll(names.served, names.model)
  return named.slice(0, messageCharsMax)
}

function withoutInputs(message: string): string {
  const input = message.indexOf("'input': ")
  if (input >= 0) {
    const problems = listedProblems(message)
    return problems.length > 0 ? [...new Set(problems)].join('; ') : message.slice(0, input)
  }
  if (message.includes('input_value=')) return message.split('\n').flatMap(printedProblem).join('\n')
  const data = message.indexOf(' on data=')
  return data < 0 ? message : message.slice(0, data)
}

/** Place and message of each item of pydantic's list as Python prints it; the input comes behind them. */
function listedProblems(message: string): string[] {
  const problems: string[] = []
  for (let at = message.indexOf("'loc': "); at >= 0; at = message.indexOf("'loc': ", at + 1)) {
    const item = message.slice(at, at + placeCharsMax + problemCharsMax)
    const behind = item.indexOf("'msg': ")
    if (behind < 0 || behind > placeCharsMax) continue
    const text = quoted(item, behind + "'msg': ".length)
    problems.push(`${place(item.slice("'loc': ".length, behind))}: ${text}`)
    at += behind + text.length
  }
  return problems
}

/** The text in quotes of either kind that begins at `start`. */
function quoted(text: string, start: number): string {
  const quote = text[start]
  let end = start + 1
  while (end < text.length && text[end] !== quote) end += text[end] === '\\' ? 2 : 1
  return text.slice(start + 1, end)
}

/** `('body', 'messages', 0), ` and `'body.messages.0', ` alike. */
function place(loc: string): string {
  const parts = loc.replaceAll(/[()' ]/g, '').split(',')
  return parts.filter((part) => part !== '').join('.')
}

function printedProblem(line: string): string[] {
  if (line.trimStart().startsWith(adviceMark)) return []
  const end = line.indexOf(typeMark)
  return [end < 0 ? line : line.slice(0, end)]
}
