import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { resolve } from 'node:path'
import { catchInterrupts } from './setup/interrupt.mjs'
import { repositoryRoot } from './setup/locations.mjs'
import { wantedParts } from './setup/wanted-parts.mjs'
import { reportFailure, setUp } from './setup.mjs'

/** `node run.mjs SCRIPT ARGS…`: sets up what the script needs, then runs it under Node 24 or newer. */
async function main() {
  const [script, ...args] = process.argv.slice(2)
  if (script === undefined) {
    console.error('usage: node gateway/dev/run.mjs SCRIPT [ARGS…]')
    return 2
  }
  const interrupts = catchInterrupts()
  try {
    const outputs = await setUp({ parts: wantedParts(script, args), signal: interrupts.signal })
    interrupts.release()
    return await runScript(outputs['node'] ?? process.execPath, resolve(repositoryRoot, script), args)
  } catch (error) {
    return interrupts.report() ?? reportFailure(error)
  }
}

/**
 * @param {string} node
 * @param {string} script
 * @param {readonly string[]} args
 * @returns {Promise<number>} the exit status of the script
 */
function runScript(node, script, args) {
  const child = spawn(node, [script, ...args], { stdio: 'inherit' })
  const sent = new Set()
  const forward = (/** @type {NodeJS.Signals} */ name) => {
    // A terminal sends Ctrl-C to the whole group, so the script has it already; a second signal of the same kind is
    // most often npm repeating the first.
    if (name === 'SIGINT' && process.stdin.isTTY) return
    if (sent.has(name)) return
    sent.add(name)
    child.kill(name)
  }
  process.on('SIGINT', forward)
  process.on('SIGTERM', forward)
  watchParent(() => forward('SIGTERM'))
  return new Promise((done, fail) => {
    child.on('error', fail)
    child.on('exit', (code, name) => done(code ?? 128 + (name === null ? 0 : constants.signals[name])))
  })
}

const parentCheckMs = 500

/**
 * A package manager that is killed takes at most its shell along, so a script would run on unseen: this looks whether
 * the shell or, where the system tells, the one above it is gone.
 * @param {() => void} onGone
 */
function watchParent(onGone) {
  if (process.env['npm_lifecycle_event'] === undefined) return
  const parent = process.ppid
  const above = readParent(parent)
  const timer = setInterval(() => {
    if (process.ppid === parent && readParent(parent) === above) return
    clearInterval(timer)
    onGone()
  }, parentCheckMs)
  timer.unref()
}

/** @param {number} pid */
function readParent(pid) {
  try {
    // The name before it stands in brackets and may hold anything.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').trim().split(' ')[1]
  } catch {
    return undefined
  }
}

process.exitCode = await main()
