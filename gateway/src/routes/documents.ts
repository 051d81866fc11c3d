import { createHash } from 'node:crypto'
import type { AppContext } from '../edge/request.ts'
import { renderDocs } from './docs-page.ts'
import { docsStyle } from './docs-style.ts'
import type { ApiDocument } from './openapi.ts'

/** Answers the description of the API for programs. */
export function openapi(document: ApiDocument) {
  const text = JSON.stringify(document)
  return (c: AppContext): Response =>
    c.body(text, 200, { ...c.get('request').headers, 'content-type': 'application/json; charset=utf-8' })
}

/** Answers the same for people: one page that loads and runs nothing. */
export function docs(document: ApiDocument) {
  const page = renderDocs(document)
  const style = createHash('sha256').update(docsStyle).digest('base64')
  const policy = `default-src 'none'; style-src 'sha256-${style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy,
    'referrer-policy': 'no-referrer',
  }
  return (c: AppContext): Response => c.body(page, 200, { ...c.get('request').headers, ...headers })
}
