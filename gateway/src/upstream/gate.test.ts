import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { errorHeaders, errorTable, HearthError, isErrorCode } from '../errors.ts'
import { Gate, mayPass } from './gate.ts'

const patienceMs = 25_000
const down = new HearthError('mesh_not_ready')
const forGood = new HearthError('mesh_auth_expired')

/** A gate whose road has worked, at 0. */
function openGate(random = 0): Gate {
  const gate = new Gate({ patienceMs, random: () => random })
  gate.enter(0)
  gate.succeeded(0)
  return gate
}

test('what may pass by itself is what callers are told to try again within seconds', () => {
  for (const code of Object.keys(errorTable).filter(isErrorCode)) {
    const afterS = Number(errorHeaders(new HearthError(code))['retry-after'] ?? 60)
    if (code.startsWith('mesh_')) equal(mayPass(code), afterS <= 5, code)
    else equal(mayPass(code), false, code)
  }
})

test('an open road is for all; one that nobody has tried yet is for one at a time', () => {
  const gate = openGate()
  deepEqual([gate.enter(1).go, gate.enter(1).go], ['dial', 'dial'])
  const fresh = new Gate({ patienceMs, random: () => 0 })
  deepEqual([fresh.enter(0).go, fresh.enter(0).go, fresh.reason], ['trial', 'wait', undefined])
})

test('after a failure one tries for all, once a second, and its success opens the road', () => {
  const gate = openGate()
  gate.failed(down, 'dial', 10, 10)
  deepEqual(gate.enter(10), { go: 'wait', forMs: 1_000 })
  equal(gate.enter(1_010).go, 'trial')
  deepEqual(gate.enter(1_010), { go: 'wait', forMs: undefined })
  gate.failed(down, 'trial', 1_010, 1_400)
  deepEqual(gate.enter(1_400), { go: 'wait', forMs: 610 })
  equal(gate.enter(2_010).go, 'trial')
  gate.succeeded(2_020)
  deepEqual([gate.enter(2_020).go, gate.reason], ['dial', undefined])
})

test('jitter only ever makes the pause longer', () => {
  const gate = openGate(0.999)
  gate.failed(down, 'dial', 0.5, 0.5)
  equal(gate.enter(1_400).go, 'wait')
  equal(gate.enter(1_501).go, 'trial')
})

test('a reason that needs somebody to act is told at once; so is every reason of a long outage', () => {
  const gate = openGate()
  gate.failed(forGood, 'dial', 1, 1)
  deepEqual(gate.enter(2), { go: 'refuse', reason: forGood })
  const long = openGate()
  long.failed(down, 'dial', 1, 1)
  for (let at = 1_001; at < patienceMs; at += 1_000) {
    equal(long.enter(at).go, 'trial')
    equal(long.enter(at).go, 'wait')
    long.failed(down, 'trial', at, at)
  }
  equal(long.enter(26_001).go, 'trial')
  deepEqual(long.enter(26_001), { go: 'refuse', reason: down })
})

test('an old reason is not believed: whoever comes waits for the verdict', () => {
  const gate = openGate()
  gate.failed(forGood, 'dial', 1, 1)
  equal(gate.enter(40_000).go, 'trial')
  deepEqual(gate.enter(40_000), { go: 'wait', forMs: undefined })
})

test('one who leaves in the middle of a trial says nothing about the road, and its place is free a second after it began', () => {
  const gate = openGate()
  gate.failed(down, 'dial', 0.5, 0.5)
  equal(gate.enter(1_001).go, 'trial')
  gate.abandoned('trial', 1_001, 1_002)
  deepEqual([gate.enter(1_500).go, gate.enter(2_001).go, gate.reason], ['wait', 'trial', down])
})

test('a dial from before the road opened proves nothing about it', () => {
  const gate = openGate()
  equal(gate.enter(5).go, 'dial')
  gate.failed(down, 'dial', 6, 6)
  gate.succeeded(100)
  gate.failed(down, 'dial', 5, 19_000)
  equal(gate.enter(19_000).go, 'dial')
})

test('after a cut tunnel the next dial goes alone', () => {
  const gate = openGate()
  gate.doubt(50)
  deepEqual([gate.enter(50).go, gate.enter(50).go], ['trial', 'wait'])
})

test('however callers come and go, trials start a second apart and never two at a time', () => {
  const step = fc.record({ afterMs: fc.nat(700), what: fc.constantFrom('come', 'fail', 'leave') })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (steps, random) => {
      const gate = openGate(random)
      gate.failed(down, 'dial', 1, 1)
      let now = 1
      let lastStart = 1
      let running = false
      for (const { afterMs, what } of steps) {
        now += afterMs
        if (what === 'come' && gate.enter(now).go === 'trial') {
          ok(!running && now - lastStart >= 1_000)
          lastStart = now
          running = true
        } else if (what !== 'come' && running) {
          if (what === 'fail') gate.failed(down, 'trial', lastStart, now)
          else gate.abandoned('trial', lastStart, now)
          running = false
        }
      }
    }),
  )
})
