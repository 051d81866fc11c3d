import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { ErrorBodies } from './hygiene.ts'
import type { RemoteResult } from './remote-pictures.ts'

const run = promisify(execFile)
const inner = join(import.meta.dirname, 'remote-pictures.ts')
/** As root, or as one in a namespace of users. */
const unshares: readonly (readonly string[])[] = [['--net'], ['--user', '--map-root-user', '--net']]

test('R31 no picture is fetched from anywhere: no packet leaves, however its URL is written and wherever it stands', async (t) => {
  const unshare = await permitted()
  if (unshare === undefined)
    return t.skip(
      'this machine grants no network namespace with an interface of its own (unshare --net, ip link add type veth)',
    )
  const { stdout } = await run('unshare', [...unshare, process.execPath, inner], { maxBuffer: 64 * 1024 * 1024 })
  const result: RemoteResult = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')
  const { urls, places, statuses, codes, packets, trapped, controlPackets, atEngine } = result
  console.log(
    `${urls} URLs × 2 of ${places} places: ${JSON.stringify(statuses)}, ${JSON.stringify(codes)}, ${atEngine} at the engine as words`,
  )
  console.log(
    `packets that left: ${packets}; of one deliberate connect: ${controlPackets}; connects on loopback: ${trapped}`,
  )
  assert.ok(urls >= 2_000)
  assert.deepEqual(result.wrong, [])
  assert.deepEqual([packets, trapped], [0, 0])
  assert.ok(controlPackets > 0, 'the counter counts nothing')
  assert.equal(atEngine, statuses['200'] ?? 0)
  const errors = new ErrorBodies(['latest/meta-data', 'nip.io', '2130706433'])
  for (const text of result.errors) errors.takeText(text)
  console.log(`${errors.check()} different error bodies`)
})

async function permitted(): Promise<readonly string[] | undefined> {
  for (const flags of unshares) {
    const tried = await run('unshare', [...flags, 'ip', 'link', 'add', 'out0', 'type', 'veth']).catch(() => undefined)
    if (tried !== undefined) return flags
  }
  return undefined
}
