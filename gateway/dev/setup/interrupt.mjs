const exitCodes = { SIGINT: 130, SIGTERM: 143 }

/**
 * Turns Ctrl-C and SIGTERM into an abort, so that what is being written is removed before the process ends.
 * Call `release` when done.
 */
export function catchInterrupts() {
  const controller = new AbortController()
  /** @type {number | undefined} */
  let code
  const onSignal = (/** @type {'SIGINT' | 'SIGTERM'} */ name) => {
    code ??= exitCodes[name]
    controller.abort(new Error(`interrupted by ${name}`))
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return {
    signal: controller.signal,
    /** The exit status when there was an interrupt, after saying what it means. */
    report() {
      if (code !== undefined)
        console.error('hearth: set-up was interrupted. The same command goes on with what is complete.')
      return code
    },
    release() {
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
    },
  }
}
