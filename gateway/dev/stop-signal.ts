/** One Ctrl-C can arrive several times: from the terminal, from npm and from the program that started this one. */
const sameSignalMs = 1_000
const forcedExitCode = 130

export interface StopSignal {
  /** Aborted when a stop was asked for. */
  readonly signal: AbortSignal
  /** Resolves when a stop was asked for. */
  readonly asked: Promise<void>
  release(): void
}

/**
 * Listens for Ctrl-C, SIGTERM and the closing of the terminal. The first asks for an ordered stop; one that comes more
 * than a second later ends this process at once, and the leash of the chain ends the rest.
 */
export function catchStop(): StopSignal {
  const controller = new AbortController()
  const { promise, resolve } = Promise.withResolvers<void>()
  let firstAtMs: number | undefined
  const onSignal = () => {
    const nowMs = performance.now()
    firstAtMs ??= nowMs
    if (nowMs - firstAtMs > sameSignalMs) process.exit(forcedExitCode)
    resolve()
    controller.abort(new Error('stopped by a signal'))
  }
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of names) process.on(name, onSignal)
  return {
    signal: controller.signal,
    asked: promise,
    release: () => {
      for (const name of names) process.off(name, onSignal)
    },
  }
}
