import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'

/** A port that someone else holds. The message names who and the fix. */
export class BusyPortError extends Error {
  override readonly name = 'BusyPortError'
}

/** Below the range from which the system takes ports for outgoing connections, so that none of those gets in between. */
const freePortMin = 20_000
const freePortMax = 32_000
const tries = 200

/** A port of loopback that nothing listens on now and that this call has not given to anyone before. */
export async function findFreePort(given: Set<number>): Promise<number> {
  for (let attempt = 0; attempt < tries; attempt += 1) {
    const port = freePortMin + Math.floor(Math.random() * (freePortMax - freePortMin))
    if (given.has(port) || !(await canListen(port, '127.0.0.1'))) continue
    given.add(port)
    return port
  }
  throw new BusyPortError(`no free port found between ${freePortMin} and ${freePortMax}; close some programs`)
}

/** Throws a BusyPortError when something listens on the port; `fix` says how to choose another. */
export async function requireFreePort(port: number, use: string, fix: string): Promise<void> {
  if ((await canListen(port, '127.0.0.1')) && (await canListen(port, '0.0.0.0'))) return
  const owner = findListener(port)
  const held = owner === undefined ? 'another program' : `process ${owner.pid} (${owner.command})`
  throw new BusyPortError(`port ${port}, wanted for ${use}, is held by ${held}. End it, or choose another with ${fix}`)
}

function canListen(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** Only Linux tells; elsewhere the owner stays unnamed. */
function findListener(port: number): { readonly pid: number; readonly command: string } | undefined {
  try {
    const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listInodes(table, port)))
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      if (!holdsSocket(pid, inodes)) continue
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      return { pid: Number(pid), command: command.slice(0, 120) }
    }
  } catch {
    // No such file system, or no right to read it.
  }
  return undefined
}

const listening = '0A'

function listInodes(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const rows = readFileSync(table, 'utf8')
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
  return rows.filter((row) => row[1]?.endsWith(suffix) && row[3] === listening).flatMap((row) => row[9] ?? [])
}

function holdsSocket(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]
      return inode !== undefined && inodes.has(inode)
    })
  } catch {
    return false
  }
}
