import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

/** The layers of gateway/src from left to right; a file may import its own layer and those to the right. */
const layers: readonly (readonly string[])[] = [
  ['main', 'cli', 'dev'],
  ['app', 'admin'],
  ['edge', 'routes'],
  ['keys'],
  ['admission'],
  ['routing'],
  ['body', 'vision'],
  ['upstream'],
  ['mesh'],
]
/** What every layer may import; these import nothing of the layers themselves. */
const shared = new Set([
  'errors',
  'config',
  'config-schema',
  'log',
  'machine',
  'metrics',
  'node-floor',
  'problems',
  'version',
])
const specifier =
  /^\s*(?:import|export)\b[^'"]*?from\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm

/** Every import of `source` files that goes the wrong way, as one line each; empty when the order holds. */
export function findWrongImports(sourceRoot: string): readonly string[] {
  const files = readdirSync(sourceRoot, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /(?<!\.test)\.ts$/.test(name),
  )
  return files.flatMap((name) => wrongImportsOf(sourceRoot, join(sourceRoot, name)))
}

function wrongImportsOf(root: string, file: string): string[] {
  const text = readFileSync(file, 'utf8')
  const from = placeOf(root, file)
  const wrong: string[] = []
  for (const match of text.matchAll(specifier)) {
    const target = match[1] ?? match[2] ?? match[3] ?? ''
    if (from.layer > 2 && /^hono\b|^@hono\b/.test(target))
      wrong.push(`${from.name} imports ${target}: nothing below routes/ knows Hono`)
    if (!target.startsWith('.')) continue
    const to = placeOf(root, resolve(dirname(file), target))
    if (to.name.startsWith('..')) wrong.push(`${from.name} imports ${to.name}: outside of src/`)
    else if (from.shared && !to.shared) wrong.push(`${from.name} imports ${to.name}: shared files import no layer`)
    else if (!to.shared && to.layer < from.layer)
      wrong.push(`${from.name} imports ${to.name}: against the order of layers`)
  }
  return wrong
}

function placeOf(root: string, file: string): { name: string; layer: number; shared: boolean } {
  const name = relative(root, file)
  const head = name.split('/')[0]?.replace(/\.ts$/, '') ?? ''
  const layer = layers.findIndex((names) => names.includes(head))
  if (layer < 0 && !shared.has(head) && !name.startsWith('..'))
    throw new Error(`src/${name} stands in no layer; name it in check-imports.ts`)
  return { name, layer: layer < 0 ? Number.POSITIVE_INFINITY : layer, shared: shared.has(head) }
}
