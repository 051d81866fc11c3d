import { callerRoutes } from '../routes/routes.data.ts'

/** Parts of paths that clients really ask for, and a wrong base URL is seen by. */
const asked = ['api', 'openai', 'v1', 'v2', 'beta', 'responses', 'messages', 'audio', 'images', 'files', 'generate']
const ours = callerRoutes.flatMap(({ path }) => path.split('/')).filter((part) => !part.startsWith('{'))
const words: ReadonlySet<string> = new Set([...ours, ...asked, 'metrics', 'favicon.ico', 'robots.txt'])
const partsMax = 8

/**
 * The shape of a path that leads nowhere: its parts, where they are words of ours, and `*` for all others, in which a
 * caller could have put anything. `/v1/v1/models?x` becomes `/v1/v1/models`, `/v1/secret` becomes `/v1/*`.
 */
export function shownPath(target: string): string {
  const query = target.indexOf('?')
  const path = query < 0 ? target : target.slice(0, query)
  const parts = path.split('/', partsMax + 2)
  if (parts[0] !== '') return '*'
  const shown = parts.slice(1, partsMax + 1).map((part) => (words.has(part) ? part : '*'))
  return `/${shown.join('/')}${parts.length > partsMax + 1 ? '/…' : ''}`
}
