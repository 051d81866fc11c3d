import { deepEqual, ok } from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot } from '../dev/parts.ts'

const translations = ['README.ko.md', 'README.zh-TW.md', 'README.zh-CN.md']
const documents = [
  'README.md',
  ...translations,
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  ...globSync('docs/**/*.md', { cwd: repositoryRoot }),
]
/** Written by whoever runs the gateway; not part of the repository. */
const ownersFile = 'hearth.yaml'
const folders = 'gateway|client-web|k3s|docs|\\.ci'

const read = (name: string) => readFileSync(join(repositoryRoot, name), 'utf8')

function allMatches(text: string, pattern: RegExp): readonly string[] {
  return [...text.matchAll(pattern)].map((found) => found[1] ?? '')
}

/** What a translation has to share with its original, whatever the order of its words. */
function outline(name: string) {
  const fence = /^(```\w*\n[\s\S]*?^```)$/gm
  const prose = read(name).replace(fence, '')
  return {
    codeBlocks: allMatches(read(name), fence),
    headings: allMatches(prose, /^(#+) /gm),
    // Each language links to all the others; with its own name the lists are the same.
    links: [name, ...allMatches(prose, /\]\(([^)]+)\)/g)].toSorted(),
  }
}

test('every file and folder that a document names exists', () => {
  const named = documents.flatMap((name) => allMatches(read(name), new RegExp(`\`((?:${folders})/[\\w./-]*)\``, 'g')))
  ok(named.length > 40)
  deepEqual(
    named.filter((path) => !existsSync(join(repositoryRoot, path))),
    [],
  )
})

test('every file that the map names, however short, is somewhere in the repository', () => {
  const files = globSync('{*,{.ci,docs,gateway,client-web,k3s}/**/*}', {
    cwd: repositoryRoot,
    exclude: (name) => /node_modules|fixtures/.test(name),
  }).map((name) => `/${name}`)
  const named = allMatches(read('ARCHITECTURE.md'), /`([\w./-]+\.(?:tsx?|mjs|go|py|yaml|json|md))`/g)
  ok(named.length > 60)
  deepEqual(
    named.filter((name) => name !== ownersFile && !files.some((file) => file.endsWith(`/${name}`))),
    [],
  )
})

test('every link of a document to another file of the repository leads somewhere', () => {
  const links = documents.flatMap((name) =>
    allMatches(read(name), /\]\((?!https?:)([^)#]+)[^)]*\)/g).map((target) => join(dirname(name), target)),
  )
  ok(links.length > 10)
  deepEqual(
    links.filter((path) => !existsSync(join(repositoryRoot, path))),
    [],
  )
})

for (const name of translations) {
  test(`${name} has the code blocks, headings and links of README.md`, () => {
    const original = outline('README.md')
    ok(original.codeBlocks.length > 2 && original.headings.length > 5 && original.links.length > 8)
    deepEqual(outline(name), original)
  })
}

test('every name of the code that the map mentions is in the code', () => {
  const sources = globSync('{gateway/{src,dev,test,sidecar},client-web/src}/**/*.{ts,mjs,go,tsx}', {
    cwd: repositoryRoot,
  })
    .filter((name) => !name.endsWith('documents.test.ts'))
    .map(read)
    .join('\n')
  const names = allMatches(read('ARCHITECTURE.md'), /`([A-Za-z]+[a-z][A-Z][A-Za-z]*)(?:\.\w+)?`/g)
  ok(names.length > 15)
  deepEqual(
    names.filter((name) => !new RegExp(`\\b${name}\\b`).test(sources)),
    [],
  )
})

test('the map is short enough to be read: 200 lines at most', () => {
  ok(read('ARCHITECTURE.md').split('\n').length <= 201)
})
