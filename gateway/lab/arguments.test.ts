import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readArguments, UsageError } from './arguments.ts'
import type { Scenario } from './scenario.ts'

const nothing = async () => ({ plain: {}, cured: {}, claims: [] })
const base = { about: 'a', arms: { plain: 'off', cured: 'on' }, limitMs: () => 1, run: nothing }
const quick: Scenario = { name: 'quick', ...base }
const slow: Scenario = {
  name: 'slow',
  ...base,
  options: { seconds: { about: 'how long', fallback: 30, min: 30, max: 600 } },
}
const read = (...args: string[]) => readArguments(args, [quick, slow])

function run(...args: string[]) {
  const order = read(...args)
  if (order.verb !== 'run') throw new Error(`"${args.join(' ')}" is no run`)
  return order
}

describe('the command line of npm run lab', () => {
  it('knows list, --help and the scenarios by name', () => {
    assert.equal(read('list').verb, 'list')
    assert.equal(read('--help').verb, 'help')
    assert.equal(run('quick').scenario, quick)
    assert.deepEqual([run('quick').json, run('quick', '--json').json], [false, true])
  })

  it('gives an option of the scenario its value, or else its default', () => {
    assert.equal(run('slow').option('seconds'), 30)
    assert.equal(run('slow', '--seconds', '600').option('seconds'), 600)
  })

  for (const [args, wanted] of [
    [[], /list, or one of quick, slow/],
    [['nosuch'], /"nosuch".*quick, slow/],
    [['quick', 'slow'], /one scenario at a time/],
    [['quick', '--seconds', '30'], /--seconds is not an option of quick/],
    [['slow', '--seconds', '29'], /"29".*from 30 to 600/],
    [['slow', '--seconds', '601'], /"601"/],
    [['slow', '--seconds', '3e2'], /"3e2"/],
    [['slow', '--second', '30'], /--second/],
  ] satisfies [string[], RegExp][]) {
    it(`refuses "${args.join(' ')}" and says what is wanted`, () => {
      assert.throws(
        () => read(...args),
        (error) => error instanceof UsageError && wanted.test(error.message),
      )
    })
  }
})
