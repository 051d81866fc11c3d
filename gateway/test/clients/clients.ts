import { aiSdk } from './ai-sdk.ts'
import { type Client, type ClientName, clientNames } from './ask.ts'
import { openaiNpm } from './openai-npm.ts'
import { startPythonClient } from './python-client.ts'

/** How one client is started here, or why it is not. */
export interface Starter {
  readonly name: ClientName
  readonly start: () => Promise<Client>
  readonly skip: string | false
}

const programs: Partial<Readonly<Record<ClientName, string>>> = {
  'openai (PyPI)': 'openai_client.py',
  LangChain: 'langchain_client.py',
  litellm: 'litellm_client.py',
}

/**
 * The clients of this run: all where `HEARTH_CLIENTS` names a Python that has them, else those of `npm test`, for which
 * `HEARTH_OPENAIPYTHON` names one.
 */
export function startersOf(env: NodeJS.ProcessEnv): readonly Starter[] {
  const python = env['HEARTH_CLIENTS'] ?? env['HEARTH_OPENAIPYTHON']
  const few: readonly ClientName[] = ['openai (npm)', 'openai (PyPI)', 'AI SDK']
  return (env['HEARTH_CLIENTS'] === undefined ? few : clientNames).map((name) => {
    const program = programs[name]
    if (program === undefined)
      return { name, skip: false, start: async () => (name === 'AI SDK' ? aiSdk() : openaiNpm()) }
    const missing =
      env['HEARTH_OPENAIPYTHON_MISSING'] ?? 'HEARTH_OPENAIPYTHON names no Python: npm run setup openaiPython'
    const start = async () => {
      if (python === undefined) throw new Error(missing)
      return await startPythonClient(name, program, python)
    }
    return { name, skip: python === undefined ? missing : false, start }
  })
}
