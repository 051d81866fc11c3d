import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'

const firstLoadBytesMax = 75 * 1024
const wholeBytesMax = 400 * 1024
const directory = mkdtempSync(join(tmpdir(), 'hearth-build-'))
let index = ''

before(async () => {
  const configFile = join(import.meta.dirname, 'vite.config.ts')
  await build({ configFile, logLevel: 'error', build: { outDir: directory, emptyOutDir: true } })
  index = readFileSync(join(directory, 'index.html'), 'utf8')
})
after(() => rmSync(directory, { recursive: true }))

it('the first load is at most 75 KB packed, and the whole page at most 400 KB', (t) => {
  const packed = (name: string): number => gzipSync(readFileSync(join(directory, name)), { level: 9 }).length
  const assets = readdirSync(join(directory, 'assets')).map((name) => `assets/${name}`)
  const first = ['index.html', ...assets.filter((name) => index.includes(name))]
  const sum = (names: readonly string[]): number => names.reduce((bytes, name) => bytes + packed(name), 0)
  const whole = sum(['index.html', ...assets])
  t.diagnostic(`first load ${sum(first)} bytes of gzip in ${first.length} files, whole page ${whole}`)
  assert.ok(first.length >= 3, `index.html names ${first.join(', ')}`)
  assert.ok(sum(first) <= firstLoadBytesMax)
  assert.ok(whole <= wholeBytesMax)
})

it('index.html holds no inline script or style, and no address from the root', () => {
  assert.doesNotMatch(index, /<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=/)
  assert.doesNotMatch(index, /(?:src|href)="\//)
})
