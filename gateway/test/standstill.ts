import { monitorEventLoopDelay } from 'node:perf_hooks'

/**
 * The longest time so far for which this process did not run though it wanted to, in milliseconds. The processes that a
 * test measures stand still with it when a machine has other work: a promise in milliseconds is held to it.
 */
export function watchStandstill(): { ms(): number } {
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  return { ms: () => Math.round(delay.max / 1e6) }
}
