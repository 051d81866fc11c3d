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
] as const satisfies readonly (readonly [string, keyof Timing])[]

/** The value of `Server-Timing`, as browsers show it; empty where no step is known. Names no host and no address. */
export function serverTiming(timing: Timing): string {
  let text = describeWay(timing.way)
  for (const [name, key] of steps) {
    const ms = timing[key]
    if (ms !== undefined) text += `${text === '' ? '' : ', '}${name};${duration(ms)}`
  }
  return text
}

function describeWay(way: Way | undefined): string {
  if (way === undefined) return ''
  return `mesh;desc="${way.path}"${way.rttMs === undefined ? '' : `;${duration(way.rttMs)}`}`
}

/** The same as headers: none where nothing is known. */
export function timingHeaders(timing: Timing): Record<string, string> {
  const value = serverTiming(timing)
  return value === '' ? {} : { 'server-timing': value }
}

/** Made of whole numbers: the text of a fraction costs several times as much, and each answer has a dozen. */
function duration(ms: number): string {
  const tenths = Math.max(0, Math.round(ms * 10))
  const part = tenths % 10
  return part === 0 ? `dur=${tenths / 10}` : `dur=${(tenths - part) / 10}.${part}`
}
