import { readFileSync } from 'node:fs'
import { eachOf, runChild } from '../mutation/children.ts'
import { type Swap, swapOf } from '../mutation/swap.ts'
import type { Patch } from './patches.data.ts'

/** What the tests said: green, red by a test, or something that is no verdict. */
export type Colour = 'green' | 'red' | 'broken'

export interface Outcome {
  readonly colour: Colour
  readonly seconds: number
  readonly output: string
}

export interface PatchOutcome extends Outcome {
  readonly patch: Patch
}

const limitMs = 60_000
/** A test that waits for what never comes is red too, and soon. */
const asTap = ['--test-reporter=tap', '--test-timeout=10000']
/** A program that does not even run proves nothing about its tests. */
const neverRan = /did not start|SyntaxError|ReferenceError|ERR_INVALID_TYPESCRIPT|hookFailed/
const names = /[.*+?^${}()|[\]\\/]/g

/** The swap of a patch. Throws where it does not apply exactly once. */
export function swapOfPatch({ file, was, text }: Patch): Swap {
  return swapOf(readFileSync(file, 'utf8'), { file, was, text })
}

/** Runs the named tests of a file in a child that reads the swap. */
export async function runTests(file: string, tests: readonly string[], swap: Swap | undefined): Promise<Outcome> {
  const patterns = tests.map((test) => `--test-name-pattern=/${test.replaceAll(names, '\\$&')}/`)
  const { code, late, ms, output } = await runChild([...asTap, ...patterns, file], swap, limitMs)
  const count = (kind: string) => Number(new RegExp(`^# ${kind} (\\d+)`, 'm').exec(output)?.[1])
  const isRun = !late && !neverRan.test(output)
  // What ran out of its time counts as cancelled.
  const colour = isRun ? verdictOf(code, count('pass'), count('fail') + count('cancelled')) : 'broken'
  return { colour, seconds: ms / 1000, output }
}

function verdictOf(code: number | null, passed: number, failed: number): Colour {
  if (code !== 0) return failed > 0 ? 'red' : 'broken'
  return passed > 0 ? 'green' : 'broken'
}

/** The tests that the patches name, without a patch: each must be green, or its red means nothing. */
export async function runControls(
  patches: readonly Patch[],
  parallel: number,
): Promise<(Outcome & { file: string })[]> {
  const byFile = Map.groupBy(patches, ({ seenBy }) => seenBy.file)
  return await eachOf([...byFile], parallel, async ([file, own]) => ({
    file,
    ...(await runTests(file, [...new Set(own.map(({ seenBy }) => seenBy.test))], undefined)),
  }))
}

/** One line of the table. */
export function describeOutcome({ patch, colour, seconds }: PatchOutcome): string {
  const { row, name, seenBy } = patch
  return `${row}  ${colour.padEnd(6)} ${seconds.toFixed(1).padStart(4)} s  ${name}  (${seenBy.file})`
}

/** What the tests say with each of the patches. */
export async function runPatches(patches: readonly Patch[], parallel: number): Promise<PatchOutcome[]> {
  return await eachOf(patches, parallel, async (patch) => ({
    patch,
    ...(await runTests(patch.seenBy.file, [patch.seenBy.test], swapOfPatch(patch))),
  }))
}
