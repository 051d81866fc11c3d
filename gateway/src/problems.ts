import type { z } from 'zod'

/** Shown of no value that may be a secret. */
export type Showing = (path: readonly PropertyKey[]) => boolean

/** What is wrong with a document, a line for each field: its name, its value where `shows` lets it, and what is wanted. */
export function describeIssue(
  document: unknown,
  issue: z.core.$ZodIssue,
  shows: Showing = () => true,
): readonly string[] {
  const at = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${at === '' ? key : `${at}.${key}`}: is not a known key`)
  }
  if (at === '') return [`(root): ${issue.message}`]
  return [
    shows(issue.path) ? `${at}: ${show(valueAt(document, issue.path))}: ${issue.message}` : `${at}: ${issue.message}`,
  ]
}

/** A value of a file in a few words; what a url carries of secrets is not told. */
export function show(value: unknown): string {
  if (value === undefined) return 'not set'
  if (value !== null && typeof value === 'object') return Array.isArray(value) ? 'a list' : 'a section'
  return JSON.stringify(value)
    .replace(/[^"\s]+/g, withoutUser)
    .replace(/\?[^"]*/, '?…')
    .slice(0, 120)
}

function withoutUser(text: string): string {
  const [from, to] = [text.indexOf('//'), text.lastIndexOf('@')]
  return from >= 0 && to > from ? `${text.slice(0, from)}//…${text.slice(to)}` : text
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  let value = document
  for (const key of path) value = value === null || typeof value !== 'object' ? undefined : Reflect.get(value, key)
  return value
}
