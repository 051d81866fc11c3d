import type { Way } from '../mesh/status.ts'

/**
 * Where the time of one request went, in milliseconds; a step that was not taken, or not yet, is absent. Filled on the
 * way through the gateway by whoever takes a step.
 */
export interface Timing {
  /** Finding the caller behind the key; only where there is one: a refusal tells nothing of how long it looked. */
  authMs?: number
  /** Reading the body from the caller. */
  bodyMs?: number
  /** Walking through the body, and choosing the model. */
  scanMs?: number
  /** Looking at the headers of the pictures. */
  pictureMs?: number
  /** In our line. */
  queueMs?: number
  /** Until there was a connection to the engine. */
  connectMs?: number
  /** From there to the engine's head. */
  firstByteMs?: number
  /** From the dispatch to the first text of a stream. */
  firstTokenMs?: number
  /** From the request to the end of the answer. */
  totalMs?: number
  /** The way through the mesh. */
  way?: Way | undefined
}

const steps = [
  ['auth', 'authMs'],
  ['body', 'bodyMs'],
  ['scan', 'scanMs'],
  ['picture', 'pictureMs'],
  ['queue', 'queueMs'],
  ['connect', 'connectMs'],
  ['first-byte', 'firstByteMs'],
  ['first-token', 'firstTokenMs'],
  ['total', 'totalMs'],
] as const satisfies readonly (readonly [string, keyof Timing])[]

/** The value of `Server-Timing`, as browsers show it; empty where no step is known. Names no host and no address. */
export function serverTiming(timing: Timing): string {
  const { way } = timing
  const mesh =
    way === undefined ? [] : [`mesh;desc="${way.path}"${way.rttMs === undefined ? '' : `;${duration(way.rttMs)}`}`]
  const taken = steps.flatMap(([name, key]) => {
    const ms = timing[key]
    return ms === undefined ? [] : [`${name};${duration(ms)}`]
  })
  return [...mesh, ...taken].join(', ')
}

/** The same as headers: none where nothing is known. */
export function timingHeaders(timing: Timing): Record<string, string> {
  const value = serverTiming(timing)
  return value === '' ? {} : { 'server-timing': value }
}

function duration(ms: number): string {
  return `dur=${Math.max(0, Math.round(ms * 10)) / 10}`
}
