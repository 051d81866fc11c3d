import { deepEqual, equal, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { clientNames } from './ask.ts'
import { pageFile, pythonVersion, renderPage, rows, versionsOf } from './page.ts'

const page = readFileSync(pageFile, 'utf8')
const names = Object.values(rows).flatMap((cases) => cases.map(({ name }) => name))

test('docs/clients.md has exactly the cases that are played, each with a cell for every client', () => {
  const table = page.split('\n').filter((line) => /^\| [^-| ]/.test(line))
  const found = table.map((line) => line.slice(2, -2).split(' | '))
  deepEqual(
    found.map(([name]) => name),
    names,
  )
  for (const cells of found) {
    equal(cells.length, 1 + clientNames.length, cells[0])
    ok(cells.every((cell) => cell !== ''))
  }
})

test('docs/clients.md names the versions that are pinned', () => {
  for (const client of clientNames) {
    const line = page.split('\n').find((text) => text.startsWith(`- ${client}: `))
    equal(line, `- ${client}: ${versionsOf(client).join(', ')}`)
  }
  equal(pythonVersion('openai', 'openai-python'), pythonVersion('openai', 'clients'))
})

test('no two cases have the same name', () => {
  equal(new Set(names).size, names.length)
})

test('the page cannot be written from a run that has left out a case', () => {
  const full = Object.fromEntries(
    names.map((name) => [name, Object.fromEntries(clientNames.map((client) => [client, '✓']))]),
  )
  ok(renderPage(full).includes('✓'))
  const { chat: _left, ...others } = full
  let thrown: unknown
  try {
    renderPage(others)
  } catch (error) {
    thrown = error
  }
  ok(thrown instanceof Error && thrown.message.includes('"chat"'))
})
