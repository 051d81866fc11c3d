import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { runChild } from './children.ts'
import { equivalents } from './equivalent.data.ts'
import { describeMutant, findMutants, isEquivalent, sampleOf } from './mutants.ts'
import { mutatedFiles, testsOf } from './run-mutants.ts'
import { applySwap } from './swap.ts'

const textsOf = (source: string) => findMutants('a.ts', source).map((mutant) => applySwap(source, mutant))

test('relations are moved by one and turned round, logic is swapped', () => {
  deepEqual(textsOf('f(a < b)'), [';', 'f(a <= b)', 'f(a >= b)'])
  deepEqual(textsOf('x = a === b && c'), [';', 'x = a !== b && c', 'x = a === b || c'])
})

test('numbers go one up and one down, booleans flip, short texts are emptied and long ones are left', () => {
  deepEqual(textsOf('const a = 5').toSorted(), ['const a = 4', 'const a = 6'])
  deepEqual(textsOf('const a = true'), ['const a = false'])
  deepEqual(textsOf("const a = 'host'"), ["const a = ''"])
  deepEqual(textsOf("const a = 'A text for people.'"), [])
})

test('statements and throws go, conditions are settled, lists are emptied', () => {
  deepEqual(textsOf('if (a) throw b'), ['if (true) throw b', 'if (false) throw b', 'if (a) ;'])
  deepEqual(textsOf('const a = [b]'), ['const a = []'])
  deepEqual(textsOf('function f() { return a }'), ['function f() { ; }'])
})

test('patterns lose their ends, their repeats and their sense, and stay patterns', () => {
  deepEqual(
    textsOf('const a = /^[a]+$/i').toSorted(),
    [
      'const a = /[a]+$/i',
      'const a = /^[^a]+$/i',
      'const a = /^[a]$/i',
      'const a = /^[a]+$/',
      'const a = /^[a]+/i',
    ].toSorted(),
  )
})

test('types, imports and names of properties are left alone', () => {
  deepEqual(textsOf("import { a } from 'b'\ntype T = 'c' | 1\ninterface I { d: 2 }\nconst e = { 'f': g } as T"), [])
})

test('every mutant of the edge is still a program, and one place is never changed twice in one way', () => {
  for (const file of mutatedFiles()) {
    const source = readFileSync(file, 'utf8')
    const mutants = findMutants(file, source)
    equal(new Set(mutants.map((mutant) => applySwap(source, mutant))).size, mutants.length, file)
    ok(
      mutants.every((mutant) => applySwap(source, mutant) !== source),
      file,
    )
  }
})

test('the same seed chooses the same mutants, another seed others', () => {
  const mutants = findMutants('a.ts', Array.from({ length: 50 }, (_, at) => `a(${at})`).join('\n'))
  const chosen = (seed: number) => sampleOf(mutants, 10, seed).map(describeMutant)
  equal(chosen(1).length, 10)
  deepEqual(chosen(1), chosen(1))
  ok(chosen(1).join() !== chosen(2).join())
})

test('every equivalent mutant that is listed is a mutant of today, with a reason', () => {
  for (const known of equivalents) {
    const source = readFileSync(known.file, 'utf8')
    const found = findMutants(known.file, source).filter((mutant) => isEquivalent(mutant, source, [known]))
    ok(found.length > 0, `no mutant is ${known.file}: ${known.line}: ${known.was} → ${known.text}`)
    ok(known.reason.length > 20, known.reason)
  }
})

test('the tests of a file are its own first, then those that lead to it', () => {
  const tests = testsOf('gateway/src/edge/verdict.ts')
  equal(tests[0], 'gateway/src/edge/verdict.test.ts')
  ok(tests.includes('gateway/src/edge/front-door.test.ts') || tests.includes('gateway/src/edge/verdict-names.test.ts'))
  throws(() => applySwap('a', { file: 'a.ts', start: 0, was: 'b', text: '' }))
})

test('a planted mistake is killed by the tests of its file, and a change that changes nothing is not', async () => {
  const file = 'gateway/src/edge/verdict.ts'
  const source = readFileSync(file, 'utf8')
  const args = ['gateway/test/mutation/until-red.ts', 'gateway/src/edge/verdict.test.ts']
  const start = source.indexOf("url.startsWith('/')")
  const planted = { file, start, was: "url.startsWith('/')", text: 'true' }
  const same = { ...planted, text: "url[0] === '/'" }
  const [killed, lives, hangs] = await Promise.all([
    runChild(args, planted, 20_000),
    runChild(args, same, 20_000),
    runChild(args, { ...planted, text: '(() => { for (;;); })()' }, 3_000),
  ])
  deepEqual([killed.code, killed.late, lives.code, lives.late, hangs.late], [1, false, 0, false, true])
})
