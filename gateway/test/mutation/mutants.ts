import { parseAst } from 'rolldown/parseAst'
import { child, isNode, type Node, operators } from './operators.ts'
import type { Swap } from './swap.ts'

/** One small mistake that somebody could make in a file; `start`, `was` and `text` as in a swap. */
export interface Mutant extends Swap {
  readonly operator: string
  readonly line: number
}

/** A mutant that changes nothing that anybody could see. */
export interface Equivalent {
  readonly file: string
  /** The line of the source, without the space around it. */
  readonly line: string
  readonly was: string
  readonly text: string
  readonly reason: string
}

/** Every mutant of a source, in the order of the source. Throws where the source is no TypeScript. */
export function findMutants(file: string, source: string): readonly Mutant[] {
  const mutants: Mutant[] = []
  walk(parseAst(source, { lang: 'ts' }, file), (node) => {
    for (const operator of operators) {
      for (const { start, end, text, operator: name } of operator(node, source)) {
        const line = source.slice(0, start).split('\n').length
        mutants.push({ file, start, was: source.slice(start, end), text, operator: name, line })
      }
    }
  })
  return mutants.sort((one, other) => one.start - other.start)
}

/** Whether somebody has looked at this mutant and found that it changes nothing. */
export function isEquivalent(mutant: Mutant, source: string, known: readonly Equivalent[]): boolean {
  const line = source.split('\n')[mutant.line - 1]?.trim()
  return known.some(
    ({ file, line: text, was, text: by }) =>
      file === mutant.file && text === line && was === mutant.was && by === mutant.text,
  )
}

/** `count` mutants by chance, the same ones for the same seed; all of them where there are no more. */
export function sampleOf(mutants: readonly Mutant[], count: number, seed: number): readonly Mutant[] {
  const random = generator(seed)
  return mutants
    .map((mutant) => ({ mutant, at: random() }))
    .sort((one, other) => one.at - other.at)
    .slice(0, count)
    .map(({ mutant }) => mutant)
}

/** One line for people: where, by which operator, what by what. */
export function describeMutant({ file, line, operator, was, text }: Mutant): string {
  const short = (words: string): string => words.replaceAll(/\s+/g, ' ').slice(0, 60)
  return `${file}:${line} ${operator}: ${short(was)} → ${short(text)}`
}

/** Visits what runs: types, imports and the names of properties are nothing that a mutant could change. */
function walk(node: Node, visit: (node: Node) => void): void {
  const bare = /^TS(As|NonNull|Satisfies)/.test(node.type) ? child(node, 'expression') : node
  if (bare === undefined || /^(TS|Import|Export(All|Named)Declaration$)/.test(bare.type)) {
    const declared = bare === undefined ? undefined : child(bare, 'declaration')
    if (declared !== undefined) walk(declared, visit)
    return
  }
  if (bare === node) visit(node)
  else return walk(bare, visit)
  for (const [name, value] of Object.entries(node)) {
    if (name === 'key' && Reflect.get(node, 'computed') === false) continue
    for (const inner of Array.isArray(value) ? value : [value]) if (isNode(inner)) walk(inner, visit)
  }
}

/** Mulberry32: numbers from 0 to 1 that a seed decides. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
