/** What the raw client writes and reads, as bytes and back; no connection here. */
export interface RawRequest {
  /** Default GET, or POST with a body. */
  method?: string
  path: string
  headers?: Record<string, string>
  /** An object is sent as JSON. */
  body?: string | Buffer | object
}

export interface ResponseHead {
  readonly version: string
  readonly status: number
  readonly reason: string
  /** Names as sent, in the order sent. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** First value of a name, in any case. */
  header(name: string): string | undefined
  readonly atMs: number
}

/** One event of a stream. `data` joins its data lines; a comment-only event has none. */
export interface SseEvent {
  readonly text: string
  readonly data: string | undefined
  readonly comment: string | undefined
  readonly event: string | undefined
  readonly atMs: number
}

const BLANK_LINE = /\r\n\r\n|\n\n|\r\r/

/** The head of a request with `host`, the body's length and type, and what else is given (which wins). */
export function requestHead(request: RawRequest): string {
  const body = bodyBytes(request.body)
  const headers: Record<string, string> = { host: 'engine.test' }
  if (request.body !== undefined) headers['content-length'] = String(body.length)
  if (typeof request.body === 'object' && !Buffer.isBuffer(request.body)) headers['content-type'] = 'application/json'
  const lines = Object.entries({ ...headers, ...request.headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const method = request.method ?? (request.body === undefined ? 'GET' : 'POST')
  return `${method} ${request.path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

export function bodyBytes(body: RawRequest['body']): Buffer {
  if (body === undefined) return Buffer.alloc(0)
  if (Buffer.isBuffer(body)) return body
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
}

/** Reads a status line and headers; throws where the status line is none. */
export function parseHead(text: string, atMs: number): ResponseHead {
  const [first = '', ...lines] = text.split('\r\n').filter((line) => line !== '')
  const status = /^HTTP\/(\d\.\d) (\d{3}) ?(.*)$/.exec(first)
  if (status === null) throw new Error(`the status line is ${JSON.stringify(first)}; wanted HTTP/1.x and three digits`)
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  const header = (name: string): string | undefined =>
    headers.find(([known]) => known.toLowerCase() === name.toLowerCase())?.[1]
  return { version: status[1] ?? '', status: Number(status[2]), reason: status[3] ?? '', headers, header, atMs }
}

/** Where the first event ends. */
export function blankLine(bytes: Buffer): { at: number; length: number } | undefined {
  const found = BLANK_LINE.exec(bytes.toString('latin1'))
  return found === null ? undefined : { at: found.index, length: found[0].length }
}

/** Reads the fields of one event. */
export function parseEvent(text: string, atMs: number): SseEvent {
  const lines = text.split(/\r\n|\n|\r/)
  const valuesOf = (field: string): string | undefined => {
    const values = lines.filter((line) => line.startsWith(`${field}:`)).map((line) => line.slice(field.length + 1))
    return values.length === 0 ? undefined : values.map((value) => value.replace(/^ /, '')).join('\n')
  }
  return { text, data: valuesOf('data'), comment: valuesOf(''), event: valuesOf('event'), atMs }
}
