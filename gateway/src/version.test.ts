import { equal } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { version } from './version.ts'

test('the version is the one of package.json', () => {
  for (const file of ['../package.json', '../../package.json'])
    equal(JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')).version, version, file)
})
