/**
 * `npm run test:clients`: every client of docs/clients.md through the gateway, LangChain and litellm too, which are set up
 * for this alone; the page is written anew from what they saw, unless something failed.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readParts, requirePart } from '../../dev/parts.ts'
import { addUp, nodeTests, provideParts } from '../stages.ts'
import { pageFile, renderPage } from './page.ts'
import type { Results } from './results.ts'

const files = ['guard', 'scripted', 'smollm'].map((name) => `gateway/test/clients/${name}.client.test.ts`)

async function main(): Promise<void> {
  const provided = await provideParts(['clients'])
  const folder = mkdtempSync(join(tmpdir(), 'hearth-clients-'))
  try {
    const python = provided.failed > 0 ? '' : requirePart(readParts(), 'clients')
    const env = { HEARTH_TEST_ENTRY: 'gateway/src/main.ts', HEARTH_CLIENTS: python, HEARTH_CLIENTS_RESULTS: folder }
    const tally = provided.failed > 0 ? provided : addUp([provided, await nodeTests(files, env, 1)])
    process.stdout.write(`\n${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped\n`)
    process.exitCode = tally.failed > 0 ? 1 : 0
    if (tally.failed === 0) writePage(renderPage(readResults(folder)))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function readResults(folder: string): Results {
  const parts = readdirSync(folder).map((name): Results => JSON.parse(readFileSync(join(folder, name), 'utf8')))
  return Object.assign({}, ...parts)
}

function writePage(text: string): void {
  const changed = readFileSync(pageFile, { encoding: 'utf8', flag: 'a+' }) !== text
  writeFileSync(pageFile, text)
  process.stdout.write(`docs/clients.md ${changed ? 'has changed' : 'is as it was'}\n`)
}

await main()
