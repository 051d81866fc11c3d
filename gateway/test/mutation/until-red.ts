import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { afterEach } from 'node:test'
import { pathToFileURL } from 'node:url'

// An entry: `until-red.ts FILES…` runs test files in this one process and ends it with 1 at the first failure.
afterEach((context) => {
  if ('passed' in context && context.passed === false) process.exit(1)
})
// A mutant that a few tries by chance do not show is not shown at all: many tries only cost time.
const triesByChance = 20
for (const file of process.argv.slice(2)) {
  if (readFileSync(file, 'utf8').includes("'fast-check'"))
    (await import('fast-check')).default.configureGlobal({ numRuns: triesByChance })
  await import(pathToFileURL(resolve(file)).href)
}
