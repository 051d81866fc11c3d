const onlyNode = ['packages', 'node']
const chain = [...onlyNode, 'go', 'page', 'traefik', 'engine', 'model']

/**
 * Which parts a script needs, so that `npm run gateway` builds no Go and `npm start -- --direct` wants no Traefik.
 * @param {string} script
 * @param {readonly string[]} args
 * @returns {string[]}
 */
export function wantedParts(script, args) {
  if (/(^|\/)gateway\/(src\/|dev\/build\.ts$)/.test(script)) return onlyNode
  if (!/(^|\/)gateway\/dev\/up\.ts$/.test(script)) return chain
  const has = (/** @type {string} */ flag) => args.some((arg) => arg === flag || arg.startsWith(`${flag}=`))
  if (has('--help')) return onlyNode
  const unwanted = new Set([
    ...(has('--direct') ? ['go', 'traefik'] : []),
    ...(has('--engine') ? ['engine', 'model'] : []),
    ...(has('--model') ? ['model'] : []),
  ])
  return chain.filter((part) => !unwanted.has(part))
}
