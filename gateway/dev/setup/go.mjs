import { chmod, mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { hashSources, listFiles } from './artifact.mjs'
import { runCommand } from './command.mjs'
import { readOutputsStamp, writeOutputsStamp } from './outputs-stamp.mjs'

const programs = [
  { name: 'meshlink', source: '.' },
  { name: 'lab', source: './lab' },
]

/** The sidecar and the offline tailnet, built from this checkout. @type {import('./part.mjs').Part} */
export const go = {
  name: 'go',
  after: [],
  prerequisites: ['go'],
  async needs({ at, env }) {
    const folders = await runCommand('go', ['env', 'GOCACHE', 'GOMODCACHE'], { env })
    const [cache, modules] = folders.trim().split('\n')
    return [
      { name: 'the Go build cache', folder: cache || at.state, megabytes: 900 },
      { name: 'Go modules', folder: modules || at.state, megabytes: 900 },
    ]
  },
  lockFile: ({ at }) => join(at.state, 'locks', 'go.lock'),
  async check({ at }) {
    const ready = await readOutputsStamp(stampPath(at), await hashGo(at), at.bin)
    return ready ? Object.fromEntries(programs.map(({ name }) => [name, join(at.bin, name)])) : undefined
  },
  async provide(context) {
    const { at } = context
    const sources = await hashGo(at)
    await mkdir(at.bin, { recursive: true })
    await downloadModules(context)
    for (const program of programs) await build(program, context)
    await writeOutputsStamp(
      stampPath(at),
      sources,
      at.bin,
      programs.map(({ name }) => name),
    )
  },
}

/** @param {import('./part.mjs').Context} context */
async function downloadModules({ at, env, progress, signal }) {
  const step = progress.start('Go modules')
  const options = { cwd: join(at.root, 'gateway/sidecar'), env, signal }
  try {
    await runCommand('go', ['mod', 'download'], options).catch((error) => {
      signal?.throwIfAborted()
      if (/No space left/i.test(error.output)) throw error
      return runCommand('go', ['mod', 'download'], options)
    })
    step.done()
  } catch (error) {
    step.fail()
    throw error
  }
}

/** @param {{name: string, source: string}} program @param {import('./part.mjs').Context} context */
async function build({ name, source }, { at, env, progress, signal }) {
  const step = progress.start(`Go build ${name}`)
  const temporary = join(at.bin, `.${name}.${process.pid}`)
  const args = ['build', '-trimpath', '-ldflags', '-s -w', '-o', temporary, source]
  try {
    await runCommand('go', args, { cwd: join(at.root, 'gateway/sidecar'), env: { ...env, CGO_ENABLED: '0' }, signal })
    await chmod(temporary, 0o755)
    await rename(temporary, join(at.bin, name))
    step.done()
  } catch (error) {
    step.fail()
    throw error
  }
}

/** @param {import('./locations.mjs').Locations} at */
const stampPath = (at) => join(at.stamps, 'go.json')

/** @param {import('./locations.mjs').Locations} at */
async function hashGo(at) {
  const folder = join(at.root, 'gateway/sidecar')
  const files = await listFiles(folder, (path) => !/(^|\/)(testdata|node_modules)(\/|$)|_test\.go$/.test(path))
  return await hashSources(
    folder,
    files.filter((path) => /\.go$|(^|\/)go\.(mod|sum)$/.test(path)),
  )
}
