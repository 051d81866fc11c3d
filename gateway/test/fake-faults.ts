import { gzipSync } from 'node:zlib'
import { type Dialect, errorText, type ScriptedCall } from './fake-dialects.ts'

/** The shapes of error bodies seen in the wild behind one status; `own` is the one of the dialect. */
export type ErrorBody = 'object' | 'string' | 'detail' | 'text' | 'html' | 'empty' | 'own'

/** Ways of an event stream to be odd (the first four are legal SSE) or broken. */
export type BadSse =
  | 'crlf'
  | 'comments'
  | 'fields'
  | 'multi-line-data'
  | 'not-json'
  | 'no-blank-line'
  | 'no-colon'
  | 'bad-utf8'
  | 'two-dones'
  | 'after-done'

/**
 * What the engine does with one request. Plain JSON, so that it travels to an engine in another process.
 * Left empty it answers as vLLM would; the parts combine (slow AND cut AND sliced).
 */
export interface Behaviour {
  /** The path it waits for. Default `/v1/chat/completions`. */
  on?: string
  /** How many requests it serves before the next one in the queue. Default 1. */
  times?: number

  /** The answer's tokens: so many, or these. Default as `max_tokens` says, at most 16. */
  tokens?: number | string[]
  /** Whose wire shapes it has. Default the engine's own, and that vLLM's. */
  dialect?: Dialect
  /** What it thinks before, in the dialect's field for that. */
  thoughts?: string[]
  /** The tool that it calls; left out, one that the request forces is called with `{}`. */
  call?: ScriptedCall
  /** `finish_reason` instead of vLLM's own. */
  finish?: string
  /** Tokens without end, one each `intervalMs` (default 10). Streams only. */
  forever?: boolean
  /** An error answer; a message only where the body has one. */
  error?: { status: number; body: ErrorBody; message?: string; headers?: [string, string][] }
  /** Hashes the request body without keeping it; the content is `{"bytes","sha256","dataUris"}`, or filler of `answerBytes`. */
  echo?: { answerBytes?: number; stream?: boolean }
  redirect?: { status: number; location: string }
  /** A stored capture, byte for byte (its date too). */
  capture?: string
  /** These bytes (one character one byte) instead of an answer, then FIN. */
  raw?: string

  headDelayMs?: number
  /** Between two events of a stream. */
  intervalMs?: number
  /** Cuts the body into writes of so many bytes: 1 splits every UTF-8 character and every event. */
  sliceBytes?: number

  /** Waits there until the client goes, or `release()`. */
  stall?: 'head' | 'end' | { afterEvents: number } | { atByte: number }
  /** Ends the connection there: bytes of the body, before chunk framing. */
  cut?: { how: 'rst' | 'fin'; at: 'head' | number }
  /** While the request body comes in; `answer` answers with the rest unread. */
  upload?: { atByte: number; how: 'rst' | 'fin' | 'stall' | 'answer' }
  /** As vLLM when its engine process dies: after so many events the error event, then `[DONE]`; not streamed: 500. */
  dies?: { afterEvents: number; exit?: boolean }
  /** A clean end of the stream without `data: [DONE]`. */
  noDone?: boolean
  badSse?: BadSse

  /** Neither length nor chunks: the end is the FIN. With the given HTTP version in the status line. */
  closeDelimited?: '1.0' | '1.1'
  /** Added to the true `content-length` of a plain answer; FIN after the body. */
  lengthOff?: number
  gzip?: boolean
  /** An extra response header of so many bytes. */
  hugeHeaderBytes?: number
  headers?: [string, string][]
}

const HTML = '<html>\r\n<head><title>Bad Gateway</title></head>\r\n<body><h1>Bad Gateway</h1></body>\r\n</html>\r\n'
const DONE = 'data: [DONE]\n\n'

/** Body and content type of a scripted error. */
export function errorBody(
  error: NonNullable<Behaviour['error']>,
  dialect: Dialect = 'vllm',
): { text: string; contentType: string | undefined } {
  const message = error.message ?? `scripted ${error.status}`
  switch (error.body) {
    case 'own':
      return { text: errorText(dialect, error.status, message), contentType: 'application/json' }
    case 'object': {
      const type = error.status >= 500 ? 'InternalServerError' : 'BadRequestError'
      return json({ error: { message, type, param: null, code: error.status } })
    }
    case 'string':
      return json({ error: message })
    case 'detail':
      return json({ detail: message })
    case 'text':
      return { text: message, contentType: 'text/plain; charset=utf-8' }
    case 'html':
      return { text: HTML, contentType: 'text/html' }
    case 'empty':
      return { text: '', contentType: undefined }
  }
}

/** The events of a stream as the behaviour spoils them; each item is one write. */
export function* spoil(events: Iterable<string>, behaviour: Behaviour, death: readonly string[]): Generator<Buffer> {
  let sent = 0
  for (const event of events) {
    if (behaviour.dies?.afterEvents === sent) {
      yield* death.map((event) => Buffer.from(event))
      return
    }
    if (event === DONE && behaviour.noDone) return
    yield behaviour.badSse === undefined ? Buffer.from(event) : badEvent(event, behaviour.badSse, sent)
    sent += 1
  }
}

/** A whole answer as one gzip body. */
export function gzipped(pieces: Iterable<Buffer>): Buffer {
  return gzipSync(Buffer.concat([...pieces]))
}

/** So many bytes of printable ASCII, the same on every call: what an echo with `answerBytes` answers. */
export function fillerText(bytes: number): string {
  const lines: string[] = []
  for (let made = 0; made < bytes; made += 16) lines.push(`filler ${made.toString(36).padStart(8, '0')} `)
  return lines.join('').slice(0, bytes)
}

function json(value: unknown): { text: string; contentType: string } {
  return { text: JSON.stringify(value), contentType: 'application/json' }
}

function badEvent(event: string, kind: BadSse, index: number): Buffer {
  const data = event.slice('data: '.length, -2)
  const late = index === 2 && event !== DONE
  switch (kind) {
    case 'crlf':
      return Buffer.from(`data: ${data}\r\n\r\n`)
    case 'comments':
      return Buffer.from(`: ping ${index}\n\n:\n${event}`)
    case 'fields':
      return Buffer.from(`id: ${index}\nevent: message\nretry: 3000\ndata:${data}\n\n`)
    case 'multi-line-data':
      return Buffer.from(event === DONE ? event : `data: ${data.slice(0, 1)}\ndata: ${data.slice(1)}\n\n`)
    case 'not-json':
      return Buffer.from(late ? 'data: {"id":"chatcmpl-broken","choices":[{"ind\n\n' : event)
    case 'no-blank-line':
      return Buffer.from(event.slice(0, -1))
    case 'no-colon':
      return Buffer.from(late ? `data ${data}\n\n` : event)
    case 'bad-utf8':
      return late ? Buffer.from(event.replace('"content":"', '"content":"\xff\xc3('), 'latin1') : Buffer.from(event)
    case 'two-dones':
      return Buffer.from(event === DONE ? DONE + DONE : event)
    case 'after-done':
      return Buffer.from(event === DONE ? `${DONE}data: {"late":true}\n\n` : event)
  }
}
