import { CommandError, runCommand } from './command.mjs'
import { SetupError } from './setup-error.mjs'

/**
 * @typedef {'node' | 'npm' | 'go' | 'python'} Prerequisite
 * @typedef {(command: string, args: readonly string[]) => Promise<string>} Run
 */

const probePython = `
import sys, json, importlib.util as u
print(json.dumps({"version": list(sys.version_info[:2]), "missing": [m for m in ("pip", "venv") if u.find_spec(m) is None]}))`

/** The Python that installs and runs the engine. @param {NodeJS.ProcessEnv} env */
export const pythonCommand = (env) => env['HEARTH_PYTHON'] || 'python3'

/**
 * Checks what the machine itself must bring and names everything that is missing at once, each with its fix.
 * @param {readonly Prerequisite[]} wanted
 * @param {{env: NodeJS.ProcessEnv, run?: Run, nodeVersion?: string}} options
 * @throws {SetupError} with exit code 3
 */
export async function checkPrerequisites(wanted, { env, run, nodeVersion = process.versions.node }) {
  const runIt = run ?? ((command, args) => runCommand(command, args, { env, timeoutMs: 60_000 }))
  const checks = {
    node: async () => checkNode(nodeVersion),
    npm: () => checkNpm(runIt),
    go: () => checkGo(runIt),
    python: () => checkPython(runIt, pythonCommand(env)),
  }
  const problems = (await Promise.all(wanted.map((name) => checks[name]()))).filter((problem) => problem !== undefined)
  if (problems.length === 0) return
  throw new SetupError(`Missing on this machine:\n${problems.map((text) => `  - ${text}`).join('\n')}`, { exitCode: 3 })
}

/** @param {string} version */
function checkNode(version) {
  if (Number(version.split('.')[0]) >= 20) return undefined
  return `Node.js 20 or newer with npm (found ${version}). Install it from https://nodejs.org or with your package manager.`
}

/** @param {Run} run */
async function checkNpm(run) {
  const fix = 'Install it together with Node.js from https://nodejs.org, or the package "npm" of your system.'
  return await probe(
    () => run('npm', ['--version']),
    (output) => {
      const version = output.trim()
      return Number(version.split('.')[0]) >= 8 ? undefined : `npm 8 or newer (found ${version || 'nothing'}). ${fix}`
    },
    (found) => `npm (${found}). ${fix}`,
  )
}

/** @param {Run} run */
async function checkGo(run) {
  const fix = 'Install it from https://go.dev/dl, or leave the mesh out with: npm start -- --direct'
  return await probe(
    () => run('go', ['env', 'GOVERSION']),
    (output) => {
      const [, major, minor] = /go(\d+)\.(\d+)/.exec(output) ?? []
      const enough = Number(major) > 1 || (Number(major) === 1 && Number(minor) >= 26)
      return enough ? undefined : `Go 1.26 or newer (found ${output.trim()}). ${fix}`
    },
    (found) => `Go 1.26 or newer (${found}). ${fix}`,
  )
}

/** @param {Run} run @param {string} python */
async function checkPython(run, python) {
  const wanted = `Python 3.10 or newer with pip and venv`
  const fix =
    'On Debian or Ubuntu: apt install python3 python3-pip python3-venv; elsewhere: https://www.python.org/downloads. HEARTH_PYTHON names another interpreter.'
  return await probe(
    () => run(python, ['-c', probePython]),
    (output) => {
      const { version, missing } = JSON.parse(output)
      if (version[0] !== 3 || version[1] < 10) return `${wanted} (${python} is ${version.join('.')}). ${fix}`
      return missing.length === 0
        ? undefined
        : `${wanted} (${python} ${version.join('.')} lacks ${missing.join(' and ')}). ${fix}`
    },
    (found) => `${wanted} (${found}). ${fix}`,
  )
}

/**
 * @param {() => Promise<string>} run
 * @param {(output: string) => string | undefined} judge
 * @param {(found: string) => string} describe
 */
async function probe(run, judge, describe) {
  try {
    return judge(await run())
  } catch (error) {
    return describe(
      error instanceof CommandError && error.notFound
        ? 'not found'
        : `does not run: ${error instanceof Error ? error.message : error}`,
    )
  }
}
