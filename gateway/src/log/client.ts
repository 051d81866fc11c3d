/** Clients by how their `User-Agent` begins, and what the log calls them. */
const clients = [
  'OpenAI/Python',
  'AsyncOpenAI/Python',
  'OpenAI/JS',
  'OpenAI/Go',
  'OpenAI/Java',
  'ai-sdk/openai-compatible',
  'ai',
  'langchainjs-openai',
  'litellm',
  'python-requests',
  'python-httpx',
  'Python',
  'aiohttp',
  'node',
  'undici',
  'axios',
  'Bun',
  'Deno',
  'Go-http-client',
  'okhttp',
  'curl',
  'Wget',
  'PostmanRuntime',
  'Mozilla',
  'kube-probe',
  'GoogleHC',
  'Prometheus',
] as const
const version = /^[/ ]v?(\d{1,4}(?:\.\d{1,4}){0,3})(?![\w.-])/

/**
 * The client behind a `User-Agent` in words of ours: a known name with its version, else `other`. The text itself is
 * hostile, says who somebody is, and may hold anything.
 */
export function clientOf(userAgent: string | undefined): string | undefined {
  if (userAgent === undefined) return undefined
  const name = clients.find((known) => userAgent.startsWith(known) && !/^[\w-]/.test(userAgent.slice(known.length)))
  if (name === undefined) return 'other'
  const number = version.exec(userAgent.slice(name.length, name.length + 32))?.[1]
  return number === undefined ? name : `${name} ${number}`
}
