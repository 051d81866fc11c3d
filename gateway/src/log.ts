/** Severities as Cloud Logging names them. */
export type Severity = 'DEBUG' | 'INFO' | 'NOTICE' | 'WARNING' | 'ERROR' | 'CRITICAL'

/** Values a record may carry: numbers, short texts, flags. Never a prompt, a picture, an answer or a key. */
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>

export type Log = (severity: Severity, message: string, fields?: Fields) => void

const textCharsMax = 2048

/** Writes one record a line. `json` is what Cloud Logging and `jq` read; `pretty` is for a person at a terminal. */
export function createLog(form: 'json' | 'pretty', write: (line: string) => void, now: () => Date): Log {
  const render = form === 'json' ? renderJson : renderPretty
  return (severity, message, fields = {}) => write(`${render(severity, now(), message, fields)}\n`)
}

function renderJson(severity: Severity, time: Date, message: string, fields: Fields): string {
  return JSON.stringify({ severity, time: time.toISOString(), message, ...shorten(fields) })
}

function renderPretty(severity: Severity, time: Date, message: string, fields: Fields): string {
  const shown = Object.entries(shorten(fields)).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
  return `${time.toISOString().slice(11, 23)} ${severity.padEnd(7)} ${message} ${shown.join(' ')}`.trimEnd()
}

function shorten(fields: Fields): Record<string, string | number | boolean> {
  const out: Record<string, string | number | boolean> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    if (typeof value === 'number') out[name] = Math.round(value * 1000) / 1000
    else out[name] = typeof value === 'string' ? value.slice(0, textCharsMax) : value
  }
  return out
}

/**
 * Joins the lines of one turn of the event loop into one write, which under load saves a system call per request.
 * `flush` writes what is left, at once; call it before the process ends.
 */
export function joinLines(write: (text: string) => void): { write(line: string): void; flush(): void } {
  let waiting = ''
  const flush = () => {
    const text = waiting
    waiting = ''
    if (text !== '') write(text)
  }
  return {
    write: (line) => {
      if (waiting === '') setImmediate(flush)
      waiting += line
    },
    flush,
  }
}
