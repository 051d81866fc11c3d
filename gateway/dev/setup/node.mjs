import { chmod, copyFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { commitArtifact, isArtifactIntact } from './artifact.mjs'
import { runCommand } from './command.mjs'
import { platform } from './part.mjs'
import { pins } from './pins.mjs'
import { SetupError } from './setup-error.mjs'

export const nodeMajorMin = 24

/** The running Node when it is new enough, else a pinned one in the cache. @type {import('./part.mjs').Part} */
export const node = {
  name: 'node',
  after: [],
  prerequisites: ['node', 'npm'],
  needs: ({ at }) => [{ name: 'Node.js', folder: at.cache, megabytes: 350 }],
  lockFile: ({ at }) => join(at.cache, 'locks', 'node.lock'),
  async check({ at }) {
    if (isNewEnough(process.versions.node)) return { node: process.execPath }
    const folder = locateNode(at)
    return (await isArtifactIntact(folder)) ? { node: join(folder, 'bin', 'node') } : undefined
  },
  async provide(context) {
    const pinned = pins.node.tarballs[platform]
    if (pinned === undefined)
      throw new SetupError(
        `Node.js ${nodeMajorMin} or newer is wanted and this is ${process.versions.node}. There is no pinned build for ${platform}: install Node.js ${nodeMajorMin} or newer from https://nodejs.org`,
        { exitCode: 3 },
      )
    const { at, progress, signal } = context
    await commitArtifact(locateNode(at), join(at.cache, 'tmp'), async (fresh) => {
      const scratch = dirname(fresh)
      const wanted = {
        package: pinned.package,
        version: pins.node.version,
        bytes: pinned.bytes,
        sha256: [pinned.sha256],
      }
      const tarball = await context.downloadTarball(wanted, { ...context, scratch, python: '' })
      const step = progress.start('Node.js: unpack')
      await runCommand('tar', ['-xzf', tarball, '-C', scratch, 'package/bin/node', 'package/LICENSE'], { signal })
      await mkdir(join(fresh, 'bin'))
      await copyFile(join(scratch, 'package/bin/node'), join(fresh, 'bin/node'))
      await copyFile(join(scratch, 'package/LICENSE'), join(fresh, 'LICENSE'))
      await chmod(join(fresh, 'bin/node'), 0o755)
      step.done()
    })
  },
}

/** @param {string} version */
export const isNewEnough = (version) => Number(version.split('.')[0]) >= nodeMajorMin

/** @param {import('./locations.mjs').Locations} at */
const locateNode = (at) => join(at.cache, `node-${pins.node.version}-${platform}`)
