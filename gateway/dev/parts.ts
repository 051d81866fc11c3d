import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'

/** The repository that this file belongs to. */
export const repositoryRoot = resolve(import.meta.dirname, '../..')

const partsSchema = z.object({
  meshlink: z.string().optional(),
  lab: z.string().optional(),
  traefik: z.string().optional(),
  python: z.string().optional(),
  model: z.string().optional(),
  page: z.string().optional(),
  headscale: z.string().optional(),
  tailscaled: z.string().optional(),
  tailscale: z.string().optional(),
  nginx: z.string().optional(),
  haproxy: z.string().optional(),
  apache: z.string().optional(),
  caddy: z.string().optional(),
  uvicorn: z.string().optional(),
  openaiPython: z.string().optional(),
  clients: z.string().optional(),
  prometheus: z.string().optional(),
  promtool: z.string().optional(),
})

/** What set-up has provided: absolute paths. */
export type Parts = z.output<typeof partsSchema>

/** Reads what set-up has written. Throws when there was no set-up. */
export function readParts(root = repositoryRoot): Parts {
  try {
    return partsSchema.parse(JSON.parse(readFileSync(join(root, '.hearth/parts.json'), 'utf8')))
  } catch (cause) {
    throw new Error('this checkout is not set up yet. Run: npm run setup', { cause })
  }
}

/** The path of one part. Throws, with the fix, when set-up was told to leave it out. */
export function requirePart(parts: Parts, name: keyof Parts): string {
  const path = parts[name]
  if (path === undefined) throw new Error(`the part "${name}" is not set up yet. Run: npm run setup`)
  return path
}
