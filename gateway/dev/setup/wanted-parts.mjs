const onlyNode = ['packages', 'node']
const chain = [...onlyNode, 'go', 'page', 'traefik', 'engine', 'model']
const lab = [...onlyNode, 'go', 'traefik']

/**
 * Which parts a script needs, so that `npm run gateway` builds no Go and `npm start -- --direct` wants no Traefik.
 * @param {string} script
 * @param {readonly string[]} args
 * @returns {string[]}
 */
export function wantedParts(script, args) {
  if (/(^|\/)gateway\/(src\/|dev\/build\.ts$)/.test(script)) return onlyNode
  const has = (/** @type {string} */ flag) => args.some((arg) => arg === flag || arg.startsWith(`${flag}=`))
  if (/(^|\/)gateway\/lab\//.test(script)) return has('--help') || has('list') ? onlyNode : lab
  if (!/(^|\/)gateway\/dev\/up\.ts$/.test(script)) return chain
  if (has('--help')) return onlyNode
  const unwanted = new Set([
    ...(has('--direct') ? ['go', 'traefik'] : []),
    ...(has('--engine') ? ['engine', 'model'] : []),
    ...(has('--model') ? ['model'] : []),
  ])
  return chain.filter((part) => !unwanted.has(part))
}
