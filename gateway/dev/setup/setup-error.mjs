/** A set-up that cannot go on: says what failed and the fix. `exitCode` is what the command ends with. */
export class SetupError extends Error {
  /**
   * @param {string} message
   * @param {{exitCode?: number, cause?: unknown}} [options]
   */
  constructor(message, { exitCode = 1, cause } = {}) {
    super(message, { cause })
    this.name = 'SetupError'
    this.exitCode = exitCode
  }
}

const fullDisk = /ENOSPC|No space left on device|no space left/i

/**
 * Turns a failure of one part into a sentence with the fix.
 * @param {string} part
 * @param {unknown} error
 * @param {string} folder where the part was being written
 * @returns {SetupError}
 */
export function explainFailure(part, error, folder) {
  if (error instanceof SetupError) return error
  const text = error instanceof Error ? `${error.message}\n${/** @type {any} */ (error).output ?? ''}` : String(error)
  if (fullDisk.test(text))
    return new SetupError(
      `${part}: the disk of ${folder} is full. Free some space, or point HEARTH_CACHE (downloads), GOCACHE and GOMODCACHE (Go builds) at a larger disk, then run the same command again.`,
      { cause: error },
    )
  return new SetupError(`${part}: ${text.trim()}`, { cause: error })
}
