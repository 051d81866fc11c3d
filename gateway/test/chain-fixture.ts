import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chain, type ChainEngine, type HopName, startChain } from '../dev/chain.ts'
import { readParts, requirePart } from '../dev/parts.ts'
import { waitUntil } from './deadline.ts'
import { type EngineProcess, spawnEngine } from './fake-control.ts'
import { keepChainLogs } from './kept-logs.ts'
import { chatPath, plainPrompt } from './wire.ts'

/** The real chain on loopback; disposing it stops every process and removes its folder. */
export interface TestChain extends AsyncDisposable {
  readonly chain: Chain
  /** Sends a chat request with the chain's key. */
  chat(fields?: object, init?: RequestInit): Promise<Response>
  /** Kills a process of the chain for real. */
  kill(name: HopName): void
  /** Resolves with the milliseconds until `/ready` is 200. */
  ready(timeoutMs: number, label: string): Promise<number>
}

export const embedded = (): ChainEngine => ({
  from: 'embedded',
  model: { id: 'smollm2-135m-instruct', file: requirePart(readParts(), 'model'), context: 2048, slots: 4 },
})

/**
 * No engine answers within a millisecond of its prompt. Traefik 3.7.15 cuts about one in sixty event streams that do
 * (docs/adr/2026-11-21-no-kept-connections-to-engines.md), which would be seen here and nowhere else.
 */
const promptMs = 5

/** The chain with a scripted engine at its end, in a process of its own. */
export async function startScriptedChain(extra: object = {}): Promise<TestChain & { readonly engine: EngineProcess }> {
  const engine = await spawnEngine()
  const models = [{ id: 'qwen2.5-vl-tiny' }]
  // A kind that gets no salt for its cache, so that what arrives can be held against what was sent, byte for byte.
  const end = { from: 'address', url: engine.url, kind: 'openai', capacity: 64, models } as const
  const test = await startTestChain({ engine: end, ...extra }).catch(async (error: unknown) => {
    await engine.close()
    throw error
  })
  const dispose = async () => {
    await test[Symbol.asyncDispose]()
    await engine.close()
  }
  return { ...test, engine: readsPrompts(engine), [Symbol.asyncDispose]: dispose }
}

function readsPrompts(engine: EngineProcess): EngineProcess {
  return {
    ...engine,
    script: (...behaviours) =>
      engine.script(...behaviours.map((behaviour) => ({ headDelayMs: promptMs, ...behaviour }))),
  }
}

/** Starts the whole chain in a folder of its own, on free ports; `HEARTH_TEST_ENTRY` chooses source or bundle. */
export async function startTestChain(
  options: Partial<Parameters<typeof startChain>[0]> & { readonly engine: ChainEngine },
): Promise<TestChain> {
  const stateDir = mkdtempSync(join(tmpdir(), 'hearth-chain-'))
  const entry = process.env['HEARTH_TEST_ENTRY']
  const remove = () => rmSync(stateDir, { recursive: true, force: true })
  const chain = await startChain({
    road: 'mesh',
    stateDir,
    port: 0,
    supervise: true,
    ...(entry === undefined ? {} : { gatewayEntry: entry }),
    ...options,
  }).catch((error: unknown) => {
    remove()
    throw error
  })
  const model = chain.models[0]?.id
  return {
    chain,
    chat: (fields = {}, init = {}) =>
      fetch(chain.gatewayUrl + chatPath, {
        method: 'POST',
        headers: { authorization: `Bearer ${chain.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model, messages: [{ role: 'user', content: plainPrompt }], ...fields }),
        ...init,
      }),
    kill: (name) => {
      const pid = chain.processes.get(name)?.pid()
      if (pid === undefined) throw new Error(`${name} does not run`)
      process.kill(pid, 'SIGKILL')
    },
    ready: async (timeoutMs, label) => {
      const startedAt = performance.now()
      await waitUntil(
        () => fetch(`${chain.gatewayUrl}/ready`).then((response) => response.status === 200),
        timeoutMs,
        label,
      )
      return performance.now() - startedAt
    },
    [Symbol.asyncDispose]: async () => {
      await chain.stop()
      keepChainLogs(stateDir, [chain.key])
      remove()
    },
  }
}

/** Peak resident memory of a process so far, in MiB. Linux only. */
export function peakMiB(pid: number): number {
  return readStatus(pid, 'VmHWM')
}

/** Resident memory of a process now, in MiB. Linux only. */
export function residentMiB(pid: number): number {
  return readStatus(pid, 'VmRSS')
}

function readStatus(pid: number, field: string): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find((text) => text.startsWith(field))
  return Number(/\d+/.exec(line ?? '')?.[0]) / 1024
}
