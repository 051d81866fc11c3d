/**
 * Asks a gateway for pictures from elsewhere, in every way, inside of a network namespace where each packet that
 * leaves is counted: run by remote-pictures.hostile.test.ts through `unshare --net`. Its last line is the result.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import { bodyWith, places, remoteUrls } from './remote-urls.ts'
import { inParallel } from './seeded.ts'
import { chatPath, endPair, startPair } from './wire.ts'

const way = 'out0'
const farEnd = 'out1'

/** What came of the whole corpus; the outer test judges it. */
export interface RemoteResult {
  readonly urls: number
  readonly places: number
  readonly statuses: Readonly<Record<string, number>>
  readonly codes: Readonly<Record<string, number>>
  /** Requests whose answer was not what their place demands. */
  readonly wrong: readonly string[]
  readonly errors: readonly string[]
  readonly atEngine: number
  readonly trapped: number
  readonly packets: number
  /** Packets of one deliberate connect, after all that. */
  readonly controlPackets: number
}

function openNamespace(): void {
  const run = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  run('link', 'set', 'lo', 'up')
  run('link', 'add', way, 'type', 'veth', 'peer', 'name', farEnd)
  // Nothing but what somebody sends: no announcements, no questions who has an address.
  for (const end of [way, farEnd]) {
    run('link', 'set', end, 'addrgenmode', 'none', 'multicast', 'off', 'arp', 'off')
    run('link', 'set', end, 'up')
  }
  run('address', 'add', '198.18.0.2/30', 'dev', way)
  run('route', 'add', 'default', 'dev', way)
  run('-6', 'address', 'add', '2001:db8::2/64', 'dev', way, 'nodad')
  run('-6', 'route', 'add', 'default', 'dev', way)
}

/** Packets that went out, whatever became of them. */
function packetsOut(): number {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((text) => text.trim().startsWith(`${way}:`))
  const fields = line?.split(':')[1]?.trim().split(/\s+/) ?? []
  return Number(fields[9]) + Number(fields[11])
}

async function main(): Promise<void> {
  openNamespace()
  let trapped = 0
  const trap = createServer((socket) => {
    trapped += 1
    socket.destroy()
  }).listen(0, '::')
  await once(trap, 'listening')
  const { port } = trap.address() as AddressInfo
  const pair = await startPair({ modelConfig: { id: 'seer', served: 'qwen2.5-vl-tiny', vision: {} } })
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })
  const before = packetsOut()
  const urls = remoteUrls(port)
  const statuses: Record<string, number> = {}
  const codes: Record<string, number> = {}
  const errors = new Set<string>()
  const wrong: string[] = []
  const work = urls.flatMap((url, at) =>
    [0, 1].map((turn) => ({ url, place: places[(2 * at + turn) % places.length], escaped: at % 3 === 1 })),
  )
  await inParallel(work, 16, async ({ url, place, escaped }) => {
    if (place === undefined) return
    const headers = { authorization: `Bearer ${pair.gateway.key}`, 'content-type': 'application/json' }
    const outgoing = request({
      agent,
      host: '127.0.0.1',
      port: pair.gateway.port,
      method: 'POST',
      path: chatPath,
      headers,
    })
    outgoing.end(bodyWith(place, url, escaped))
    const [incoming]: IncomingMessage[] = await once(outgoing, 'response')
    let text = ''
    for await (const part of incoming?.setEncoding('utf8') ?? []) text += String(part)
    const status = incoming?.statusCode ?? 0
    statuses[status] = (statuses[status] ?? 0) + 1
    if (status >= 400) {
      errors.add(text)
      const code = String(JSON.parse(text).error.code)
      codes[code] = (codes[code] ?? 0) + 1
    }
    if (place.fetched ? status !== 400 : status !== 200 && status !== 400)
      wrong.push(`${place.name}: ${status} to ${JSON.stringify(url)}: ${text.slice(0, 200)}`)
  })
  const atEngine = pair.engine.counts().requests
  const packets = packetsOut() - before
  agent.destroy()
  await endPair(pair)
  trap.close()
  await control()
  const result: RemoteResult = {
    ...{ urls: urls.length, places: places.length, statuses, codes, wrong: wrong.slice(0, 10) },
    ...{ errors: [...errors], atEngine, trapped, packets, controlPackets: packetsOut() - before - packets },
  }
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

/** What a fetch of one of these would do: it must move the counter, or the counter proves nothing. */
async function control(): Promise<void> {
  const socket = connect({ host: '169.254.169.254', port: 80, timeout: 300 })
  socket.on('error', () => {}).on('timeout', () => socket.destroy())
  await once(socket, 'close')
}

await main()
