import { resolve } from 'node:path'
import { afterEach } from 'node:test'
import { pathToFileURL } from 'node:url'

// An entry: `until-red.ts FILES…` runs test files in this one process and ends it with 1 at the first failure.
afterEach((context) => {
  if ('passed' in context && context.passed === false) process.exit(1)
})
for (const file of process.argv.slice(2)) await import(pathToFileURL(resolve(file)).href)
