import { deepEqual } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Client } from './ask.ts'
import { type Bench, openBench } from './bench.ts'
import { groups } from './cases.ts'
import { startersOf } from './clients.ts'
import { watchContacts } from './contacts.ts'
import { keepResults } from './results.ts'

const results = keepResults('scripted')
const contacts = watchContacts()
const starters = startersOf(process.env)

// Side by side: they wait more than they work.
describe('a scripted engine behind the gateway', { concurrency: starters.length }, () => {
  for (const { name, skip, start } of starters)
    describe(name, { concurrency: 1, skip }, () => {
      let client: Client
      let bench: Bench & AsyncDisposable
      const opened: AsyncDisposable[] = []
      before(async () => {
        client = await start()
        opened.push(client)
        bench = await openBench(client)
        opened.push(bench)
      })
      after(async () => {
        for (const each of opened) await each[Symbol.asyncDispose]()
      })
      for (const { name: row, without, play } of Object.values(groups).flat()) {
        const reason = without?.[name]
        if (reason !== undefined) results.put(row, name, `– ${reason}`)
        else
          it(`${name}: ${row}`, async () => {
            bench.engine.reset()
            results.put(row, name, (await play(bench)) ?? '✓')
          })
      }
      it(`${name}: contacts nothing but loopback`, () => {
        deepEqual([...(client.refused?.() ?? contacts.addresses)], [])
      })
    })
  after(() => {
    contacts[Symbol.dispose]()
    results.write()
  })
})
