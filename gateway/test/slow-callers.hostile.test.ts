import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Plan, startAttack } from './attacker.ts'
import type { Gateway } from './harness.ts'
import { adminPort, askHealthily, type Latencies, metricOf, round, rssOf, smallHeapEnv } from './watch.ts'
import { chatPath, withPair } from './wire.ts'

const mebibyte = 1024 * 1024
const calmAsks = 100
const calmPauseMs = 50
/** The machine is shared with the attacker: a healthy caller may become so many times slower, and no more. */
const slowerMax = 20
const headMs = 10_000

/** Compares the same caller before and during an attack, and prints both. */
function assertHealthy(before: Latencies, during: Latencies): void {
  console.log(`healthy caller before: ${JSON.stringify(before)}`)
  console.log(`healthy caller during: ${JSON.stringify(during)}`)
  assert.deepEqual([before.errors, during.errors], [0, 0])
  assert.ok(during.p50 <= slowerMax * before.p50, 'the median of healthy callers')
}

const chatHead = (framing: string, key?: string) =>
  `POST ${chatPath} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${key === undefined ? '' : `Authorization: Bearer ${key}\r\n`}${framing}\r\n\r\n`

describe('R10: slow heads', () => {
  it('5,000 sockets that never finish their heads are closed in time, and cost neither memory nor answers', () =>
    withPair({ env: smallHeapEnv() }, async ({ gateway }) => {
      const before = await askHealthily(gateway, (asked) => asked < 1_000)
      // The most that healthy callers alone made of it; more of them would let the heap grow on, attack or not.
      const restMib = rssOf(gateway.pid, 'VmHWM')
      const plan = { port: gateway.port, sockets: 5_000, opening: 'GET /v1/models HTTP/1.1\r\nHost: a\r\nX-A: ' }
      await using attack = await startAttack({ ...plan, trickle: { text: 'b', everyMs: 3_000 } })
      let over = false
      const healthy = askHealthily(gateway, () => !over, calmPauseMs)
      const tally = await attack.until(
        ({ opened, open }) => opened === plan.sockets && open === 0,
        'all are closed',
        40_000,
      )
      over = true
      const during = await healthy
      assertHealthy(before, during)
      const growthMib = rssOf(gateway.pid, 'VmHWM') - restMib
      console.log(`${JSON.stringify(tally)}; RSS grew by at most ${round(growthMib)} MiB`)
      assert.deepEqual(Object.keys(tally.statuses), ['408'])
      assert.ok(tally.closedMsMax <= 1.2 * headMs + during.max, 'the last was closed in time')
      assert.ok(growthMib <= 64)
    }))
})

describe('R11: slow bodies', () => {
  const sockets = 2_000
  const slowly: Pick<Plan, 'sockets' | 'trickle'> = { sockets, trickle: { text: '1234567890', everyMs: 1_000 } }
  const bodyIdleMs = 2_000
  /** The healthy caller's own body. */
  const ownBytesMax = 1_000

  async function attackSlowly(gateway: Gateway, opening: string, status: string, heldMax: number): Promise<void> {
    const admin = await adminPort(gateway)
    const before = await askHealthily(gateway, (asked) => asked < calmAsks)
    await using attack = await startAttack({ port: gateway.port, ...slowly, opening })
    let over = false
    const healthy = askHealthily(gateway, () => !over)
    await attack.until(({ opened }) => opened > sockets / 2, 'the attack is under way', 20_000)
    const heldDuring = await metricOf(admin, 'hearth_body_bytes_held')
    const tally = await attack.until(
      ({ opened, open }) => opened === sockets && open === 0,
      'all are answered and closed',
      40_000,
    )
    over = true
    assertHealthy(before, await healthy)
    const held = await metricOf(admin, 'hearth_body_bytes_held')
    console.log(JSON.stringify(tally))
    assert.ok((tally.statuses[status] ?? 0) >= 0.99 * sockets, `all but a few read ${status}: ${JSON.stringify(tally)}`)
    assert.equal(held, 0)
    assert.ok(heldDuring <= heldMax, `${heldDuring} bytes were held`)
  }

  it('2,000 uploads at 10 B/s without a key are answered 401, and nothing of them is held', () =>
    withPair({}, async ({ gateway }) => {
      await attackSlowly(gateway, chatHead(`Content-Length: ${mebibyte}`), '401', ownBytesMax)
    }))

  it('2,000 uploads at 10 B/s with a key are answered 408', () =>
    withPair({ sections: { timeouts: { bodyIdleMs } } }, async ({ gateway }) => {
      await attackSlowly(gateway, chatHead('Content-Length: 20000', gateway.key), '408', sockets * 20_000 + ownBytesMax)
    }))

  for (const [what, limits, left] of [
    ['stays where no pace is wanted', { bodyBytesPerSecondMin: 0 }, 1],
    ['is over by default', {}, 0],
  ] as const)
    it(`an upload at 10 B/s ${what}`, () =>
      withPair({ sections: { limits, timeouts: { bodyIdleMs } } }, async ({ gateway }) => {
        const opening = chatHead('Content-Length: 20000', gateway.key)
        await using attack = await startAttack({
          port: gateway.port,
          ...slowly,
          sockets: 1,
          opening,
          trickle: { text: '12345', everyMs: 500 },
        })
        const until = performance.now() + 2.5 * bodyIdleMs
        const tally = await attack.until(
          ({ opened, open }) => opened === 1 && (open === 0 || performance.now() > until),
          'it is over',
          10_000,
        )
        assert.equal(tally.open, left)
      }))
})
