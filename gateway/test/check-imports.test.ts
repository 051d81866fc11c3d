import { deepEqual, throws } from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findWrongImports } from './check-imports.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hearth-imports-'))
})

afterEach(() => rmSync(root, { recursive: true }))

/** What is wrong with a tree of these files. */
function wrongOf(files: Readonly<Record<string, string>>): readonly string[] {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  return findWrongImports(root)
}

test('the imports of gateway/src hold the order of layers', () => {
  deepEqual(findWrongImports(fileURLToPath(new URL('../src', import.meta.url))), [])
})

test('an import to the right, inside a layer, of a shared file or of a package is no problem', () => {
  const text =
    "import { a } from './two.ts'\nimport b from '../errors.ts'\nimport '../upstream/x.ts'\nimport c from 'undici'\n"
  deepEqual(wrongOf({ 'routing/one.ts': text }), [])
})

test('an import to the left is found in every way of writing it', () => {
  for (const line of [
    "import { a } from '../routes/inference.ts'",
    "import type { A } from '../routes/inference.ts'",
    "import '../routes/inference.ts'",
    "import {\n  a,\n  b,\n} from '../routes/inference.ts'",
    'import * as chat from "../routes/inference.ts"',
    "export { a } from '../routes/inference.ts'",
    "export * from '../routes/inference.ts'",
    "const { a } = await import('../routes/inference.ts')",
  ])
    deepEqual(
      wrongOf({ 'routing/pick.ts': line }),
      ['routing/pick.ts imports routes/inference.ts: against the order of layers'],
      line,
    )
})

test('two folders side by side in one layer may import each other', () => {
  deepEqual(wrongOf({ 'edge/a.ts': "import '../routes/b.ts'", 'routes/b.ts': "import '../edge/a.ts'" }), [])
})

test('a shared file that imports a layer is found', () => {
  deepEqual(wrongOf({ 'errors.ts': "import './mesh/connect.ts'" }), [
    'errors.ts imports mesh/connect.ts: shared files import no layer',
  ])
})

test('Hono below routes/ is found, and above it is not', () => {
  const files = { 'upstream/a.ts': "import { Hono } from 'hono'", 'keys/b.ts': "import x from '@hono/node-server'" }
  deepEqual(
    wrongOf({ ...files, 'app.ts': "import { Hono } from 'hono'", 'edge/c.ts': "import 'hono/factory'" }).toSorted(),
    [
      'keys/b.ts imports @hono/node-server: nothing below routes/ knows Hono',
      'upstream/a.ts imports hono: nothing below routes/ knows Hono',
    ],
  )
})

test('an import from outside of src/ is found', () => {
  deepEqual(wrongOf({ 'main.ts': "import '../test/harness.ts'" }), [
    'main.ts imports ../test/harness.ts: outside of src/',
  ])
})

test('tests beside their source may import what they need', () => {
  deepEqual(wrongOf({ 'mesh/connect.test.ts': "import '../../test/deadline.ts'\nimport '../main.ts'" }), [])
})

test('a folder that stands in no layer must be given one', () => {
  throws(
    () => wrongOf({ 'billing/pay.ts': '', 'main.ts': "import './billing/pay.ts'" }),
    /billing\/pay\.ts stands in no layer/,
  )
})
