import { setTimeout as wait } from 'node:timers/promises'
import { startEngine } from './engine.ts'
import type { Arm, Context, Finding, Outcome, Scenario } from './scenario.ts'
import type { Sidecar } from './sidecar.ts'
import { startTailnet, type Tailnet } from './tailnet.ts'
import { askThrough } from './tunnel.ts'

type ArmName = 'plain' | 'cured'

const homes = { alive: 'home-alive', dying: 'home-dying' } as const
const readyTimeoutMs = 20_000
/** Limit of the promise: from the thaw to the first answer of a home that lives. */
const firstAnswerLimitMs = 3_000
const answerTimeoutMs = 25_000
/** Shorter than a measured way counts when nothing speaks against it: here only the detector can tell. */
const napS = 20
/** The home that dies does so this long before the thaw. */
const deadForMs = 8_000
/** How long /readyz is asked after the thaw. */
const watchMs = 6_000
const askEveryMs = 25
/** Questions that arrive while the process is frozen are the first that it sees. */
const earlyMs = 50
const probeTimeoutMs = 8_000

/** The sidecar's process frozen, as a platform does with the CPU of an idle instance. */
export const freeze: Scenario = {
  name: 'freeze',
  about: 'idle sidecars are frozen by SIGSTOP and thawed; meanwhile one home falls silent and the other lives',
  arms: { plain: 'without the freeze detector', cured: 'with it' },
  options: { seconds: { about: 'how long they are frozen', fallback: 30, min: 30, max: 600 } },
  limitMs: (option) => 90_000 + option('seconds') * 1_000,
  run,
}

/** The sidecars of one arm. */
interface Sleepers {
  readonly alive: Sidecar
  readonly dead: Sidecar
  /** Of the dying home too, but frozen for a nap only. */
  readonly nap: Sidecar
}

/** Answers of /readyz after the thaw. */
interface Probed {
  readonly asked: number
  readonly ready: number
}

async function run({ bench, option, say }: Context): Promise<Outcome> {
  const engine = await startEngine(bench)
  const tailnet = await startTailnet(bench)
  const forwards = [`80=127.0.0.1:${engine.port}`]
  const [, dying] = await Promise.all([
    tailnet.home({ name: homes.alive, forwards }),
    tailnet.home({ name: homes.dying, forwards }),
  ])
  const [plain, cured] = await Promise.all([startArm(tailnet, 'plain'), startArm(tailnet, 'cured')])
  const seconds = option('seconds')
  say(`four sidecars are frozen for ${seconds} s and two for ${napS} s; one of the homes falls silent meanwhile`)
  await freezeNow([plain.alive, plain.dead, cured.alive, cured.dead])
  await wait((seconds - napS) * 1_000)
  await freezeNow([plain.nap, cured.nap])
  await wait(napS * 1_000 - deadForMs)
  // As with a power cut: nobody hears it go, and the control plane goes on calling it online.
  process.kill(dying.pid, 'SIGSTOP')
  await wait(deadForMs - earlyMs)
  const watches = [watchArm(plain), watchArm(cured)] as const
  await wait(earlyMs)
  for (const arm of [plain, cured]) for (const sidecar of Object.values(arm)) signal(sidecar, 'SIGCONT')
  say('thawed')
  return judge(await watches[0], await watches[1])
}

function judge(plain: Arm, cured: Arm): Outcome {
  const first = cured['firstAnswerMs']
  const [deadCured, napCured, napPlain] = [
    readies(cured['deadReady']),
    readies(cured['napReady']),
    readies(plain['napReady']),
  ]
  return {
    plain,
    cured,
    claims: [
      {
        text: `the home that lives answers within ${firstAnswerLimitMs / 1_000} s of the thaw`,
        holds: typeof first === 'number' && first <= firstAnswerLimitMs,
      },
      { text: 'and is called ready again', holds: readies(cured['aliveReady']) > 0 },
      {
        text: `/readyz never says 200 while the home is dead (${deadCured + napCured} times)`,
        holds: deadCured + napCured === 0,
      },
      { text: `without the detector it does after a nap (${napPlain} times)`, holds: napPlain > 0 },
    ],
  }
}

function readies(finding: Finding | undefined): number {
  return typeof finding === 'object' && finding !== null ? Number(finding['ready']) : Number.NaN
}

async function startArm(tailnet: Tailnet, arm: ArmName): Promise<Sleepers> {
  const start = (home: string, name: string) => startIdle(tailnet, home, `${name}-${arm}`, arm)
  const [alive, dead, nap] = await Promise.all([
    start(homes.alive, 'alive'),
    start(homes.dying, 'dead'),
    start(homes.dying, 'nap'),
  ])
  return { alive, dead, nap }
}

/** A sidecar that has carried one request and then stands idle. */
async function startIdle(tailnet: Tailnet, home: string, name: string, arm: ArmName): Promise<Sidecar> {
  const sidecar = await tailnet.sidecar({
    name,
    upstreams: `gpu=name:${home}:80`,
    ...(arm === 'plain' ? { without: ['freeze-detector'] } : {}),
  })
  await sidecar.ready(readyTimeoutMs)
  await askThrough({ sidecarPort: sidecar.port, upstream: 'gpu', timeoutMs: answerTimeoutMs })
  return sidecar
}

/** All ways are measured and good at the last moment before: whoever keeps that answer is wrong afterwards. */
async function freezeNow(sidecars: readonly Sidecar[]): Promise<void> {
  await Promise.all(sidecars.map((sidecar) => sidecar.post('/v1/warm')))
  for (const sidecar of sidecars) signal(sidecar, 'SIGSTOP')
}

function signal({ process: running }: Sidecar, name: NodeJS.Signals): void {
  process.kill(running.pid, name)
}

/** Begins before the thaw. */
async function watchArm({ alive, dead, nap }: Sleepers): Promise<Arm> {
  const first = askThrough({ sidecarPort: alive.port, upstream: 'gpu', timeoutMs: answerTimeoutMs })
  const [aliveReady, deadReady, napReady] = await Promise.all([probe(alive), probe(dead), probe(nap)])
  const { code, ms } = await first
  const { freeze } = await alive.document()
  return {
    firstAnswerMs: code === 'ok' ? Math.max(0, ms - earlyMs) : null,
    firstCode: code,
    aliveReady: { ...aliveReady },
    deadReady: { ...deadReady },
    napReady: { ...napReady },
    freezesSeen: freeze?.count ?? 0,
    lastGapSeconds: freeze?.lastGapS ?? 0,
  }
}

async function probe(sidecar: Sidecar): Promise<Probed> {
  const endsAtMs = performance.now() + earlyMs + watchMs
  const answers: Promise<number>[] = []
  while (performance.now() < endsAtMs) {
    answers.push(
      sidecar
        .readyz(probeTimeoutMs)
        .then(({ status }) => status)
        .catch(() => 0),
    )
    await wait(askEveryMs)
  }
  const statuses = await Promise.all(answers)
  return { asked: statuses.length, ready: statuses.filter((status) => status === 200).length }
}
