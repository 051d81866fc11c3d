import { waitUntil } from '../test/deadline.ts'
import { startEngine } from './engine.ts'
import type { Arm, Context, Outcome, Scenario } from './scenario.ts'
import type { Sidecar } from './sidecar.ts'
import { startTailnet, type Tailnet } from './tailnet.ts'
import { askThrough, dial } from './tunnel.ts'

const homeName = 'home-gpu'
const readyTimeoutMs = 20_000
const dialTimeoutMs = 25_000
const warmDials = 20
const codeTimeoutMs = 15_000
const rejoinTimeoutMs = 30_000
/** How much longer than the cured one the plain one gets to come back. */
const patience = 2

/** The control plane away: warm, at a cold start, and back without a memory. */
export const controlDown: Scenario = {
  name: 'control-down',
  about: 'the control plane dies under a joined node and under a starting one, and comes back having forgotten all',
  arms: { plain: 'without rejoin', cured: 'with it' },
  limitMs: () => 120_000,
  run,
}

interface Found {
  warmDialsOk: number
  coldCode: string
  coldNamedMs: number
  backMs: number | null
  backAfter: string
}

async function run({ bench, say }: Context): Promise<Outcome> {
  const engine = await startEngine(bench)
  const tailnet = await startTailnet(bench)
  await tailnet.home({ name: homeName, forwards: [`80=127.0.0.1:${engine.port}`] })
  const [plain, cured] = await Promise.all([startWarm(tailnet, 'plain'), startWarm(tailnet, 'cured')])
  say('both nodes are ready; the control plane, relay and STUN are killed')
  await tailnet.killControl()
  const warm = { plain: await countDials(plain), cured: await countDials(cured) }
  say('nodes that start now')
  const [coldPlain, coldCured] = await Promise.all([nameCold(tailnet, 'plain'), nameCold(tailnet, 'cured')])
  say('the control plane comes back, having forgotten everybody')
  const backAt = performance.now()
  await tailnet.restartControl()
  // Until the home is a new node there, the old tunnels to the old one go on working.
  const homeIsBack = async () => (await tailnet.onlineNodes()).includes(homeName)
  await waitUntil(homeIsBack, readyTimeoutMs, 'the home has joined again')
  const curedBackMs = await comesBack(cured, backAt, rejoinTimeoutMs)
  const patienceMs = curedBackMs === null ? 0 : Math.max(curedBackMs * patience, curedBackMs + 5_000)
  const plainBackMs = await comesBack(plain, backAt, patienceMs)
  const arm = (found: Found): Arm => ({ ...found })
  return judge(
    arm({ warmDialsOk: warm.plain, ...coldPlain, backMs: plainBackMs, backAfter: wordOf(plainBackMs, patienceMs) }),
    arm({
      warmDialsOk: warm.cured,
      ...coldCured,
      backMs: curedBackMs,
      backAfter: wordOf(curedBackMs, rejoinTimeoutMs),
    }),
  )
}

function judge(plain: Arm, cured: Arm): Outcome {
  return {
    plain,
    cured,
    claims: [
      {
        text: `a joined node goes on dialling (${cured['warmDialsOk']} of ${warmDials})`,
        holds: cured['warmDialsOk'] === warmDials,
      },
      { text: 'a starting node names the reason', holds: cured['coldCode'] === 'mesh_control_unreachable' },
      { text: 'a forgotten node joins again by itself', holds: cured['backMs'] !== null },
      { text: 'without rejoin it does not', holds: plain['backMs'] === null },
    ],
  }
}

async function startWarm(tailnet: Tailnet, arm: 'plain' | 'cured'): Promise<Sidecar> {
  const sidecar = await startArm(tailnet, arm, `warm-${arm}`)
  await sidecar.ready(readyTimeoutMs)
  // Warm is who has spoken: the very first handshake may still be on the relay.
  await askThrough({ sidecarPort: sidecar.port, upstream: 'gpu', timeoutMs: dialTimeoutMs })
  return sidecar
}

function startArm(tailnet: Tailnet, arm: 'plain' | 'cured', name: string): Promise<Sidecar> {
  return tailnet.sidecar({ name, upstreams: 'gpu=tag:gpu:80', ...(arm === 'plain' ? { without: ['rejoin'] } : {}) })
}

async function countDials({ port }: Sidecar): Promise<number> {
  let ok = 0
  for (let count = 0; count < warmDials; count += 1) {
    const { code } = await askThrough({ sidecarPort: port, upstream: 'gpu', timeoutMs: dialTimeoutMs })
    if (code === 'ok') ok += 1
  }
  return ok
}

/** Starts a node that finds no control plane and waits for a telling refusal. */
async function nameCold(tailnet: Tailnet, arm: 'plain' | 'cured') {
  const sidecar = await startArm(tailnet, arm, `cold-${arm}`)
  const code = await waitUntil(
    async () => {
      const dialled = await dial(sidecar.port, 'gpu', codeTimeoutMs)
      dialled.socket?.destroy()
      return dialled.code === 'mesh_not_ready' ? undefined : dialled.code
    },
    codeTimeoutMs,
    `${sidecar.name} says why it cannot join`,
  )
  const coldNamedMs = Math.round(performance.now() - sidecar.startedAtMs)
  await sidecar.process.kill()
  return { coldCode: code, coldNamedMs }
}

/** From `sinceMs` until a request passes; null when none does within `timeoutMs`. */
async function comesBack({ port }: Sidecar, sinceMs: number, timeoutMs: number): Promise<number | null> {
  const leftMs = () => sinceMs + timeoutMs - performance.now()
  while (leftMs() > 0) {
    const { code } = await askThrough({ sidecarPort: port, upstream: 'gpu', timeoutMs: Math.ceil(leftMs()) })
    if (code === 'ok') return Math.round(performance.now() - sinceMs)
  }
  return null
}

function wordOf(backMs: number | null, waitedMs: number): string {
  return backMs === null ? `not within ${(waitedMs / 1_000).toFixed(1)} s` : 'by itself'
}
