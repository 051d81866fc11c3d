import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseAst } from 'rolldown/parseAst'

const root = join(import.meta.dirname, '../..')
const characters = 100_000
const cpuMsMax = 5

/** Where one is made of a text, only to see whether it can be: it is never run. */
const onlyRead = new Set(['gateway/src/body/caller-schema.ts'])

interface Found {
  readonly place: string
  readonly regex: RegExp
}

/** Every regular expression of the gateway's source, found by its syntax. */
const found = globSync('gateway/src/**/*.ts', { cwd: root })
  .filter((file) => !file.endsWith('.test.ts'))
  .flatMap((file) => regexesOf(file))

describe('R19 regular expressions', () => {
  it('are all written out, so that they can be found and tried', () => {
    assert.ok(found.length >= 40, `${found.length} found`)
    const built = globSync('gateway/src/**/*.ts', { cwd: root })
      .filter((file) => !file.endsWith('.test.ts') && !onlyRead.has(file))
      .filter((file) => /\bRegExp\(/.test(readFileSync(join(root, file), 'utf8')))
    assert.deepEqual(built, [])
  })

  it(`take less than ${cpuMsMax} ms of processor for ${characters} hostile characters`, () => {
    const linear = cpuMsOf(/^(?:[a-m]|[^a-m])*?$/, 'am'.repeat(characters / 2))
    const costs = found.flatMap(({ place, regex }) =>
      hostileTexts(regex).map((text) => ({ place, regex, text, ms: costOf(regex, text) })),
    )
    const sorted = costs.toSorted((one, other) => other.ms - one.ms)
    const show = ({ place, regex, ms, text }: (typeof costs)[number]) =>
      `${ms.toFixed(2)} ms ${place} /${regex.source}/${regex.flags} on ${JSON.stringify(text.slice(0, 30))}…`
    console.log(
      `${found.length} expressions × ${costs.length / found.length} texts; a linear one takes ${linear.toFixed(2)} ms`,
    )
    for (const cost of sorted.slice(0, 3)) console.log(show(cost))
    const slow = sorted.filter(({ ms }) => ms > Math.max(cpuMsMax, 20 * linear))
    assert.deepEqual([...new Set(slow.map(({ place }) => place))], [], slow.slice(0, 5).map(show).join('\n'))
  })

  it('would be found out if one were slow', () => {
    const linear = cpuMsOf(/^(?:[a-m]|[^a-m])*?$/, 'am'.repeat(characters / 2))
    const slow = /[a-z]+\d/
    assert.ok(
      hostileTexts(slow).some((text) => cpuMsOf(slow, text.slice(0, 20_000)) > Math.max(cpuMsMax, 20 * linear) / 5),
    )
  })
})

function regexesOf(file: string): Found[] {
  const text = readFileSync(join(root, file), 'utf8')
  const regexes: Found[] = []
  const walk = (node: unknown): void => {
    if (node === null || typeof node !== 'object') return
    const regex: unknown = Reflect.get(node, 'regex')
    if (regex !== null && typeof regex === 'object') {
      const [pattern, flags, start] = [
        Reflect.get(regex, 'pattern'),
        Reflect.get(regex, 'flags'),
        Reflect.get(node, 'start'),
      ]
      const line = text.slice(0, Number(start)).split('\n').length
      regexes.push({ place: `${file}:${line}`, regex: new RegExp(String(pattern), String(flags)) })
    }
    for (const child of Object.values(node)) walk(child)
  }
  walk(parseAst(text, { lang: 'ts' }))
  return regexes
}

/** Texts that lead an expression on for long and then fail it: what it matches and pieces of that, over and over. */
function hostileTexts(regex: RegExp): readonly string[] {
  const matches = sampleOf(regex)
  const letters = [
    ...new Set([...'aA0 -.:/=', ...regex.source.replace(/\\./g, ''), ...'\n\0"é', ...matches.join('')]),
  ].slice(0, 24)
  const pieces = matches.flatMap((text) => [text, text.slice(0, -1), text.slice(0, text.length / 2)])
  const repeated = [...new Set([...letters, ...pieces])].filter((text) => text !== '').map(fill)
  const broken = repeated.map((text) => `${text.slice(0, -1)}\u0001`)
  const led = matches
    .slice(0, 3)
    .flatMap((text) => letters.slice(0, 6).map((letter) => text.slice(0, -1) + fill(letter)))
  const almost = letters.map((letter) => fill(`${letter.repeat(199)} `))
  return [...repeated, ...broken, ...led, ...almost]
}

function sampleOf(regex: RegExp): readonly string[] {
  try {
    // The generator searches for ever where all but a few letters fit.
    const plain = new RegExp(regex.source.replace(/\[\^(?:\\.|[^\]])*\]/g, '[xé]'))
    return fc.sample(fc.stringMatching(plain), { numRuns: 5, seed: 1 }).map((text) => text.slice(0, 1_000))
  } catch {
    // Look-arounds are beyond it; letters and their repetitions must do.
    return [regex.source, regex.source.replace(/[\\^$*+?()[\]{}|]/g, '')]
  }
}

function fill(text: string): string {
  return text.repeat(Math.ceil(characters / text.length)).slice(0, characters)
}

/** What the whole text takes; where a part of it takes too long already, that. */
function costOf(regex: RegExp, text: string): number {
  const part = cpuMsOf(regex, text.slice(0, characters / 8))
  return part > cpuMsMax ? part : cpuMsOf(regex, text)
}

/** The least of three: what the expression itself takes, and not what the machine does beside. */
function cpuMsOf(regex: RegExp, text: string): number {
  let least = Number.POSITIVE_INFINITY
  for (let turn = 0; turn < 3 && (turn === 0 || least > 1); turn += 1) {
    const before = process.cpuUsage()
    if (regex.global) text.replace(regex, '')
    else regex.test(text)
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, (user + system) / 1000)
  }
  return least
}
