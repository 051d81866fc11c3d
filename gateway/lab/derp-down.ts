import { setTimeout as wait } from 'node:timers/promises'
import { startEngine } from './engine.ts'
import { type Front, startFront } from './front.ts'
import { countFailures, type Load, startLoad } from './load.ts'
import type { Arm, Context, Outcome, Scenario } from './scenario.ts'
import type { Sidecar } from './sidecar.ts'
import { startTailnet, type Tailnet } from './tailnet.ts'

type ArmName = 'plain' | 'cured'

const upstream = 'gpu'
const readyTimeoutMs = 20_000
const sendEveryMs = 250
const beforeMs = 1_500
/** Longer than one try of a dial, shorter than all of them. */
const downMs = 7_000
const afterMs = 3_000
const backTimeoutMs = 20_000

/** The relay away for some seconds while it is the only way home. */
export const derpDown: Scenario = {
  name: 'derp-down',
  about: `a road that has only the relay; it is down for ${downMs / 1_000} s under a load of requests that each dial anew`,
  arms: { plain: 'without dial-retries', cured: 'with them' },
  limitMs: () => 120_000,
  run,
}

interface Road {
  readonly sidecar: Sidecar
  readonly front: Front
  readonly load: Load
}

async function run({ bench, say }: Context): Promise<Outcome> {
  const engine = await startEngine(bench)
  const tailnet = await startTailnet(bench)
  await tailnet.home({ name: 'home-gpu', forwards: [`80=127.0.0.1:${engine.port}`], args: ['--no-direct'] })
  const [plain, cured] = await Promise.all([startRoad(bench, tailnet, 'plain'), startRoad(bench, tailnet, 'cured')])
  const paths = { plain: await pathOf(plain), cured: await pathOf(cured) }
  await wait(beforeMs)
  say(`requests run over the path "${paths.cured}"; the relay is stopped for ${downMs / 1_000} s`)
  await tailnet.fault('derp')
  const downAtMs = performance.now()
  await wait(downMs)
  await tailnet.fault('derp', { on: 'false' })
  const upAtMs = performance.now()
  say('the relay is back')
  const back = await Promise.all([plain, cured].map(({ load }) => load.firstGood(upAtMs, backTimeoutMs)))
  await wait(afterMs)
  await Promise.all([plain.load.stop(), cured.load.stop()])
  const [plainBack, curedBack] = back.map((good) => (good === undefined ? null : Math.round(good.endedAtMs - upAtMs)))
  return judge(
    { path: paths.plain, ...summarise(plain.load, downAtMs, upAtMs), backMs: plainBack ?? null },
    { path: paths.cured, ...summarise(cured.load, downAtMs, upAtMs), backMs: curedBack ?? null },
  )
}

function judge(plain: Arm, cured: Arm): Outcome {
  const share = (arm: Arm) => Number(arm['successShare'])
  return {
    plain,
    cured,
    claims: [
      { text: 'the relay is the only way', holds: plain['path'] === 'derp' && cured['path'] === 'derp' },
      { text: 'requests pass again once the relay is back', holds: cured['backMs'] !== null },
      {
        text: `more requests pass when dials are tried again (${share(cured)} against ${share(plain)})`,
        holds: share(cured) > share(plain),
      },
    ],
  }
}

/** Of the requests that were sent while the relay was down. */
function summarise({ sent }: Load, downAtMs: number, upAtMs: number): Arm {
  const during = sent.filter(({ startedAtMs }) => startedAtMs >= downAtMs && startedAtMs < upAtMs)
  const passed = during.filter(({ code }) => code === 'ok')
  return {
    requests: sent.length,
    duringTheOutage: during.length,
    successShare: Number((passed.length / Math.max(1, during.length)).toFixed(3)),
    failedByCode: countFailures(sent),
    slowestGoodMs: Math.max(0, ...passed.map(({ ms }) => ms)),
  }
}

async function startRoad(bench: Context['bench'], tailnet: Tailnet, arm: ArmName): Promise<Road> {
  const sidecar = await tailnet.sidecar({
    name: `sidecar-${arm}`,
    upstreams: `${upstream}=tag:gpu:80`,
    env: { TS_DEBUG_NEVER_DIRECT_UDP: '1' },
    ...(arm === 'plain' ? { without: ['dial-retries'] } : {}),
  })
  const front = await startFront(bench, {
    name: `gateway-${arm}`,
    sidecar,
    upstreams: [upstream],
    // Tries of the gateway's own would hide what those of the sidecar are worth.
    config: { limits: { connectTries: 1 } },
  })
  await sidecar.ready(readyTimeoutMs)
  await front.chat(upstream)
  return { sidecar, front, load: startLoad(sendEveryMs, () => front.chat(upstream)) }
}

async function pathOf({ sidecar }: Road): Promise<string> {
  return (await sidecar.document()).upstreams.find(({ name }) => name === upstream)?.path ?? 'none'
}
