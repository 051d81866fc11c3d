import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { isProcessAlive } from '../dev/setup/process-alive.mjs'
import { waitUntil, withDeadline } from './deadline.ts'

const execute = promisify(execFile)
const repository = resolve(import.meta.dirname, '../..')
const coldTimeoutMs = 20 * 60_000
const warmTimeoutMs = 10_000
const stopTimeoutMs = 10_000

interface ReadyLine {
  readonly page: string
  readonly api: string
  readonly curl: string
  readonly pids: Readonly<Record<string, number>>
  readonly ms: Readonly<Record<string, number>>
}

describe('a fresh clone with empty caches', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-clone-'))
  const clone = join(folder, 'clone')
  const running = new Set<ChildProcess>()

  before(async () => {
    await execute('git', ['clone', '--quiet', '--no-hardlinks', repository, clone])
  })

  after(async () => {
    for (const child of running) endGroup(child, 'SIGKILL')
    // Go makes its module cache read-only.
    await execute('chmod', ['-R', 'u+w', folder])
    await execute('rm', ['-rf', folder])
  })

  it('comes up by npm start, its curl line streams an answer, and Ctrl-C leaves nothing running', async (t) => {
    const dirty = (await execute('git', ['status', '--porcelain'], { cwd: repository })).stdout.trim()
    if (dirty !== '') t.diagnostic('the working tree has changes that the clone of HEAD does not have')
    await useOnce(t, 'cold', coldTimeoutMs)
  })

  it('is up again within seconds when nothing has changed', async (t) => {
    await useOnce(t, 'warm', warmTimeoutMs)
  })

  async function useOnce(t: TestContext, label: string, timeoutMs: number): Promise<void> {
    const startedAt = performance.now()
    const { child, ready, words } = start()
    const line = await withDeadline(ready, timeoutMs, `npm start prints its ready line (${label})`).catch((error) => {
      throw new Error(`${error instanceof Error ? error.message : error}\n${words()}`)
    })
    t.diagnostic(
      `${label} start: ${((performance.now() - startedAt) / 1000).toFixed(1)} s, chain ${JSON.stringify(line.ms)}`,
    )
    for (const step of words()
      .split('\n')
      .filter((text) => text.startsWith('✓')))
      t.diagnostic(step)
    const answer = await execute('sh', ['-c', line.curl], { timeout: 60_000 })
    assert.match(answer.stdout, /^data: .*"content":"[^"]+"/m)
    assert.match(answer.stdout, /^data: \[DONE\]$/m)
    assert.equal((await fetch(line.page, { signal: AbortSignal.timeout(5_000) })).status, 200)
    const stoppedAt = performance.now()
    const exited = once(child, 'exit')
    endGroup(child, 'SIGINT')
    await withDeadline(exited, stopTimeoutMs, 'npm start has ended after Ctrl-C')
    for (const [name, pid] of Object.entries(line.pids))
      await waitUntil(() => !isProcessAlive(pid), stopTimeoutMs - (performance.now() - stoppedAt), `${name} is gone`)
    t.diagnostic(`${label} stop: ${((performance.now() - stoppedAt) / 1000).toFixed(1)} s`)
    running.delete(child)
    assert.equal(Object.keys(line.pids).length, 8)
    assert.deepEqual(await findLeftovers(clone), [])
  }

  function start() {
    const args = ['start', '--silent', '--', '--json', '--port', '0', '--page-port', '0']
    const child = spawn('npm', args, {
      cwd: clone,
      env: cleanEnv(folder),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    let kept = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      kept = (kept + text).slice(-20_000)
    })
    const ready = new Promise<ReadyLine>((fulfil, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => line.startsWith('{') && fulfil(JSON.parse(line)))
      child.once('exit', (code) => reject(new Error(`npm start ended with status ${code}`)))
    })
    // Whoever awaits it sees the failure; later it is no news.
    ready.catch(() => {})
    return { child, ready, words: () => kept }
  }
})

/** The environment of a person who has never run anything here: every cache is empty, nothing of this run leaks in. */
function cleanEnv(folder: string): NodeJS.ProcessEnv {
  const own =
    /^(npm_(lifecycle|package|command|execpath|node_execpath|config_local_prefix|config_cache)|INIT_CWD|NODE_TEST_|NODE_OPTIONS|HEARTH_|GOFLAGS)/
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)))
  return {
    ...env,
    npm_config_cache: join(folder, 'npm'),
    PIP_CACHE_DIR: join(folder, 'pip'),
    GOPATH: join(folder, 'go'),
    GOMODCACHE: join(folder, 'go/pkg/mod'),
    GOCACHE: join(folder, 'go-build'),
    XDG_CACHE_HOME: join(folder, 'cache'),
    HEARTH_CACHE: join(folder, 'hearth'),
  }
}

/** What a terminal does at Ctrl-C: the whole group gets the signal at once. */
function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // Already gone.
  }
}

/** Command lines of processes that still run something of the clone. */
async function findLeftovers(folder: string): Promise<readonly string[]> {
  const { stdout } = await execute('ps', ['-A', '-ww', '-o', 'args'])
  return stdout.split('\n').filter((line) => line.includes(folder) && !line.startsWith('ps '))
}
