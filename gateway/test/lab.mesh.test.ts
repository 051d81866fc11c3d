import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { waitUntil, withDeadline } from './deadline.ts'

const script = 'gateway/lab/run.ts'
const runTimeoutMs = 200_000

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn(process.execPath, [script, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function finish(child: ChildProcess) {
  if (child.stdout === null || child.stderr === null) throw new Error('the lab was started without pipes')
  const all = Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)])
  const [[code], out, err] = await withDeadline(all, runTimeoutMs, 'the lab ends')
  return { code: Number(code), out, err }
}

/** Processes that were started with this folder as their temporary one. Linux only. */
function listProcesses(folder: string): string[] {
  const holds = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`TMPDIR=${folder}\0`)
    } catch {
      return false
    }
  }
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && holds(name))
}

// Most of the time of most of them is waiting.
describe('npm run lab', { concurrency: 3 }, () => {
  for (const args of [
    ['freeze', '--seconds', '30'],
    ['codes'],
    ['bulk'],
    ['derp-down'],
    ['control-down'],
    ['sidecar-kills', '--kills', '15'],
    ['keys'],
  ]) {
    it(`${args.join(' ')}: the cured arm holds what the plain one does not`, async (t) => {
      const { code, out, err } = await finish(start([...args, '--json']))
      const line = JSON.parse(out.trimEnd().split('\n').at(-1) ?? '')
      if (line.skipped !== undefined) return t.skip(line.skipped)
      assert.deepEqual(
        [line.scenario, line.pass, code],
        [args[0], true, 0],
        `${JSON.stringify(line, undefined, 2)}\n${err}`,
      )
      assert.ok(Object.keys(line.plain).length > 0 && Object.keys(line.cured).length > 0)
    })
  }

  it('leaves no process and no file behind when it is interrupted', async (t) => {
    if (process.platform !== 'linux') return t.skip('only Linux tells which processes there are')
    const folder = mkdtempSync(join(tmpdir(), 'hearth-lab-test-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const child = start(['freeze'], { TMPDIR: folder })
    const ended = finish(child)
    // The control plane, two homes, four sidecars, the engine and the lab itself.
    await waitUntil(() => listProcesses(folder).length >= 9, 30_000, 'everything runs')
    child.kill('SIGINT')
    const { code } = await ended
    assert.equal(code, 130)
    await waitUntil(() => listProcesses(folder).length === 0, 5_000, 'nothing runs any more')
    assert.deepEqual(readdirSync(folder), [])
  })

  it('answers a wrong command line with status 2 and how it is meant', async () => {
    const { code, out, err } = await finish(start(['nosuch']))
    assert.deepEqual([code, out], [2, ''])
    assert.match(err, /there is no scenario "nosuch".*npm run lab -- NAME/s)
  })

  it('lists every scenario', async () => {
    const { code, out } = await finish(start(['list']))
    assert.equal(code, 0)
    for (const name of ['codes', 'keys', 'bulk', 'freeze', 'derp-down', 'control-down', 'sidecar-kills'])
      assert.match(out, new RegExp(`^${name} `, 'm'))
  })
})
