import type { Registry } from '@prometheus-io/client'
import type { Catalog, Line, Metric } from './catalog.ts'

export type MetricsFormat = 'prometheus' | 'openmetrics'

/** Lines that are written in one go: about a millisecond. */
const linesAtOnce = 500

type Write = (metric: Metric, lines: readonly Line[]) => Promise<string>

/**
 * The text of all metrics in both formats, written by the Prometheus client. After some lines it gives way to other
 * work; who asks while a text is made gets that one.
 */
export class MetricsText {
  readonly #catalog: Catalog
  readonly #running = new Map<MetricsFormat, Promise<string>>()

  constructor(catalog: Catalog) {
    this.#catalog = catalog
  }

  read(format: MetricsFormat): Promise<string> {
    const running = this.#running.get(format) ?? this.#write(format).finally(() => this.#running.delete(format))
    this.#running.set(format, running)
    return running
  }

  async #write(format: MetricsFormat): Promise<string> {
    const write = await openWriter(format)
    const texts: string[] = []
    for (const metric of this.#catalog.all) {
      const lines = [...metric.read()]
      for (let at = 0; at === 0 || at < lines.length; at += linesAtOnce) {
        const text = await write(metric, lines.slice(at, at + linesAtOnce))
        // HELP and TYPE stand once.
        texts.push(at === 0 ? text : text.split('\n').slice(2).join('\n'), '\n')
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    if (format === 'openmetrics') texts.push('# EOF\n')
    return texts.join('')
  }
}

export const contentTypes: Readonly<Record<MetricsFormat, Registry['contentType']>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

/**
 * The package is loaded by the first question: it brings node:cluster and others, 10 to 20 ms of CPU and 2 MiB for a
 * process that is started while somebody waits, and that may never be asked.
 */
async function openWriter(format: MetricsFormat): Promise<Write> {
  const { Gauge, Registry } = await import('@prometheus-io/client')
  const writer = new Registry(contentTypes[format])
  return async ({ name, help, type }, lines) => {
    // In OpenMetrics the lines of a counter end in _total and its name does not.
    const shown = format === 'openmetrics' && type === 'counter' ? name.replace(/_total$/, '') : name
    const values = [...lines]
    const get = async () => ({ name: shown, help, type, aggregator: 'omit', collect: () => {}, values }) as const
    // Whatever it is: the package asks nothing else of a metric than this.
    const metric = Object.assign(new Gauge<string>({ name: shown, help, registers: [] }), { get })
    return await writer.getMetricsAsString(metric)
  }
}

/** What a scraper prefers, by its Accept; the format that all know where it does not say. */
export function chooseFormat(accept: string | undefined): MetricsFormat {
  const weigh = (type: string) =>
    Math.max(
      0,
      ...(accept ?? '').split(',').flatMap((one) => {
        const [name = '', ...parameters] = one.split(';').map((part) => part.trim().toLowerCase())
        const weight = parameters.find((part) => part.startsWith('q='))?.slice(2) ?? '1'
        return name === type ? [Number(weight) || 0] : []
      }),
    )
  return weigh('application/openmetrics-text') > weigh('text/plain') ? 'openmetrics' : 'prometheus'
}
