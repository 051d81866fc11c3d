import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { waitUntil } from './deadline.ts'

/** A bound on memory that the kernel enforces; whoever makes it removes it, after its processes have ended. */
export interface MemoryCgroup {
  /** Starts a command inside: give it to `wrapper` of a gateway. */
  readonly wrapper: readonly string[]
  /** Processes that the kernel killed in it. */
  oomKills(): number
  /** The most that was charged to it, sockets and file pages included. */
  peakBytes(): number
  remove(): Promise<void>
}

interface Files {
  readonly folder: string
  readonly max: string
  readonly swap: string
  readonly peak: string
  readonly events: string
}

/** A cgroup with so much memory and no swap, of version 2 or 1; a text says why there is none. */
export function makeMemoryCgroup(bytes: number): MemoryCgroup | string {
  const name = `hearth-test-${process.pid}`
  const reasons: string[] = []
  for (const files of [
    {
      folder: join('/sys/fs/cgroup', name),
      max: 'memory.max',
      swap: 'memory.swap.max',
      peak: 'memory.peak',
      events: 'memory.events',
    },
    {
      folder: join('/sys/fs/cgroup/memory', name),
      max: 'memory.limit_in_bytes',
      swap: 'memory.memsw.limit_in_bytes',
      peak: 'memory.max_usage_in_bytes',
      events: 'memory.oom_control',
    },
  ]) {
    try {
      return open(files, bytes)
    } catch (error) {
      reasons.push(error instanceof Error ? error.message : String(error))
    }
  }
  return `no cgroup with a memory limit can be made here (${reasons.join('; ')})`
}

function open(files: Files, bytes: number): MemoryCgroup {
  const { folder } = files
  const at = (name: string) => join(folder, name)
  mkdirSync(folder)
  try {
    // Without the controller the folder has no such file; on a tmpfs it would be a plain one.
    if (!existsSync(at(files.max)) || !existsSync(at('cgroup.procs'))) throw new Error(`${at(files.max)} is not there`)
    writeFileSync(at(files.max), String(bytes))
    if (existsSync(at(files.swap)))
      writeFileSync(at(files.swap), files.swap === 'memory.swap.max' ? '0' : String(bytes))
  } catch (error) {
    rmdirSync(folder)
    throw error
  }
  return {
    wrapper: ['sh', '-c', `echo $$ > ${at('cgroup.procs')} && exec "$@"`, 'sh'],
    oomKills: () => Number(/^oom_kill (\d+)/m.exec(readFileSync(at(files.events), 'utf8'))?.[1] ?? 0),
    peakBytes: () => (existsSync(at(files.peak)) ? Number(readFileSync(at(files.peak), 'utf8')) : 0),
    remove: async () => {
      await waitUntil(() => readFileSync(at('cgroup.procs'), 'utf8') === '', 5_000, 'the cgroup is empty')
      await waitUntil(() => tryRemove(folder), 5_000, 'the cgroup is gone')
    },
  }
}

/** The kernel needs a moment after the last process. */
function tryRemove(folder: string): boolean {
  try {
    rmdirSync(folder)
    return true
  } catch {
    return false
  }
}
