import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { eachOf, runChild } from './children.ts'
import { describeMutant, type Equivalent, findMutants, isEquivalent, type Mutant, sampleOf } from './mutants.ts'
import { wrongSwapCode } from './swap.ts'

export interface MutationRun {
  readonly files: readonly string[]
  /** How many of all mutants; undefined: every one. */
  readonly count: number | undefined
  readonly seed: number
  readonly parallel: number
  readonly equivalents: readonly Equivalent[]
  readonly print: (line: string) => void
}

export interface MutationScore {
  readonly killed: number
  /** Of those killed: how many by the end of their time. */
  readonly late: number
  readonly survivors: readonly Mutant[]
  /** Part of those run that was killed, from 0 to 1. */
  readonly score: number
}

type Verdict = { readonly mutant: Mutant; readonly fate: 'killed' | 'late' | 'survived' }

const untilRed = 'gateway/test/mutation/until-red.ts'
/** Tests that compare speeds: they say nothing about a mutant that a faster one does not say, and take seconds. */
const withoutSpeed = '--test-skip-pattern=/less time|in proportion|processor time/'
const graceMs = 2_500
const folders = ['gateway/src/edge', 'gateway/src/body']

/** The sources whose mutants are looked at. */
export function mutatedFiles(): readonly string[] {
  return folders.flatMap((folder) => globSync(`${folder}/*.ts`).sort()).filter((file) => !file.endsWith('.test.ts'))
}

/**
 * Runs the mutants against the quick tests, prints what came of it, survivors by place. Throws when the tests are red
 * without a mutant.
 */
export async function runMutants(run: MutationRun): Promise<MutationScore> {
  const sources = new Map(run.files.map((file) => [file, readFileSync(file, 'utf8')]))
  const all = [...sources].flatMap(([file, source]) =>
    findMutants(file, source).filter((mutant) => !isEquivalent(mutant, source, run.equivalents)),
  )
  const mutants = sampleOf(all, run.count ?? all.length, run.seed)
  const tests = await measure(run)
  run.print(`${mutants.length} of ${all.length} mutants of ${run.files.length} files, seed ${run.seed}`)
  const verdicts = await eachOf(mutants, run.parallel, async (mutant): Promise<Verdict> => {
    for (const { test, limitMs } of tests.get(mutant.file) ?? []) {
      const { code, late } = await runChild(argsOf(test), mutant, limitMs)
      if (code === wrongSwapCode) throw new Error(`${mutant.file} was changed while its mutants ran`)
      if (late || code !== 0) return { mutant, fate: late ? 'late' : 'killed' }
    }
    return { mutant, fate: 'survived' }
  })
  return tellScore(verdicts, run)
}

/** A test file, and how long it may take with a mutant. */
interface Timed {
  readonly test: string
  readonly limitMs: number
}

function argsOf(test: string): readonly string[] {
  return [withoutSpeed, untilRed, test]
}

/** The tests of each file, its own first and then the quickest, with limits by what they take. Throws where one is red. */
async function measure({ files, parallel, print }: MutationRun): Promise<ReadonlyMap<string, readonly Timed[]>> {
  const wanted = new Map(files.map((file) => [file, testsOf(file)]))
  const timed = await eachOf([...new Set([...wanted.values()].flat())], parallel, async (test): Promise<Timed> => {
    const { code, late, ms, output } = await runChild(argsOf(test), undefined, 60_000)
    if (code !== 0 || late) throw new Error(`${test} is red without a mutant:\n${output}`)
    print(`${test}: green without a mutant in ${Math.round(ms)} ms`)
    return { test, limitMs: graceMs + 3 * ms }
  })
  const quickest = timed.toSorted((one, other) => one.limitMs - other.limitMs)
  return new Map(
    [...wanted].map(([file, tests]) => {
      const own = ownTestOf(file)
      const rest = quickest.filter(({ test }) => test !== own && tests.includes(test))
      return [file, [...quickest.filter(({ test }) => test === own), ...rest]]
    }),
  )
}

/** The tests beside a file, its own first, then those of the mutated folders whose imports lead to it. */
export function testsOf(file: string): readonly string[] {
  const own = ownTestOf(file)
  const all = folders.flatMap((folder) => globSync(`${folder}/*.test.ts`)).sort()
  return all.filter((test) => test === own || leadsTo(test, file)).sort((one) => (one === own ? -1 : 0))
}

function ownTestOf(file: string): string {
  return file.replace(/(\.data)?\.ts$/, '.test.ts')
}

function leadsTo(test: string, file: string): boolean {
  const seen = new Set([test])
  for (const at of seen) for (const found of importsOf(at)) seen.add(found)
  return seen.has(file)
}

function importsOf(file: string): readonly string[] {
  const found = [...readFileSync(file, 'utf8').matchAll(/^(?:import|export|\}) [^'"]*?from '(\.[^']+\.ts)'/gm)]
  return found.map((match) => join(dirname(file), match[1] ?? '')).filter((path) => existsSync(path))
}

function tellScore(verdicts: readonly Verdict[], { files, print }: MutationRun): MutationScore {
  for (const file of files) {
    const own = verdicts.filter(({ mutant }) => mutant.file === file)
    const killed = own.filter(({ fate }) => fate !== 'survived')
    if (own.length > 0)
      print(`${file}: ${killed.length} of ${own.length} killed (${percent(killed.length / own.length)})`)
  }
  const survivors = verdicts.filter(({ fate }) => fate === 'survived').map(({ mutant }) => mutant)
  const sorted = survivors.toSorted((one, other) => one.file.localeCompare(other.file) || one.start - other.start)
  for (const mutant of sorted) print(`survived: ${describeMutant(mutant)}`)
  const late = verdicts.filter(({ fate }) => fate === 'late').length
  const killed = verdicts.length - survivors.length
  const score = killed / Math.max(1, verdicts.length)
  print(`${killed} of ${verdicts.length} killed (${percent(score)}), ${late} of them by the end of their time`)
  return { killed, late, survivors: sorted, score }
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`
}
