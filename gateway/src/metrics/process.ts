import { readdirSync } from 'node:fs'
import { type ELDHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { version } from '../version.ts'
import type { Catalog } from './catalog.ts'
import { registerGauge } from './counter.ts'

/**
 * The process by the names that all Prometheus clients use, and its event loop. The package's own collectors would keep
 * an interval of 100 ms, an observer of each collection of garbage and a summary; these read when they are asked.
 */
export function registerProcess(catalog: Catalog): void {
  registerGauge(catalog, 'hearth_build_info', 'Which program this is.', () => [[{ version, node: process.version }, 1]])
  const startedS = Math.round(performance.timeOrigin / 1000)
  single(catalog, 'process_start_time_seconds', 'Start of the process since the epoch.', () => startedS)
  catalog.add({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the process.',
    type: 'counter',
    read: () => {
      const { user, system } = process.cpuUsage()
      return [{ labels: {}, value: (user + system) / 1e6 }]
    },
  })
  single(catalog, 'process_resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss())
  single(catalog, 'process_open_fds', 'Open file descriptors.', countDescriptors)
  const memory = process.memoryUsage
  single(catalog, 'nodejs_heap_size_used_bytes', 'Objects on the heap.', () => memory().heapUsed)
  single(catalog, 'nodejs_heap_size_total_bytes', 'The heap.', () => memory().heapTotal)
  single(catalog, 'nodejs_external_memory_bytes', 'Memory beside the heap, with buffers.', () => memory().external)
  registerLoopDelay(catalog)
}

function single(catalog: Catalog, name: string, help: string, read: () => number | undefined): void {
  registerGauge(catalog, name, help, () => {
    const value = read()
    return value === undefined ? [] : [[{}, value]]
  })
}

function countDescriptors(): number | undefined {
  try {
    // Less the one that reads the folder.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return undefined
  }
}

const resolutionMs = 20

/** How late the loop was since the last scrape. Its timer runs from the first scrape on: who never asks pays nothing. */
function registerLoopDelay(catalog: Catalog): void {
  let delays: ELDHistogram | undefined
  const read = () => {
    if (delays === undefined) {
      delays = monitorEventLoopDelay({ resolution: resolutionMs })
      delays.enable()
      return []
    }
    if (delays.count === 0) return []
    const found = [
      ['p50', delays.percentile(50)],
      ['p99', delays.percentile(99)],
      ['max', delays.max],
    ] as const
    delays.reset()
    // What is measured is the time between two turns of a timer.
    return found.map(([at, ns]) => [{ at }, Math.max(0, ns / 1e9 - resolutionMs / 1000)] as const)
  }
  registerGauge(catalog, 'hearth_loop_delay_seconds', 'How late the event loop was since the last scrape.', read)
}
