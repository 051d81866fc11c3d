import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { nowMs } from './deadline.ts'
import type { Gateway } from './harness.ts'
import { exchangeRaw } from './raw-client.ts'
import { chatBody, chatPath, rawHeaders } from './wire.ts'

export const mebibyte = 1024 * 1024

/** Memory of a process in MiB: now, or the most it ever had. */
export function rssOf(pid: number, field: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024
}

/** What the image sets for the memory of the process, for tests that measure it. */
export function imageEnv(): Readonly<Record<string, string>> {
  const text = readFileSync(new URL('../../Dockerfile.gateway', import.meta.url), 'utf8')
  const pairs = [...text.matchAll(/^ENV (.*)$/gm)].flatMap(([, line = '']) => line.split(' '))
  const memory = pairs.filter((pair) => /^MALLOC_\w+=/.test(pair))
  return Object.fromEntries(memory.map((pair) => pair.split(/=(.*)/).slice(0, 2)))
}

/** The same with a small nursery: V8's own grows by 48 MiB under any load, which would hide what an attack costs. */
export function smallHeapEnv(): Readonly<Record<string, string>> {
  return { ...imageEnv(), NODE_OPTIONS: '--max-semi-space-size=4' }
}

/** The listener of the admin, on the port that the log names. */
export async function adminPort(gateway: Gateway): Promise<number> {
  return Number((await gateway.waitForLog(({ message }) => message === 'admin listening', 'the admin listens'))['port'])
}

/** The sum of all series of one metric. */
export async function metricOf(port: number, name: string, labels = ''): Promise<number> {
  const { text } = await exchangeRaw(port, { path: '/metrics' })
  const lines = text.split('\n').filter((line) => line.split(/[{ ]/)[0] === name && line.includes(labels))
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

/** How long answers took, in milliseconds, and how many were none. */
export interface Latencies {
  readonly count: number
  readonly errors: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/**
 * Asks the gateway for a whole answer of its engine again and again while `goOn` says so, one at a time, each on its own
 * connection, `pauseMs` after the one before.
 */
export async function askHealthily(
  gateway: Gateway,
  goOn: (asked: number) => boolean,
  pauseMs = 0,
): Promise<Latencies> {
  const took: number[] = []
  let errors = 0
  const request = { method: 'POST', path: chatPath, headers: rawHeaders(gateway), body: chatBody({ max_tokens: 1 }) }
  while (goOn(took.length)) {
    const startedMs = nowMs()
    const status = await exchangeRaw(gateway.port, request, 10_000).then(
      ({ head }) => head.status,
      () => 0,
    )
    took.push(nowMs() - startedMs)
    if (status !== 200) errors += 1
    if (pauseMs > 0) await setTimeout(pauseMs)
  }
  return { errors, ...summarise(took) }
}

export function summarise(values: readonly number[]): Omit<Latencies, 'errors'> {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (share: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) }
}

export function round(value: number): number {
  return Math.round(value * 100) / 100
}
