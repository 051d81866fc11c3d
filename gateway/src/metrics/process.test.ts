import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { Catalog } from './catalog.ts'
import { registerProcess } from './process.ts'

function readersOf(): (name: string) => ReadonlyMap<string, number> {
  const catalog = new Catalog()
  registerProcess(catalog)
  return (name) => {
    const metric = catalog.all.find((one) => one.name === name)
    return new Map([...(metric?.read() ?? [])].map(({ labels, value }) => [Object.values(labels).join(), value]))
  }
}

test('R52: a blocked event loop is seen in the next scrape, and no longer in the one after it', async (t) => {
  const read = readersOf()
  const delays = () => read('hearth_loop_delay_seconds')
  equal(delays().size, 0)
  // The timer that measures wants to have run once before the block.
  await wait(100)
  const until = performance.now() + 400
  while (performance.now() < until);
  await wait(60)
  const blocked = delays()
  await wait(200)
  const after = delays()
  t.diagnostic(`max ${blocked.get('max')} s in a loop that was blocked for 0.4 s, ${after.get('max')} s afterwards`)
  ok(Number(blocked.get('max')) > 0.3, `${blocked.get('max')}`)
  ok(Number(after.get('max')) < Number(blocked.get('max')), `${after.get('max')}`)
})

test('the process tells its time, its memory and its files as other programs do', () => {
  const read = readersOf()
  for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_open_fds'])
    ok(Number(read(name).get('')) > 0, name)
  ok(Math.abs(Number(read('process_start_time_seconds').get('')) - Date.now() / 1000) < 600)
  equal([...read('hearth_build_info').values()].join(), '1')
})
