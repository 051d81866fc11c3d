import { setTimeout as wait } from 'node:timers/promises'
import type { EngineProcess } from '../test/fake-control.ts'
import { type CodeCase, homeNames, homePorts, type Scene, type Stand, stands } from './code-stands.ts'
import { startEngine } from './engine.ts'
import { type CallerSees, type Front, startFront } from './front.ts'
import { inTurns } from './in-turns.ts'
import type { Arm, Context, Outcome, Scenario } from './scenario.ts'
import type { Sidecar } from './sidecar.ts'
import { startTailnet, type Tailnet } from './tailnet.ts'

type ArmName = 'plain' | 'cured'
type Seen = Map<string, CallerSees>

const standsAtOnce = 4
const readyTimeoutMs = 20_000
const askEveryMs = 250
/** How long a caller asks on while the answer is only "not ready yet". */
const tellingTimeoutMs = 25_000

/** Every failure that can be made here, as a caller of the gateway sees it. */
export const codes: Scenario = {
  name: 'codes',
  about: 'failures of the road, made for real: what a caller of the gateway sees, and how soon',
  arms: { plain: 'without reasons', cured: 'with them' },
  limitMs: () => 150_000,
  run,
}

async function run({ bench, say }: Context): Promise<Outcome> {
  const engine = await startEngine(bench)
  const silent = await startEngine(bench)
  await silent.setDefault({ stall: 'head' })
  const tailnet = await startTailnet(bench)
  const deadPort = await bench.port()
  const loseHome = await startHomes(tailnet, { engine, silent, deadPort })
  const scene: Scene = { bench, tailnet, deadPort, loseHome }
  const seen = { plain: new Map<string, CallerSees>(), cured: new Map<string, CallerSees>() }
  const both = (stand: Stand) =>
    (['cured', 'plain'] as const).map((arm) => () => askStand(scene, stand, arm, seen[arm]))
  say('control plane and three homes up, one of them killed; now a sidecar and a gateway for each failure and arm')
  await inTurns(stands.filter(({ fault }) => fault === undefined).flatMap(both), standsAtOnce)
  for (const stand of stands.filter(({ fault }) => fault !== undefined)) {
    say(`the control plane: ${stand.cases[0]?.what ?? stand.name}`)
    await tailnet.fault(stand.fault ?? '')
    await Promise.all(both(stand).map((job) => job()))
    await tailnet.fault(stand.fault ?? '', { on: 'false' })
  }
  return judge(
    seen,
    stands.flatMap(({ cases }) => cases),
  )
}

function judge(seen: Readonly<Record<ArmName, Seen>>, cases: readonly CodeCase[]): Outcome {
  const arm = (name: ArmName): Arm =>
    Object.fromEntries(
      cases.map(({ what }) => [what, { ...(seen[name].get(what) ?? { status: 0, code: 'not asked' }) }]),
    )
  const wrong = cases.filter(({ what, expected }) => seen.cured.get(what)?.code !== expected)
  const kinds = (name: ArmName) => new Set(cases.map(({ what }) => seen[name].get(what)?.code)).size
  const missed = wrong.map(({ what, expected }) => `${what}: wanted ${expected}`).join('; ')
  return {
    plain: { ...arm('plain'), 'told apart': kinds('plain') },
    cured: { ...arm('cured'), 'told apart': kinds('cured') },
    claims: [
      { text: `each has its own code${missed === '' ? '' : ` (${missed})`}`, holds: wrong.length === 0 },
      {
        text: `fewer are told apart without reasons (${kinds('plain')} of ${kinds('cured')})`,
        holds: kinds('plain') < kinds('cured'),
      },
    ],
  }
}

interface Ends {
  readonly engine: EngineProcess
  /** Takes every question and answers none. */
  readonly silent: EngineProcess
  readonly deadPort: number
}

/** Returns how the third home is lost: killed once both arms wait for its answer. */
async function startHomes(tailnet: Tailnet, { engine, silent, deadPort }: Ends): Promise<() => Promise<void>> {
  const { alive, off, lost } = homeNames
  const { engine: open, denied, deadEnd } = homePorts
  const forwards = [
    `${open}=127.0.0.1:${engine.port}`,
    `${denied}=127.0.0.1:${engine.port}`,
    `${deadEnd}=127.0.0.1:${deadPort}`,
  ]
  const [, offHome, lostHome] = await Promise.all([
    tailnet.home({ name: alive, forwards }),
    tailnet.home({ name: off, forwards: [`80=127.0.0.1:${engine.port}`] }),
    tailnet.home({ name: lost, forwards: [`80=127.0.0.1:${silent.port}`] }),
  ])
  await tailnet.fault('deny', { node: alive, port: String(denied) })
  await offHome.kill()
  const lose = async () => {
    await silent.waitFor(({ running }) => running === 2, 'both arms wait for an answer of the home', readyTimeoutMs)
    await lostHome.kill()
  }
  let losing: Promise<void> | undefined
  return () => {
    losing ??= lose()
    return losing
  }
}

async function askStand(scene: Scene, stand: Stand, arm: ArmName, seen: Seen): Promise<void> {
  const { bench, tailnet } = scene
  const sidecar = await tailnet.sidecar({
    name: `${stand.name}-${arm}`,
    upstreams: stand.upstreams ?? '',
    env: stand.env?.(scene) ?? {},
    ...(arm === 'plain' ? { without: ['reasons'] } : {}),
  })
  const upstreams = [...new Set(stand.cases.map(({ upstream }) => upstream))]
  const front = await startFront(bench, { name: `gateway-${stand.name}-${arm}`, sidecar, upstreams })
  try {
    if (stand.joins) await sidecar.ready(readyTimeoutMs)
    const note = async ({ what, upstream, before, meanwhile }: CodeCase) => {
      await before?.(scene, sidecar)
      const [answer] = await Promise.all([askUntilTelling(front, upstream), meanwhile?.(scene)])
      seen.set(what, answer)
    }
    await Promise.all(stand.cases.filter(({ before }) => before === undefined).map(note))
    for (const last of stand.cases.filter(({ before }) => before !== undefined)) await note(last)
  } finally {
    await endBoth(front, sidecar)
  }
}

/** What a caller is told in the end, and after how long. */
async function askUntilTelling(front: Front, upstream: string): Promise<CallerSees> {
  const startedAt = performance.now()
  for (;;) {
    const answer = await front.chat(upstream)
    const ms = Math.round(performance.now() - startedAt)
    if (answer.code !== 'mesh_not_ready' || ms > tellingTimeoutMs) return { ...answer, ms }
    await wait(askEveryMs)
  }
}

async function endBoth(front: Front, sidecar: Sidecar): Promise<void> {
  await Promise.all([front.process.kill(), sidecar.process.kill()])
}
