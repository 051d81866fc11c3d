import { type MetricType, Registry } from '@prometheus-io/client'
import { type Line, View } from './view.ts'

export type MetricsFormat = 'prometheus' | 'openmetrics'

/** Lines that are written in one go: about a millisecond. */
const linesAtOnce = 500

interface Snapshot {
  readonly name: string
  readonly help: string
  readonly type: MetricType
  readonly values: readonly Line[]
}

/**
 * The text of a registry in both formats. After some lines it gives way to other work; who asks while a text is made
 * gets that one.
 */
export class MetricsText {
  readonly #registry: Registry
  /** Hold nothing: each writes one format. */
  readonly #writers: Readonly<Record<MetricsFormat, Registry>>
  readonly #running = new Map<MetricsFormat, Promise<string>>()

  constructor(registry: Registry) {
    this.#registry = registry
    const { PROMETHEUS_CONTENT_TYPE, OPENMETRICS_CONTENT_TYPE } = Registry
    this.#writers = {
      prometheus: new Registry(PROMETHEUS_CONTENT_TYPE),
      openmetrics: new Registry(OPENMETRICS_CONTENT_TYPE),
    }
  }

  contentType(format: MetricsFormat): string {
    return this.#writers[format].contentType
  }

  read(format: MetricsFormat): Promise<string> {
    const running = this.#running.get(format) ?? this.#write(format).finally(() => this.#running.delete(format))
    this.#running.set(format, running)
    return running
  }

  async #write(format: MetricsFormat): Promise<string> {
    const texts: string[] = []
    for (const { name, type } of this.#registry.getMetricsAsArray()) {
      const metric = await this.#registry.getSingleMetric<string>(name)?.get()
      if (metric === undefined) continue
      // In OpenMetrics a counter is named without the end of its lines. The package would cut it off the metric itself,
      // and the next text in the old format would lack it.
      const shown = format === 'openmetrics' && type === 'counter' ? name.replace(/_total$/, '') : name
      await this.#writeMetric(texts, this.#writers[format], { ...metric, name: shown, type })
    }
    if (format === 'openmetrics') texts.push('# EOF\n')
    return texts.join('')
  }

  async #writeMetric(texts: string[], writer: Registry, { name, help, type, values }: Snapshot): Promise<void> {
    for (let at = 0; at === 0 || at < values.length; at += linesAtOnce) {
      const part = values.slice(at, at + linesAtOnce)
      const text = await writer.getMetricsAsString(new View([], { name, help, type, read: () => part }))
      // HELP and TYPE stand once.
      texts.push(at === 0 ? text : text.split('\n').slice(2).join('\n'), '\n')
      await new Promise((resolve) => setImmediate(resolve))
    }
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
