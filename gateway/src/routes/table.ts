import { callerRoutes } from './routes.data.ts'

/** What a path of a request means. */
export interface FoundRoute {
  /** As the list of routes writes it: a word of a small set, whatever the caller sent. */
  readonly path: string
  readonly methods: ReadonlySet<string>
  /** The public name of the model that the path names, where it names one of ours. */
  readonly modelName?: string
}

/** The routes of one configuration, by the exact bytes of their paths. */
export interface RouteTable {
  /** The route of a path as it was sent, without its query; nothing is decoded, folded or joined. */
  find(path: string): FoundRoute | undefined
}

const placeholder = '{id}'
/** The spellings that some configuration could give a model, by the letters that `hearth.yaml` allows in a name. */
const anySpelling = /^[A-Za-z0-9](?:[A-Za-z0-9._:/-]|%2F|%3A){0,127}$/

/**
 * Writes out every path that leads somewhere, one for each spelling of each model. What could be the name of a model and
 * is none of ours is found too, but leads to no model: whoever asks for it must have a key first, and learns no more
 * than about a model that the key may not use.
 */
export function createRouteTable(modelNames: readonly string[]): RouteTable {
  const byPath = new Map<string, { path: string; methods: Set<string>; modelName?: string }>()
  const add = (exact: string, path: string, method: string, modelName?: string) => {
    const known = byPath.get(exact)
    if (known === undefined)
      byPath.set(exact, { path, methods: new Set([method]), ...(modelName === undefined ? {} : { modelName }) })
    else known.methods.add(method)
  }
  const open: { prefix: string; found: FoundRoute }[] = []
  for (const { path, method } of callerRoutes) {
    if (!path.endsWith(placeholder)) {
      add(path, path, method)
      continue
    }
    const prefix = path.slice(0, -placeholder.length)
    for (const name of modelNames) {
      for (const spelling of spellingsOf(name)) add(prefix + spelling, path, method, name)
    }
    open.push({ prefix, found: { path, methods: new Set([method]) } })
  }
  return { find: (path) => byPath.get(path) ?? open.find(({ prefix }) => isNameBelow(path, prefix))?.found }
}

function isNameBelow(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && anySpelling.test(path.slice(prefix.length))
}

/** How clients write a name of a model into a path: as it is, with all of it encoded, and as the OpenAI SDKs do. */
function spellingsOf(name: string): ReadonlySet<string> {
  return new Set([name, encodeURIComponent(name), name.replaceAll('/', '%2F')])
}
