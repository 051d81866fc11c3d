/** One place of one source file that a child process reads in another way; no file on disk is touched. */
export interface Swap {
  /** Below the root of the repository. */
  readonly file: string
  /** Where the replaced text begins, in UTF-16 units. */
  readonly start: number
  readonly was: string
  readonly text: string
}

/** The variable that carries a swap, as JSON, to a process that was started with `--import` of {@link swapHook}. */
export const swapVariable = 'HEARTH_TEST_SWAP'
export const swapHook = new URL('swap-hook.ts', import.meta.url).href
/** How a process ends that read a file for which its swap was not made. */
export const wrongSwapCode = 97
export const root = new URL('../../../', import.meta.url)

/** The source with the swap in it. Throws when the source is not the one that the swap was made for. */
export function applySwap(source: string, { file, start, was, text }: Swap): string {
  const end = start + was.length
  const found = source.slice(start, end)
  if (found !== was) throw new Error(`${file} has ${JSON.stringify(found)} at ${start}; wanted ${JSON.stringify(was)}`)
  return source.slice(0, start) + text + source.slice(end)
}

/** The swap that puts `text` where `was` stands. Throws unless `was` stands exactly once in the source. */
export function swapOf(source: string, { file, was, text }: Omit<Swap, 'start'>): Swap {
  const places = source.split(was).length - 1
  if (places !== 1) throw new Error(`${file} has ${JSON.stringify(was)} ${places} times; wanted exactly once`)
  return { file, start: source.indexOf(was), was, text }
}

/** The environment of a child that reads the swap. */
export function swapEnv(swap: Swap | undefined): NodeJS.ProcessEnv {
  const env = { ...process.env }
  delete env[swapVariable]
  return swap === undefined ? env : { ...env, [swapVariable]: JSON.stringify(swap) }
}

/** What a process that is started by a test needs in order to read the swap of the test. */
export function swapArgs(): readonly string[] {
  return process.env[swapVariable] === undefined ? [] : ['--import', swapHook]
}
