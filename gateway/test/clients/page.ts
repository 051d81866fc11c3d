import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../../dev/parts.ts'
import { type ClientName, clientNames } from './ask.ts'
import { groups } from './cases.ts'
import { realCases } from './cases-real.ts'
import type { Results } from './results.ts'

/** docs/clients.md, as `npm run test:clients` writes it from what it saw. */

export const pageFile = join(repositoryRoot, 'docs/clients.md')

/** Every row of the page, under its heading. */
export const rows: Readonly<Record<string, readonly { readonly name: string }[]>> = {
  ...groups,
  'A real engine': realCases,
}

const packages: Readonly<Record<ClientName, readonly string[]>> = {
  'openai (npm)': ['openai'],
  'openai (PyPI)': ['openai'],
  'AI SDK': ['ai', '@ai-sdk/openai-compatible'],
  LangChain: ['langchain-openai'],
  litellm: ['litellm'],
}

const head = `# Clients

Written by \`npm run test:clients\`, which sends every client below through the gateway: to a scripted engine that answers
and fails as vLLM does, and at the end to llama.cpp with a small model behind the mesh. All of them are used as they come,
with only an address and a key. A cell holds what the client showed: ✓ is the answer as the engine gave it; a name is the
class of the error, with which a program can catch it; – is something that the client cannot do, explained by its number.
`

const versionsHead = `## Versions

The two \`openai\` packages and the AI SDK run in \`npm test\` as well.
`

/** The text of the page. Throws where the run has left a cell empty. */
export function renderPage(results: Results): string {
  const notes: string[] = []
  const tables = Object.entries(rows).map(([heading, cases]) => {
    const lines = cases.map(({ name }) =>
      row([name, ...clientNames.map((client) => cellOf(results, name, client, notes))]),
    )
    return [
      `## ${heading}`,
      '',
      row(['', ...clientNames]),
      row(['---', ...clientNames.map(() => '---')]),
      ...lines,
    ].join('\n')
  })
  const footnotes = notes.map((note, index) => `${index + 1}. ${note}.`).join('\n')
  const versions = clientNames.map((client) => `- ${client}: ${versionsOf(client).join(', ')}`).join('\n')
  return `${[head, ...tables.map((table) => `${table}\n`), `## What cannot be done\n\n${footnotes}\n`, versionsHead, versions].join('\n')}\n`
}

function cellOf(results: Results, name: string, client: ClientName, notes: string[]): string {
  const cell = results[name]?.[client]
  if (cell === undefined) throw new Error(`the run says nothing about "${name}" with ${client}`)
  if (!cell.startsWith('– ')) return cell
  const note = `${client}: ${cell.slice(2)}`
  if (!notes.includes(note)) notes.push(note)
  return `– (${notes.indexOf(note) + 1})`
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

/** The packages of a client with their pinned versions. */
export function versionsOf(client: ClientName): readonly string[] {
  const isNpm = client === 'openai (npm)' || client === 'AI SDK'
  return packages[client].map((name) => `\`${name}\` ${isNpm ? npmVersion(name) : pythonVersion(name)}`)
}

function npmVersion(name: string): string {
  const { devDependencies }: { devDependencies: Readonly<Record<string, string>> } = JSON.parse(
    readFileSync(join(repositoryRoot, 'gateway/package.json'), 'utf8'),
  )
  const version = devDependencies[name]
  if (version === undefined) throw new Error(`gateway/package.json has no ${name}`)
  return version
}

/** Of the list that `list` names in gateway/dev/pins; all lists hold the same version of a package. */
export function pythonVersion(name: string, list = 'clients'): string {
  const text = readFileSync(join(repositoryRoot, `gateway/dev/pins/${list}.txt`), 'utf8')
  const version = new RegExp(`^${name}==(\\S+)`, 'm').exec(text)?.[1]
  if (version === undefined) throw new Error(`gateway/dev/pins/${list}.txt has no ${name}`)
  return version
}
