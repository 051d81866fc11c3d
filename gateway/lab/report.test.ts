import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { describeOutcome, jsonLine } from './report.ts'
import type { Outcome, Scenario } from './scenario.ts'

const good: Outcome = {
  plain: { code: 'mesh_unknown', firstAnswerMs: 12_345 },
  cured: { code: 'mesh_refused', firstAnswerMs: 12, seen: { status: 502, code: 'mesh_refused', ms: 7 } },
  claims: [{ text: 'it has a code', holds: true }],
}
const scenario: Scenario = {
  name: 'try',
  about: 'a thing goes wrong',
  arms: { plain: 'without it', cured: 'with it' },
  limitMs: () => 1,
  run: async () => good,
}

describe('the JSON line of a scenario', () => {
  it('holds the name, both arms and the verdict, and nothing else, when all claims hold', () => {
    const { plain, cured } = good
    assert.deepEqual(JSON.parse(jsonLine('try', good)), { scenario: 'try', plain, cured, pass: true })
  })

  it('names what did not hold', () => {
    const line = JSON.parse(
      jsonLine('try', { ...good, claims: [...good.claims, { text: 'it is quick', holds: false }] }),
    )
    assert.deepEqual([line.pass, line.broken], [false, ['it is quick']])
  })

  it('is no pass when nothing was claimed, or when it was skipped for a reason', () => {
    assert.equal(JSON.parse(jsonLine('try', { ...good, claims: [] })).pass, false)
    const skipped = JSON.parse(jsonLine('try', { ...good, skipped: 'wants Linux' }))
    assert.deepEqual([skipped.pass, skipped.skipped], [false, 'wants Linux'])
  })

  it('is one line', () => {
    assert.doesNotMatch(jsonLine('try', { ...good, plain: { text: 'two\nlines' } }), /\n/)
  })
})

describe('the table of a scenario', () => {
  it('puts both arms side by side, with units and without names of fields', () => {
    const rows = describeOutcome(scenario, good).split('\n')
    assert.ok(rows.some((row) => /first answer +12\.3 s +12 ms/.test(row)))
    assert.ok(rows.some((row) => /seen +502 {2}mesh_refused {2}7 ms/.test(row)))
    assert.ok(rows.includes('  ✔ it has a code'))
    assert.ok(rows.includes('pass'))
  })

  it('marks a claim that does not hold and ends in FAIL', () => {
    const text = describeOutcome(scenario, { ...good, claims: [{ text: 'it is quick', holds: false }] })
    assert.match(text, /✖ it is quick\n\nFAIL\n$/)
  })
})
