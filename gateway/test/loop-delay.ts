import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { withDeadline } from './deadline.ts'

const probeEveryMs = 10
const loadMs = 6000

export interface Delays {
  /** From the moment a question was due to its answer. */
  readonly delaysMs: readonly number[]
  /** Hostile bodies that were answered meanwhile. */
  readonly sent: number
}

/**
 * How long `GET /health` takes while another process keeps four hostile bodies in flight. Questions go out at a steady
 * pace, whether the last one was answered or not, so that a long silence counts as often as it would hurt.
 */
export async function delaysUnderLoad(url: string, authorization: string): Promise<Delays> {
  const load = fork(new URL('loop-delay-load.ts', import.meta.url), [url, authorization], { stdio: 'inherit' })
  let sent = 0
  try {
    const ready = once(load, 'message')
    await withDeadline(ready, 20_000, 'the first hostile body is on its way')
    load.on('message', () => {
      sent += 1
    })
    const answers = await probe(url)
    load.kill()
    return { delaysMs: await answers.all, sent }
  } finally {
    load.kill()
    if (load.exitCode === null && load.signalCode === null) await once(load, 'exit')
  }
}

/** Asks for as long as there is load; resolves when the last question is out, with what waits for the answers. */
async function probe(url: string): Promise<{ readonly all: Promise<readonly number[]> }> {
  // Below what a server takes of connections that it has not accepted yet.
  const agent = new Agent({ keepAlive: true, maxSockets: 200 })
  const answers: Promise<number>[] = []
  const startMs = performance.now()
  for (let due = 0; due < loadMs; due += probeEveryMs) {
    await sleep(Math.max(0, startMs + due - performance.now()))
    answers.push(ask(url, agent, startMs + due))
  }
  const all = withDeadline(Promise.all(answers), 60_000, 'every question was answered')
  return { all: all.finally(() => agent.destroy()) }
}

async function ask(url: string, agent: Agent, dueMs: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const request = get(`${url}/health`, { agent }, (response) => {
    response.resume().on('end', () => resolve(performance.now() - dueMs))
  })
  request.on('error', reject)
  return await promise
}

export interface Summary {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export function summarise(delaysMs: readonly number[]): Summary {
  const sorted = [...delaysMs].sort((one, other) => one - other)
  const at = (part: number) =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0) * 10) / 10
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) }
}

/** Processor time of a process so far; Linux only, in steps of 10 ms. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/**
 * Processor time of this thread between two rounds of its loop while `work` goes on, in milliseconds, longest last: what
 * others would wait for it. A busy machine makes none of it longer.
 */
export async function roundsOf(work: () => Promise<unknown>): Promise<readonly number[]> {
  const rounds: number[] = []
  let isOver = false
  let before = threadCpuMs()
  const note = () => {
    const now = threadCpuMs()
    rounds.push(now - before)
    before = now
  }
  const round = () => {
    note()
    if (!isOver) setImmediate(round)
  }
  setImmediate(round)
  await work()
  isOver = true
  note()
  return rounds.sort((one, other) => one - other)
}

export function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
