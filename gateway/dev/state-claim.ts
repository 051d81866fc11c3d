import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isProcessAlive } from './setup/process-alive.mjs'

/** Someone else's chain runs in this state folder. */
export class ClaimError extends Error {
  override readonly name = 'ClaimError'
}

/**
 * Marks a state folder as in use by this process, because two chains in one folder would overwrite each other's
 * configuration. Throws a ClaimError when a living process holds it. Returns the release.
 */
export function claimState(stateDir: string): () => void {
  const file = join(stateDir, 'chain.pid')
  mkdirSync(stateDir, { recursive: true })
  const owner = readOwner(file)
  if (owner !== undefined && isProcessAlive(owner))
    throw new ClaimError(
      `a chain runs already in ${stateDir} (process ${owner}). Stop it first, or delete ${file} if that is another program`,
    )
  writeFileSync(file, `${process.pid}\n`)
  return () => rmSync(file, { force: true })
}

function readOwner(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8')) || undefined
  } catch {
    return undefined
  }
}
