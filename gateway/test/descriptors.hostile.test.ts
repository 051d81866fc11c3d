import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { describe, it } from 'node:test'
import { startAttack } from './attacker.ts'
import { nowMs, waitUntil } from './deadline.ts'
import { exchangeRaw } from './raw-client.ts'
import { adminPort, askHealthily, metricOf, rssOf } from './watch.ts'
import { chat, readEvents, withPair } from './wire.ts'

const descriptors = 256
const connects = 1_000
/** The shell lowers the limit, and becomes the gateway. */
const wrapper = ['sh', '-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh']

const isHealthy = (port: number) =>
  exchangeRaw(port, { path: '/health' }, 2_000).then(
    ({ head }) => head.status === 200,
    () => false,
  )

describe('R13: descriptors', () => {
  it(`with ${descriptors} descriptors and ${connects} connects the admin is answered throughout, and others find a place`, () =>
    withPair({ wrapper }, async ({ engine, gateway }) => {
      const admin = await adminPort(gateway)
      engine.script({ tokens: 60, intervalMs: 100 })
      const stream = await chat(gateway, { stream: true })
      await using attack = await startAttack({ port: gateway.port, sockets: connects, opening: '' })
      await attack.until(({ opened, refused }) => opened + refused >= connects, 'the flood is here', 20_000)
      const floodedMs = nowMs()
      assert.ok((await metricOf(admin, 'hearth_connections')) <= descriptors / 2)
      assert.ok(readdirSync(`/proc/${gateway.pid}/fd`).length < descriptors)
      for (let count = 0; count < 20; count += 1) assert.equal(await isHealthy(admin), true)
      await waitUntil(() => isHealthy(gateway.port), 5_000, 'the public health answers while the flood is held')
      const shed = {
        full: await metricOf(admin, 'hearth_connections_shed_total', '{why="full"}'),
        idle: await metricOf(admin, 'hearth_connections_shed_total', '{why="idle"}'),
      }
      console.log(
        `public health after ${Math.round(nowMs() - floodedMs)} ms, shed ${JSON.stringify(shed)}, RSS ${Math.round(rssOf(gateway.pid))} MiB`,
      )
      assert.ok(shed.full > 0 && shed.idle > 0)
      await attack.stop()
      const releasedMs = nowMs()
      await waitUntil(() => isHealthy(gateway.port), 5_000, 'it serves again')
      console.log(`served again ${Math.round(nowMs() - releasedMs)} ms after the release`)
      assert.equal((await askHealthily(gateway, (asked) => asked < 30)).errors, 0)
      const events = readEvents(await stream.text())
      assert.deepEqual([events.done, events.errors], [true, []], 'the stream from before the flood is whole')
      await gateway.waitForLog(({ message }) => message === 'connections full', 'the log says it')
    }))

  it('without a bound below the descriptors the same flood takes them all, and nobody is answered', () =>
    withPair({ wrapper, sections: { limits: { connectionsMax: 10_000 } } }, async ({ gateway }) => {
      const admin = await adminPort(gateway)
      await using attack = await startAttack({ port: gateway.port, sockets: connects, opening: '' })
      await attack.until(({ opened, refused }) => opened + refused >= connects, 'the flood is here', 20_000)
      assert.equal(await isHealthy(admin), false)
      await attack.stop()
      await waitUntil(() => isHealthy(gateway.port), 5_000, 'it serves again')
    }))

  it('a flood that comes again and again does not shut out callers for ever', () =>
    withPair({ wrapper }, async ({ gateway }) => {
      const admin = await adminPort(gateway)
      await using attack = await startAttack({ port: gateway.port, sockets: connects, opening: '', again: true })
      await attack.until(({ opened }) => opened >= connects, 'the flood is here', 20_000)
      let tries = 0
      for (let served = 0; served < 5; served += 1)
        await waitUntil(
          async () => {
            tries += 1
            assert.equal(await isHealthy(admin), true)
            return isHealthy(gateway.port)
          },
          10_000,
          'somebody is served',
        )
      console.log(`5 answers in ${tries} tries: ${JSON.stringify(await attack.tally())}`)
    }))
})
