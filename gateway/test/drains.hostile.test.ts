import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { ofTrials } from './bare-caller.ts'
import { drainOnce, type HoldingEngine, startHoldingEngine, streams, uploads } from './drain-trial.ts'
import { createKey } from './harness.ts'
import { chanceFrom, inParallel, seedOf, Tallies } from './seeded.ts'
import { watchStandstill } from './standstill.ts'
import { summarise } from './watch.ts'

const trials = 50
/** So many with the default of 8 s, the others with a shorter one. */
const trialsOnDefault = 2
const [defaultMs, scaledMs] = [8_000, 2_000]
const width = 6
/** From the deadline of the drain to the exit. */
const exitAfterMs = 1_500

describe('R38 SIGTERM', { concurrency: true }, () => {
  const seed = seedOf(process.env)
  const folder = mkdtempSync(join(tmpdir(), 'hearth-drains-'))
  const standstill = watchStandstill()
  let engine: HoldingEngine
  let key: string
  before(async () => {
    key = await createKey('test', join(folder, 'keys.json'))
    engine = await startHoldingEngine()
  })
  after(async () => {
    await engine[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  for (const [drainMs, first, count] of [
    [scaledMs, 0, trials - trialsOnDefault],
    [defaultMs, trials, trialsOnDefault],
  ] as const)
    it(`lets of ${streams} streams and ${uploads} uploads finish what can in ${drainMs} ms and tells the rest, ${count} times`, async () => {
      const [exits, problems]: [number[], string[]] = [[], []]
      const outcomes = new Tallies<string>()
      await inParallel(Array(count).keys(), width, async (at) => {
        const number = first + at
        const drained = await drainOnce({ engine, key, folder, drainMs, number, chance: chanceFrom(seed + number) })
        exits.push(drained.exitMs - drainMs)
        problems.push(...drained.problems)
        for (const outcome of drained.outcomes) outcomes.add(outcome)
      })
      const { p50, max } = summarise(exits)
      console.log(`${ofTrials(problems.length, count * (streams + uploads))} wrong: ${outcomes}`)
      console.log(`exit p50 ${p50} ms, at most ${max} ms after the ${drainMs} ms, ${count} drains, seed ${seed}`)
      assert.deepEqual(problems.slice(0, 5), [], `${problems.length}, seed ${seed}`)
      assert.ok(
        max <= exitAfterMs + standstill.ms(),
        `it took ${max} ms, while this process stood still for ${standstill.ms()} ms`,
      )
    })
})
