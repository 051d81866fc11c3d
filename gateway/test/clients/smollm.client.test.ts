import { after, before, describe, it } from 'node:test'
import { embedded, startTestChain, type TestChain } from '../chain-fixture.ts'
import { waitUntil } from '../deadline.ts'
import type { Client } from './ask.ts'
import { complete } from './bench.ts'
import { realCases } from './cases-real.ts'
import { startersOf } from './clients.ts'
import { keepResults } from './results.ts'

const results = keepResults('real')
const idleMs = 10_000
/** A small model on two cores, with other clients beside it. */
const timeoutMs = 60_000

describe('a real model behind gateway, sidecar, WireGuard and Traefik', () => {
  let test: TestChain
  before(async () => {
    test = await startTestChain({ engine: embedded() })
  })
  after(async () => {
    await test[Symbol.asyncDispose]()
    results.write()
  })
  for (const { name, skip, start } of startersOf(process.env))
    describe(name, { skip }, () => {
      let client: Client
      const opened: Client[] = []
      before(async () => {
        client = await start()
        opened.push(client)
      })
      after(async () => {
        for (const each of opened) await each[Symbol.asyncDispose]()
      })
      for (const { name: row, without, play } of realCases) {
        const reason = without?.[name]
        if (reason !== undefined) results.put(row, name, `– ${reason}`)
        else
          it(`${name}: ${row}`, async () => {
            const { chain } = test
            const model = chain.models[0]?.id ?? ''
            const signal = new AbortController().signal
            const cell = await play({
              client,
              model,
              ask: (ask = {}) =>
                client.ask({ ...complete(ask, chain.gatewayUrl, chain.key), model, timeoutMs }, signal),
              idle: async () => void (await waitUntil(() => isIdle(test), idleMs, 'no slot of the engine is at work')),
            })
            results.put(row, name, cell ?? '✓')
          })
      }
    })
})

/** Asked of the engine itself. */
async function isIdle({ chain }: TestChain): Promise<boolean> {
  const text = await (await fetch(`http://127.0.0.1:${chain.ports.engine}/metrics`)).text()
  return /^llamacpp:requests_processing 0$/m.test(text)
}
