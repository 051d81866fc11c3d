import { waitUntil } from '../test/deadline.ts'
import { startEngine } from './engine.ts'
import { type CallerSees, chatBody, type Front, startFront } from './front.ts'
import type { Arm, Context, Outcome, Scenario } from './scenario.ts'
import type { Sidecar } from './sidecar.ts'
import { startTailnet, type Tailnet } from './tailnet.ts'

const upstream = 'gpu'
/** Between the packets of the smallest MTU that IPv6 allows and those of 1280, as tunnels inside tunnels leave. */
const wireBytesMax = 1_250
const uploadBytes = 1024 * 1024
const readyTimeoutMs = 20_000
const verdictTimeoutMs = 30_000
const uploadTimeoutMs = 30_000

/** A road that loses large packets in silence: found, named, and cured by the MTU that the probe advises. */
export const bulk: Scenario = {
  name: 'bulk',
  about: `a road home that silently loses packets of more than ${wireBytesMax} bytes: small requests pass, an upload of 1 MiB hangs`,
  arms: { plain: 'MESH_MTU as it is', cured: 'MESH_MTU as the probe advises' },
  limitMs: () => 120_000,
  run,
}

interface Road {
  readonly sidecar: Sidecar
  readonly front: Front
}

async function run({ bench, say }: Context): Promise<Outcome> {
  if (process.platform !== 'linux') {
    return { plain: {}, cured: {}, claims: [], skipped: 'the filter that loses large packets is a feature of Linux' }
  }
  const engine = await startEngine(bench)
  const tailnet = await startTailnet(bench)
  const forwards = [`80=127.0.0.1:${engine.port}`]
  await tailnet.home({ name: 'home-gpu', forwards, args: ['--wire-bytes-max', String(wireBytesMax)] })
  const plain = await startRoad({ bench, tailnet, name: 'plain' })
  say('the home loses large packets; a small request and an upload')
  const [plainSees, advice] = await Promise.all([tryOut(plain), awaitAdvice(plain.sidecar)])
  say(`the probe advises MESH_MTU=${advice.advisedMtu}`)
  const cured = await startRoad({ bench, tailnet, name: 'cured', mtu: advice.advisedMtu })
  const curedSees = await tryOut(cured)
  const after = await awaitVerdict(cured.sidecar)
  return judge({ ...plainSees, ...advice }, { ...curedSees, mtu: advice.advisedMtu, ...after })
}

function judge(plain: Arm, cured: Arm): Outcome {
  const largest = Number(plain['largestGoodBytes'])
  return {
    plain,
    cured,
    claims: [
      { text: 'small requests pass either way', holds: plain['smallCode'] === 'ok' && cured['smallCode'] === 'ok' },
      {
        text: 'the upload hangs, and its caller is told why in the end',
        holds: plain['uploadCode'] === 'mesh_blackhole',
      },
      {
        text: `the probe names a black hole and the largest packet that passes (${largest} of ${wireBytesMax})`,
        holds: plain['verdict'] === 'blackhole' && largest > 0 && largest <= wireBytesMax,
      },
      { text: 'with the MTU that it advises the upload passes', holds: cured['uploadCode'] === 'ok' },
      { text: 'and the road is called fine', holds: cured['verdict'] === 'fine' },
    ],
  }
}

interface RoadOptions extends Pick<Context, 'bench'> {
  readonly tailnet: Tailnet
  readonly name: string
  readonly mtu?: number
}

async function startRoad({ bench, tailnet, name, mtu }: RoadOptions): Promise<Road> {
  const sidecar = await tailnet.sidecar({
    name: `sidecar-${name}`,
    upstreams: `${upstream}=tag:gpu:80`,
    env: mtu === undefined ? {} : { MESH_MTU: String(mtu) },
  })
  const front = await startFront(bench, { name: `gateway-${name}`, sidecar, upstreams: [upstream] })
  await sidecar.ready(readyTimeoutMs)
  return { sidecar, front }
}

async function tryOut({ front }: Road) {
  const small = await front.chat(upstream)
  const upload = await front.chat(upstream, { body: chatBody(upstream, uploadBytes), timeoutMs: uploadTimeoutMs })
  const named = (name: string, { code, ms }: CallerSees) => ({ [`${name}Code`]: code, [`${name}Ms`]: ms })
  return { ...named('small', small), ...named('upload', upload) }
}

/** What the probe says, as an operator reads it. */
async function awaitAdvice(sidecar: Sidecar) {
  const find = async () => {
    const { warnings } = await sidecar.document()
    const fix = warnings.find(({ code }) => code === 'mtu_blackhole')?.fix
    return /MESH_MTU=(\d+)/.exec(fix ?? '')?.[1]
  }
  const mtu = await waitUntil(find, verdictTimeoutMs, 'a warning of the sidecar advises MESH_MTU')
  return { advisedMtu: Number(mtu), ...(await awaitVerdict(sidecar)) }
}

async function awaitVerdict(sidecar: Sidecar) {
  const find = async () => (await sidecar.document()).upstreams.find(({ name }) => name === upstream)?.bulk ?? undefined
  const found = await waitUntil(find, verdictTimeoutMs, `the probe of ${sidecar.name} has a verdict`)
  return { verdict: found.verdict ?? null, largestGoodBytes: found.largestGoodBytes ?? null }
}
