import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { openLeash } from '../dev/leash.ts'
import { findFreePort } from '../dev/ports.ts'
import { probeStatus } from '../dev/probe.ts'
import { startProcess } from '../dev/process.ts'
import { waitUntil, withDeadline } from './deadline.ts'

/** One series of an answer: its labels, and its value now. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A real Prometheus that scrapes one target; whoever starts it disposes of it. */
export interface Prometheus extends AsyncDisposable {
  readonly version: string
  /** What an expression of PromQL comes to now. Throws what Prometheus says against it. */
  query(expression: string): Promise<readonly Sample[]>
  /** Every series of the target that it has ever seen. */
  series(): Promise<readonly Readonly<Record<string, string>>[]>
  /** Its last scrape: `up` or not, and what was wrong with it. */
  target(): Promise<{ readonly health: string; readonly lastError: string; readonly lastScrape: string }>
  /** Resolves once a scrape that began after this call is stored. */
  scraped(): Promise<void>
}

const readyMs = 30_000
const answerMs = 10_000

/** Where the programs are, as the runner says in variables; else why there are none. */
export function findPrometheus() {
  const reason =
    process.env['HEARTH_PROMETHEUS_MISSING'] ?? 'HEARTH_PROMETHEUS is not set, as npm test -- --only hostile does'
  return { program: process.env['HEARTH_PROMETHEUS'], promtool: process.env['HEARTH_PROMTOOL'], reason }
}

/** Starts a Prometheus on loopback that asks `http://127.0.0.1:PORT/metrics` ten times a second. */
export async function startPrometheus(program: string, targetPort: number): Promise<Prometheus> {
  const dir = mkdtempSync(join(tmpdir(), 'hearth-prometheus-'))
  const leash = openLeash()
  const port = await findFreePort(new Set())
  const file = join(dir, 'prometheus.yml')
  writeFileSync(file, configOf(targetPort))
  const close = async () => {
    await leash.close()
    rmSync(dir, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${port}`
  const args = [`--config.file=${file}`, `--storage.tsdb.path=${dir}/data`, `--web.listen-address=127.0.0.1:${port}`]
  try {
    const child = await startProcess(
      {
        name: 'prometheus',
        command: program,
        args: [...args, '--storage.tsdb.retention.time=1h', '--log.level=warn'],
        env: { PATH: process.env['PATH'], HOME: dir, GOMEMLIMIT: '256MiB', GOMAXPROCS: '1' },
        cwd: dir,
        ready: {
          by: 'poll',
          what: 'it is ready',
          probe: async (signal) => (await probeStatus({ port, path: '/-/ready', signal })) === 200,
        },
        readyTimeoutMs: readyMs,
        stopTimeoutMs: 5_000,
      },
      { logDir: dir, leash },
    )
    const dispose = async () => {
      await child.stop()
      await close()
    }
    const { version } = await ask<{ version: string }>(`${url}/api/v1/status/buildinfo`)
    return { version, ...openApi(url), [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await close()
    throw error
  }
}

function configOf(targetPort: number): string {
  return JSON.stringify({
    global: { scrape_interval: '100ms', scrape_timeout: '100ms' },
    scrape_configs: [
      { job_name: 'hearth', scrape_timeout: '100ms', static_configs: [{ targets: [`127.0.0.1:${targetPort}`] }] },
    ],
  })
}

function openApi(url: string): Pick<Prometheus, 'query' | 'series' | 'target' | 'scraped'> {
  const target: Prometheus['target'] = async () => {
    const { activeTargets } = await ask<{ activeTargets: Awaited<ReturnType<Prometheus['target']>>[] }>(
      `${url}/api/v1/targets`,
    )
    return activeTargets[0] ?? { health: 'unknown', lastError: 'there is no target', lastScrape: '' }
  }
  return {
    target,
    query: async (expression) => {
      const { result } = await ask<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
        `${url}/api/v1/query?query=${encodeURIComponent(expression)}`,
      )
      return result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }))
    },
    series: () => ask(`${url}/api/v1/series?match[]=${encodeURIComponent('{job="hearth"}')}`),
    scraped: async () => {
      const since = Date.now()
      const isLater = async () => Date.parse((await target()).lastScrape) > since
      await waitUntil(isLater, readyMs, 'a scrape after this moment')
    },
  }
}

async function ask<T>(url: string): Promise<T> {
  const response = await fetch(url, { signal: AbortSignal.timeout(answerMs) })
  const answer = (await response.json()) as { status: string; data: T; error?: string }
  if (answer.status !== 'success') throw new Error(`${url}: ${answer.error}`)
  return answer.data
}

/** What `promtool check metrics` has to say against a text; empty when it finds nothing. */
export async function checkMetrics(promtool: string, metrics: string): Promise<string> {
  const child = spawn(promtool, ['check', 'metrics'], { stdio: ['pipe', 'ignore', 'pipe'] })
  const ended = once(child, 'close')
  child.stdin.end(metrics)
  const said = text(child.stderr)
  const [code] = await withDeadline(ended, answerMs, 'promtool ends')
  const problems = await said
  return code === 0 || problems !== '' ? problems : `it ended with ${code}`
}
