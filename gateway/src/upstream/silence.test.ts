import assert from 'node:assert/strict'
import { beforeEach, describe, it, mock } from 'node:test'
import { Silence } from './silence.ts'

describe('Silence', () => {
  let ends = 0
  let silence: Silence
  beforeEach(() => {
    mock.timers.reset()
    mock.timers.enable({ apis: ['setTimeout', 'Date'] })
    ends = 0
    silence = new Silence(
      () => Date.now(),
      () => {
        ends += 1
      },
    )
  })

  it('ends once, when nothing was heard for as long as it was told', () => {
    silence.start(100)
    mock.timers.tick(99)
    assert.equal(ends, 0)
    mock.timers.tick(1)
    assert.equal(ends, 1)
    mock.timers.tick(1_000)
    assert.equal(ends, 1)
  })

  it('counts from what was heard last, without a timer for each', () => {
    const set = mock.method(globalThis, 'setTimeout')
    silence.start(100)
    for (let step = 0; step < 30; step += 1) {
      mock.timers.tick(10)
      silence.heard(Date.now())
    }
    assert.equal(ends, 0)
    const timers = set.mock.callCount()
    set.mock.restore()
    assert.ok(timers <= 5, `${timers} timers for 30 signs of life in 300 ms`)
    mock.timers.tick(99)
    assert.equal(ends, 0)
    mock.timers.tick(1)
    assert.equal(ends, 1)
  })

  it('never ends once it was stopped', () => {
    silence.start(100)
    silence.stop()
    mock.timers.tick(1_000)
    assert.equal(ends, 0)
  })

  it('starts anew with another limit', () => {
    silence.start(100)
    mock.timers.tick(90)
    silence.start(50)
    mock.timers.tick(49)
    assert.equal(ends, 0)
    mock.timers.tick(1)
    assert.equal(ends, 1)
  })
})
