import { readdir, readFile } from 'node:fs/promises'

/** One answer of a real vLLM 0.32.0, as it came over the wire (chunk framing already taken off). */
export interface Capture {
  /** `METHOD /path`, empty where only the answer was kept. */
  readonly requestLine: string
  readonly requestBody: string
  readonly status: number
  readonly reason: string
  /** Names as sent, in the order sent. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string
}

/** Captures by file name without its ending. */
export type Captures = ReadonlyMap<string, Capture>

const FOLDER = new URL('fixtures/vllm/', import.meta.url)
const STATUS_LINE = /^HTTP\/1\.1 (\d{3}) ([^\r\n]*)\r?\n/m

/** Reads every capture that is a whole answer; throws when one does not parse. */
export async function loadCaptures(): Promise<Captures> {
  const captures = new Map<string, Capture>()
  for (const file of await readdir(FOLDER)) {
    const text = await readFile(new URL(file, FOLDER), 'utf8')
    if (STATUS_LINE.test(text)) captures.set(file.replace(/\.\w+$/, ''), parseCapture(text, file))
  }
  return captures
}

/** The capture of that name; throws with the known names when there is none. */
export function captureOf(captures: Captures, name: string): Capture {
  const found = captures.get(name)
  if (found === undefined) throw new Error(`no capture "${name}"; there are ${[...captures.keys()].join(', ')}`)
  return found
}

/** The events of a captured stream, each without its closing blank line. */
export function eventsOf(capture: Capture): string[] {
  return capture.body.split('\n\n').filter((event) => event.startsWith('data: '))
}

function parseCapture(text: string, file: string): Capture {
  const status = STATUS_LINE.exec(text)
  if (status === null) throw new Error(`${file}: no status line; a capture holds one HTTP/1.1 answer`)
  const [requestLine = '', ...requestBody] = text.slice(0, status.index).split('\n')
  const rest = text.slice(status.index + status[0].length)
  const blank = /\r?\n\r?\n/.exec(`${rest}\n\n`)
  const headEnd = blank?.index ?? rest.length
  const headers = rest
    .slice(0, headEnd)
    .split(/\r?\n/)
    .filter((line) => line.includes(': '))
    .map((line): [string, string] => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)])
  const tail = rest.slice(headEnd + (blank?.[0].length ?? 0))
  const length = headers.find(([name]) => name === 'content-length')?.[1]
  const body = length === undefined ? tail : Buffer.from(tail).subarray(0, Number(length)).toString()
  return {
    requestLine,
    requestBody: requestBody
      .join('\n')
      .replace(/\n--- [\d.]+s\n*$/, '')
      .trim(),
    status: Number(status[1]),
    reason: status[2] ?? '',
    headers,
    body,
  }
}
