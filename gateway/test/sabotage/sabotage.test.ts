import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseAst } from 'rolldown/parseAst'
import { applySwap, swapOf } from '../mutation/swap.ts'
import { patches } from './patches.data.ts'
import { runTests, swapOfPatch } from './run-sabotage.ts'

test('every patch applies exactly once, and what comes out is a program', () => {
  for (const patch of patches) {
    const source = readFileSync(patch.file, 'utf8')
    parseAst(applySwap(source, swapOfPatch(patch)), { lang: 'ts' }, patch.file)
  }
})

test('every patch has a name and a row of its own kind, and a test that is there', () => {
  ok(patches.length >= 20)
  equal(new Set(patches.map(({ name }) => name)).size, patches.length)
  for (const { name, row, seenBy } of patches) {
    ok(/^R\d\d$/.test(row), name)
    ok(existsSync(seenBy.file) && readFileSync(seenBy.file, 'utf8').includes('test'), seenBy.file)
  }
})

test('a patch that does not apply, or applies twice, is an error', () => {
  const file = 'a.ts'
  deepEqual(swapOf('one two', { file, was: 'two', text: '2' }), { file, start: 4, was: 'two', text: '2' })
  throws(() => swapOf('one two', { file, was: 'three', text: '3' }), /0 times; wanted exactly once/)
  throws(() => swapOf('one one', { file, was: 'one', text: '1' }), /2 times; wanted exactly once/)
  throws(() => applySwap('one two', { file, start: 1, was: 'two', text: '' }), /has "ne " at 1; wanted "two"/)
})

test('a swap that does not fit the file on disk, and a test that is not there, are no verdict', async () => {
  const file = 'gateway/src/edge/verdict.test.ts'
  const swap = { file: 'gateway/src/edge/verdict.ts', start: 0, was: 'nothing like it', text: '' }
  equal((await runTests(file, ['each rule has its code'], swap)).colour, 'broken')
  equal((await runTests(file, ['no test has this name'], undefined)).colour, 'broken')
})
