import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One text of JSONTestSuite: `y_` is JSON, `n_` is none, of `i_` each reader may think what it likes. */
export interface JsonText {
  readonly name: string
  readonly bytes: Buffer
}

type Written =
  | string
  | { readonly base64: string }
  | { readonly repeat: string; readonly times: number; readonly then: string }

/** All 318 texts of JSONTestSuite. */
export function readJsonTexts(): readonly JsonText[] {
  const file = join(import.meta.dirname, 'fixtures/json-test-suite/cases.json')
  const written: Readonly<Record<string, Written>> = JSON.parse(readFileSync(file, 'utf8'))
  return Object.entries(written).map(([name, text]) => ({ name, bytes: bytesOf(text) }))
}

function bytesOf(text: Written): Buffer {
  if (typeof text === 'string') return Buffer.from(text)
  if ('base64' in text) return Buffer.from(text.base64, 'base64')
  return Buffer.from(text.repeat.repeat(text.times) + text.then)
}
