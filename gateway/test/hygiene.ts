import { deepEqual, doesNotMatch, match, ok } from 'node:assert/strict'
import type { StrictAnswer } from './strict-http.ts'

/** What may stand in no error that a caller reads: places in programs, addresses of homes, names of a tailnet. */
const inner: readonly RegExp[] = [
  /\bat (?:async )?[\w.<>]+ \(|\bat file:|node:internal|node_modules|\.[cm]?ts:\d|Traceback|File "/,
  /\b(?:127|10)\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|\b192\.168\.\d|\b172\.(?:1[6-9]|2\d|3[01])\.\d|\b169\.254\.\d/,
  /\b100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.\d|fd7a:115c|\[?::1\]?|\bf[cd][0-9a-f]{2}:/i,
  /\.ts\.net\b|\.local\b|\.internal\b|\.svc\b|localhost/i,
  /ECONN|EPIPE|ENOTFOUND|UND_ERR|HPE_|ERR_[A-Z]|TypeError|RangeError|SyntaxError|AssertionError/,
  /SELECT |INSERT |hk_[0-9a-z]/,
]

/** Collects the error bodies of a run: each must have the one shape and hold nothing of the inside. */
export class ErrorBodies {
  readonly #texts = new Set<string>()
  readonly #forbidden: readonly string[]
  count = 0

  /** `forbidden` are words of which none may come back, such as those of a scripted engine. */
  constructor(forbidden: readonly string[] = []) {
    this.#forbidden = forbidden
  }

  /** Takes one answer; those below 400 and broken ones are none. Returns its code. */
  take({ status, body, whole, headers }: StrictAnswer): string | undefined {
    if (status < 400 || !whole) return undefined
    match(headers.get('content-type') ?? '', /^application\/json/)
    match(headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/)
    return this.takeText(body.toString())
  }

  takeText(text: string): string {
    this.count += 1
    const document = JSON.parse(text)
    deepEqual(Object.keys(document), ['error'])
    deepEqual(Object.keys(document.error), ['message', 'type', 'param', 'code'])
    this.#texts.add(JSON.stringify({ ...document.error }))
    return String(document.error.code)
  }

  /** Throws where one of the bodies says what it must not; tells how many different ones there were. */
  check(): number {
    for (const text of this.#texts) {
      for (const pattern of inner) doesNotMatch(text, pattern)
      for (const word of this.#forbidden) ok(!text.includes(word), `${JSON.stringify(word)} in ${text}`)
      ok(text.length < 3_000, `an error of ${text.length} characters`)
    }
    return this.#texts.size
  }
}
