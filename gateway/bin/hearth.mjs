#!/usr/bin/env node
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))

/** The Node that set-up has chosen; undefined when there was no set-up and this one is too old. */
function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  try {
    const { node } = JSON.parse(readFileSync(`${root}.hearth/parts.json`, 'utf8'))
    return existsSync(node) ? node : undefined
  } catch {
    return undefined
  }
}

const node = findNode()
if (node === undefined || !existsSync(`${root}node_modules`)) {
  console.error('hearth: this checkout is not set up yet. Run: npm run setup')
  process.exitCode = 1
} else {
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  const forward = (/** @type {NodeJS.Signals} */ name) => {
    // A terminal has sent its Ctrl-C to the child too.
    if (name === 'SIGTERM' || !process.stdin.isTTY) child.kill(name)
  }
  process.on('SIGINT', forward)
  process.on('SIGTERM', forward)
  child.on('exit', (code, name) => {
    process.exitCode = code ?? 128 + (name === null ? 0 : constants.signals[name])
  })
}
