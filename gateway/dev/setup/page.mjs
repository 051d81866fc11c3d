import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { hashSources, listFiles } from './artifact.mjs'
import { runCommand } from './command.mjs'
import { node } from './node.mjs'
import { readOutputsStamp, writeOutputsStamp } from './outputs-stamp.mjs'

/** The built page. @type {import('./part.mjs').Part} */
export const page = {
  name: 'page',
  after: ['packages', 'node'],
  prerequisites: ['node', 'npm'],
  needs: ({ at }) => [{ name: 'the page', folder: at.root, megabytes: 50 }],
  lockFile: ({ at }) => join(at.state, 'locks', 'page.lock'),
  async check({ at }) {
    const dist = join(at.root, 'client-web/dist')
    return (await readOutputsStamp(stampPath(at), await hashPage(at), dist)) ? { page: dist } : undefined
  },
  async provide(context) {
    const { at, env, progress, signal } = context
    const sources = await hashPage(at)
    const step = progress.start('Page build')
    await rm(stampPath(at), { force: true })
    const outputs = await node.check(context)
    const path = [dirname(outputs?.['node'] ?? process.execPath), env['PATH']].join(delimiter)
    try {
      await runCommand('npm', ['run', 'build', '-w', 'client-web'], {
        cwd: at.root,
        env: { ...env, PATH: path },
        signal,
      })
      await writeOutputsStamp(stampPath(at), sources, join(at.root, 'client-web/dist'), ['index.html'])
      step.done()
    } catch (error) {
      step.fail()
      throw error
    }
  },
}

/** @param {import('./locations.mjs').Locations} at */
const stampPath = (at) => join(at.stamps, 'page.json')

/** @param {import('./locations.mjs').Locations} at */
async function hashPage(at) {
  const folder = join(at.root, 'client-web')
  const files = await listFiles(folder, (path) => !/(^|\/)(dist|node_modules|e2e)(\/|$)|\.test\.tsx?$/.test(path))
  const lock = await readFile(join(at.root, 'package-lock.json'))
  return createHash('sha256')
    .update(lock)
    .update(await hashSources(folder, files))
    .digest('hex')
}
