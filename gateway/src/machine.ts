import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'

/** What this process may use; limits that nobody set follow from it. */
export interface Machine {
  /** Memory of the container, or of the whole machine where nothing bounds it. */
  readonly memoryBytes: number
  /** Files and sockets that the process may have open. */
  readonly descriptorsMax: number
}

/** Where nobody says how many descriptors there are, the smallest default in use. */
const descriptorsUnknown = 1_024

export function readMachine(): Machine {
  // 0 where nobody knows, and more than there is where nothing bounds it.
  const container = process.constrainedMemory()
  const whole = totalmem()
  return { memoryBytes: container > 0 ? Math.min(container, whole) : whole, descriptorsMax: readDescriptorsMax() }
}

/** Node has raised the soft limit to the hard one by now. */
function readDescriptorsMax(): number {
  const text = readLimitsOfProcess()
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(text ?? '')?.[1]
  if (soft === 'unlimited') return Number.MAX_SAFE_INTEGER
  return soft === undefined ? descriptorsUnknown : Number(soft)
}

/** undefined off Linux. */
function readLimitsOfProcess(): string | undefined {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return undefined
  }
}
