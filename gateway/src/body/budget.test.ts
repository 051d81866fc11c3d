import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HearthError } from '../errors.ts'
import { BodyBudget, type Reservation } from './budget.ts'

const noRoom = (error: unknown) => error instanceof HearthError && error.code === 'body_budget'

test('a reservation takes what it grows to, and gives it back once', () => {
  const budget = new BodyBudget({ bytesMax: 100, bytesPerHolderMax: 100 })
  const held = budget.open()
  held.growTo(40)
  held.growTo(60)
  equal(budget.bytesHeld, 60)
  held.release()
  held.release()
  equal(budget.bytesHeld, 0)
})

test('growTo() throws body_budget when there is no room, and keeps what was held', () => {
  const budget = new BodyBudget({ bytesMax: 100, bytesPerHolderMax: 100 })
  const [one, two] = [budget.open(), budget.open()]
  one.growTo(70)
  two.growTo(30)
  throws(() => two.growTo(31), noRoom)
  equal(budget.bytesHeld, 100)
  one.release()
  two.growTo(100)
  equal(budget.bytesHeld, 100)
})

test('growTo() never shrinks a reservation', () => {
  const budget = new BodyBudget({ bytesMax: 100, bytesPerHolderMax: 100 })
  const held = budget.open()
  held.growTo(50)
  held.growTo(10)
  equal(budget.bytesHeld, 50)
})

test('one holder gets no more than its share, and has it again when its bodies are released', () => {
  const budget = new BodyBudget({ bytesMax: 100, bytesPerHolderMax: 75 })
  const [one, other, stranger] = [budget.open('a'), budget.open('a'), budget.open('b')]
  one.growTo(50)
  throws(() => other.growTo(26), noRoom)
  stranger.growTo(50)
  throws(() => other.growTo(1), noRoom)
  one.release()
  stranger.release()
  throws(() => other.growTo(76), noRoom)
  other.growTo(75)
  equal(budget.bytesHeld, 75)
})

test('a reservation frees what hangs on it when it is released, once, and at once where it was released before', () => {
  let freed = 0
  const held = new BodyBudget({ bytesMax: 1, bytesPerHolderMax: 1 }).open()
  held.onRelease(() => {
    freed += 1
  })
  equal(freed, 0)
  held.release()
  held.release()
  equal(freed, 1)
  held.onRelease(() => {
    freed += 1
  })
  equal(freed, 2)
})

test('the budget is one for all holders together, to the byte', () => {
  const budget = new BodyBudget({ bytesMax: 10, bytesPerHolderMax: 8 })
  const [one, other] = [budget.open('a'), budget.open('b')]
  one.growTo(6)
  throws(() => other.growTo(5), noRoom)
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
  throws(() => other.growTo(4), noRoom)
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
  throws(() => budget.open().growTo(1), noRoom)
})

test('whatever is opened, grown and released, the budget holds the sum of what is open and never more than it may', () => {
  const move = fc.record({ do: fc.constantFrom('open', 'grow', 'release'), pick: fc.nat(50), bytes: fc.nat(60) })
  fc.assert(
    fc.property(fc.nat(120), fc.array(move, { maxLength: 60 }), (bytesMax, moves) => {
      const budget = new BodyBudget({ bytesMax, bytesPerHolderMax: bytesMax })
      const open = new Map<Reservation, number>()
      const sum = () => [...open.values()].reduce((total, bytes) => total + bytes, 0)
      for (const { do: verb, pick, bytes } of moves) {
        const [held, before = 0] = [...open][pick % open.size] ?? []
        if (verb === 'open' || held === undefined) open.set(budget.open(), 0)
        else if (verb === 'release') {
          held.release()
          open.delete(held)
        } else if (sum() + Math.max(0, bytes - before) > bytesMax) throws(() => held.growTo(bytes), noRoom)
        else {
          held.growTo(bytes)
          open.set(held, Math.max(before, bytes))
        }
        ok(budget.bytesHeld <= bytesMax)
        equal(budget.bytesHeld, sum())
      }
      for (const held of open.keys()) held.release()
      deepEqual(budget.bytesHeld, 0)
    }),
  )
})
