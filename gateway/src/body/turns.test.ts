import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { Turns } from './turns.ts'

test('turns are given in the order of asking, one in each round of the loop, and other work comes between', async () => {
  const turns = new Turns()
  const told: string[] = []
  const work = async (name: string, count: number) => {
    for (let turn = 0; turn < count; turn += 1) {
      await turns.next()
      told.push(name)
    }
  }
  let isOver = false
  const round = () => {
    told.push('-')
    if (!isOver) setImmediate(round)
  }
  const all = Promise.all([work('a', 3), work('b', 2), work('c', 1)])
  setImmediate(round)
  await all
  isOver = true
  deepEqual(told.join('').replace(/-+$/, ''), 'a-b-c-a-b-a')
  await turns.next()
})
