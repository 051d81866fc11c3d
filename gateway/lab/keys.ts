import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { waitUntil } from '../test/deadline.ts'
import { inTurns } from './in-turns.ts'
import type { Arm, Context, Outcome, Scenario } from './scenario.ts'
import type { Sidecar } from './sidecar.ts'
import { startTailnet, type Tailnet } from './tailnet.ts'

/** How a key comes out of editors, shells, consoles and chats. */
const pastes: Readonly<Record<string, (key: string) => string | Buffer>> = {
  'as it is': (key) => key,
  'a line end': (key) => `${key}\n`,
  'a Windows file': (key) => `\uFEFF${key}\r\n`,
  'UTF-16, as PowerShell writes': (key) => Buffer.from(`\uFEFF${key}\r\n`, 'utf16le'),
  'in quotes': (key) => `"${key}"`,
  'in typographic quotes': (key) => `“${key}”`,
  'blanks around': (key) => `  ${key}\t`,
  'broken over two lines': (key) => `${key.slice(0, 20)}\n${key.slice(20)}\n`,
  'with the attributes of the hosted client': (key) => `${key}?ephemeral=false&preauthorized=true`,
  'a zero-width space inside': (key) => `${key.slice(0, 20)}\u200B${key.slice(20)}`,
}
const joinTimeoutMs = 15_000
const sidecarsAtOnce = 4

/** Keys as people paste them: whether the node joins. */
export const keys: Scenario = {
  name: 'keys',
  about: 'auth keys with line ends, quotes and worse: does the node join?',
  arms: { plain: 'without the normaliser', cured: 'with it' },
  limitMs: () => 90_000,
  run,
}

async function run({ bench, say }: Context): Promise<Outcome> {
  const tailnet = await startTailnet(bench)
  say('control plane up; one node for each paste and arm')
  const joined = { plain: new Map<string, string>(), cured: new Map<string, string>() }
  const jobs = Object.entries(pastes).flatMap(([name, paste], at) =>
    (['plain', 'cured'] as const).map((arm) => async () => {
      const file = join(bench.dir, `key-${at}-${arm}`)
      writeFileSync(file, paste(tailnet.authKey), { mode: 0o600 })
      joined[arm].set(name, await joinWith(tailnet, `${arm}-${at}`, file, arm === 'plain'))
    }),
  )
  await inTurns(jobs, sidecarsAtOnce)
  const arm = (name: 'plain' | 'cured'): Arm =>
    Object.fromEntries(Object.keys(pastes).map((paste) => [paste, joined[name].get(paste) ?? null]))
  const [plain, cured] = [arm('plain'), arm('cured')]
  const count = (found: Arm) => Object.values(found).filter((value) => value === 'joins').length
  const all = Object.keys(pastes).length
  return {
    plain,
    cured,
    claims: [
      { text: `all ${all} join with the normaliser (${count(cured)} did)`, holds: count(cured) === all },
      { text: 'the clean key joins without it too', holds: plain['as it is'] === 'joins' },
      { text: `fewer join without it (${count(plain)} of ${all})`, holds: count(plain) < count(cured) },
    ],
  }
}

/** `joins`, or the code that stands in the way. */
async function joinWith(tailnet: Tailnet, name: string, keyFile: string, plain: boolean): Promise<string> {
  const sidecar = await tailnet.sidecar({
    name,
    upstreams: 'gpu=tag:gpu:80',
    env: { TS_AUTHKEY_FILE: keyFile },
    ...(plain ? { without: ['normaliser'] } : {}),
  })
  try {
    return await waitUntil(() => verdictOf(sidecar), joinTimeoutMs, `${name} joins or says why not`)
  } finally {
    await sidecar.process.kill()
  }
}

async function verdictOf(sidecar: Sidecar): Promise<string | undefined> {
  const { self, problem } = await sidecar.document()
  if (self !== null) return 'joins'
  return problem === null || problem.code === 'mesh_not_ready' ? undefined : problem.code
}
