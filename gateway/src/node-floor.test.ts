import { equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { unsafeNode } from './node-floor.ts'

test('unsafeNode() lets the first safe release of each line pass, and the ones after it', () => {
  for (const version of ['v22.23.4', 'v22.24.0', 'v24.22.1', 'v24.22.10', 'v24.100.0', 'v26.12.1', 'v26.13.0'])
    equal(unsafeNode(version), undefined, version)
})

test('unsafeNode() names the hole and the release to use for the last unsafe one of each line', () => {
  for (const [version, wanted] of [
    ['v22.23.3', '22.23.4'],
    ['v22.9.99', '22.23.4'],
    ['v24.22.0', '24.22.1'],
    ['v24.0.0', '24.22.1'],
    ['v26.12.0', '26.12.1'],
  ] as const)
    match(unsafeNode(version) ?? 'none', new RegExp(`${version}.*CVE-2026-111497.*use ${wanted}`), version)
})

test('unsafeNode() refuses lines without security fixes, and versions it cannot read', () => {
  for (const version of ['v20.19.0', 'v21.0.0', 'v23.11.1', 'v25.9.9', 'v18.0.0', 'nonsense', ''])
    match(unsafeNode(version) ?? 'none', /gets no security fixes; use Node 24/, version)
})

test('unsafeNode() refuses a build between two releases, whose fixes are not known', () => {
  match(unsafeNode('v24.22.1-nightly20260101') ?? 'none', /CVE/)
})

test('unsafeNode() has nothing against lines that are newer than the hole', () => {
  for (const version of ['v27.0.0', 'v30.1.0']) equal(unsafeNode(version), undefined, version)
})
