import { equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { HearthError } from '../errors.ts'
import { BodyBudget } from './budget.ts'

const full = (error: unknown) => error instanceof HearthError && error.code === 'body_budget'

test('the budget is one for all holders together, to the byte', () => {
  const budget = new BodyBudget({ bytesMax: 10, bytesPerHolderMax: 8 })
  const [one, other] = [budget.open('a'), budget.open('b')]
  one.growTo(6)
  throws(() => other.growTo(5), full)
  other.growTo(4)
  equal(budget.bytesHeld, 10)
  one.release()
  other.growTo(8)
  equal(budget.bytesHeld, 8)
})

test('the share of a holder is counted over all of its bodies, to the byte', () => {
  const budget = new BodyBudget({ bytesMax: 100, bytesPerHolderMax: 8 })
  const [one, other, third] = [budget.open('a'), budget.open('a'), budget.open('b')]
  one.growTo(5)
  throws(() => other.growTo(4), full)
  other.growTo(3)
  third.growTo(8)
  one.release()
  other.growTo(8)
  other.release()
  third.release()
  equal(budget.bytesHeld, 0)
})

test('those who name no holder share one', () => {
  const budget = new BodyBudget({ bytesMax: 100, bytesPerHolderMax: 8 })
  budget.open().growTo(8)
  throws(() => budget.open().growTo(1), full)
})
