import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { commitArtifact, hashSources, isArtifactIntact } from './artifact.mjs'
import { runCommand } from './command.mjs'
import { platform } from './part.mjs'

/**
 * Other people's programs that only some tests talk to, built from Go modules of their own under gateway/sidecar/lab:
 * each pins another tailscale.com than the sidecar may want. One build per go.sum, shared by all checkouts.
 * @typedef {{name: string, packages: readonly {output: string, path: string}[], megabytes: number}} LabPeer
 */

/** A control plane that people run themselves, with policies and keys of every kind. */
export const headscale = labPeer({
  name: 'headscale',
  packages: [{ output: 'headscale', path: 'github.com/juanfont/headscale/cmd/headscale' }],
  megabytes: 2200,
})

/** Tailscale as it is shipped, for those who keep its own image beside the gateway. */
export const stock = labPeer({
  name: 'stock',
  packages: [
    { output: 'tailscaled', path: 'tailscale.com/cmd/tailscaled' },
    { output: 'tailscale', path: 'tailscale.com/cmd/tailscale' },
  ],
  megabytes: 1500,
})

/** @param {LabPeer} peer @returns {import('./part.mjs').Part} */
function labPeer(peer) {
  return {
    name: peer.name,
    after: [],
    prerequisites: ['go'],
    needs: ({ at }) => [{ name: `Go build of ${peer.name}`, folder: at.cache, megabytes: peer.megabytes }],
    lockFile: ({ at }) => join(at.cache, 'locks', `${peer.name}.lock`),
    async check({ at }) {
      const folder = await locateBuild(peer, at)
      if (!(await isArtifactIntact(folder))) return undefined
      return Object.fromEntries(peer.packages.map(({ output }) => [output, join(folder, output)]))
    },
    provide: (context) => build(peer, context),
  }
}

/** @param {LabPeer} peer @param {import('./part.mjs').Context} context */
async function build(peer, { at, env, progress, signal }) {
  const step = progress.start(`Go build ${peer.name}`)
  try {
    await commitArtifact(await locateBuild(peer, at), join(at.cache, 'tmp'), async (fresh) => {
      for (const { output, path } of peer.packages) {
        const temporary = join(fresh, `.${output}`)
        const args = ['build', '-mod=readonly', '-trimpath', '-ldflags', '-s -w', '-o', temporary, path]
        await runCommand('go', args, { cwd: moduleFolder(peer, at), env: { ...env, CGO_ENABLED: '0' }, signal })
        await rename(temporary, join(fresh, output))
      }
    })
    step.done()
  } catch (error) {
    step.fail()
    throw error
  }
}

/** @param {LabPeer} peer @param {import('./locations.mjs').Locations} at */
const moduleFolder = (peer, at) => join(at.root, 'gateway/sidecar/lab', peer.name)

/** @param {LabPeer} peer @param {import('./locations.mjs').Locations} at */
async function locateBuild(peer, at) {
  const hash = await hashSources(moduleFolder(peer, at), ['go.mod', 'go.sum'])
  return join(at.cache, `lab-${peer.name}-${hash.slice(0, 12)}-${platform}`)
}
