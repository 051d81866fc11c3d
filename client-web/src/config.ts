import { normalizeBaseUrl } from './api.ts'
import { member, textOf } from './json.ts'

export interface PageConfig {
  baseUrl: string
  defaultModel: string
  /** Origins the page's policy lets it call besides its own; undefined when any. */
  allowedOrigins: readonly string[] | undefined
}

/** Reads `config.json` beside the page. Without one the page talks to the server it came from. */
export async function readPageConfig(fetchConfig: typeof fetch, pageUrl: string): Promise<PageConfig> {
  const body: unknown = await fetchConfig('config.json', { cache: 'no-cache' })
    .then((response) => (response.ok ? response.json() : undefined))
    .catch(() => undefined)
  const listed = member(body, 'apiBaseUrls')
  const urls = (Array.isArray(listed) ? (listed as readonly unknown[]) : [])
    .map(textOf)
    .filter((url) => url !== undefined)
  const named = urls
    .filter((url) => url !== '*')
    .map(normalizeBaseUrl)
    .filter((url) => url !== undefined)
  return {
    baseUrl: named[0] ?? `${new URL(pageUrl).origin}/v1`,
    defaultModel: textOf(member(body, 'defaultModel')) ?? '',
    allowedOrigins: body === undefined || urls.includes('*') ? undefined : named.map((url) => new URL(url).origin),
  }
}
