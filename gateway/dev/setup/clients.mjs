import { readFileSync } from 'node:fs'
import { definePythonPackages } from './python-packages.mjs'

/** The lists that `gateway/dev/pin-python.ts` writes. @param {string} name */
const read = (name) => readFileSync(new URL(`../pins/${name}.txt`, import.meta.url), 'utf8')

const openaiList = read('openai-python')

/** Python with OpenAI's own package, which `npm test` sends through the gateway. */
export const openaiPython = definePythonPackages({
  name: 'openaiPython',
  title: 'openai (Python)',
  version: versionOf('openai', openaiList),
  megabytes: 80,
  requirements: openaiList,
  imports: ['openai'],
})

const clientsList = read('clients')

/** Python with all clients of `npm run test:clients`. Not loaded here: litellm would look for prices on the network. */
export const clients = definePythonPackages({
  name: 'clients',
  title: 'LangChain and litellm (Python)',
  version: versionOf('litellm', clientsList),
  megabytes: 900,
  requirements: clientsList,
  imports: ['openai', 'langchain_openai'],
})

/** @param {string} name @param {string} list */
function versionOf(name, list) {
  const version = new RegExp(`^${name}==(\\S+)`, 'm').exec(list)?.[1]
  if (version === undefined) throw new Error(`the list of Python packages has no ${name}`)
  return version
}
