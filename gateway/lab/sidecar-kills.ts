import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { type Chain, startChain } from '../dev/chain.ts'
import { describeGateway } from '../dev/chain-processes.ts'
import { repositoryRoot } from '../dev/parts.ts'
import type { RunningProcess } from '../dev/process.ts'
import type { ProcessNews, Supervised } from '../dev/supervise.ts'
import { withDeadline } from '../test/deadline.ts'
import type { Bench } from './bench.ts'
import { engineModel as model, startEngine } from './engine.ts'
import { chat } from './front.ts'
import { countFailures, type Load, type Sent, startLoad } from './load.ts'
import type { Arm, Context, Outcome, Scenario } from './scenario.ts'

const sendEveryMs = 20
/** Of the engine: requests under way when a kill comes are lost either way, so there are few of them. */
const headDelayMs = 5
/** Limit of the promise: from the sidecar being ready to the first answer through it. */
const backLimitMs = 5_000
const restartTimeoutMs = 30_000
/** Between an answer and the next kill; by chance, so that kills meet requests in every state. */
const pauseMs = { min: 200, spread: 500 }
const stopTimeoutMs = 9_500

/** The sidecar is killed again and again under load. */
export const sidecarKills: Scenario = {
  name: 'sidecar-kills',
  about:
    'SIGKILL of the sidecar under load, again and again, in the whole chain: what callers see, and how soon it is well again',
  arms: { plain: 'limits.connectTries: 1', cured: 'as it is' },
  options: { kills: { about: 'how often it is killed', fallback: 50, min: 1, max: 500 } },
  limitMs: (option) => 60_000 + option('kills') * 8_000,
  run,
}

async function run({ bench, option, say }: Context): Promise<Outcome> {
  const engine = await startEngine(bench)
  await engine.setDefault({ headDelayMs })
  const models = [{ id: model }]
  const news = new Set<(item: ProcessNews) => void>()
  const starting = startChain({
    road: 'mesh',
    engine: { from: 'address', url: engine.url, kind: 'vllm', capacity: 64, models },
    stateDir: join(bench.dir, 'chain'),
    port: 0,
    supervise: true,
    signal: bench.signal,
    onNews: (item) => {
      for (const hear of [...news]) hear(item)
    },
  })
  // Also one that is not up yet, when the run is given up.
  bench.defer(() =>
    starting.then(
      (chain) => chain.stop(),
      () => {},
    ),
  )
  const chain = await starting
  const plain = await startPlainGateway(bench, chain)
  say(`the whole chain is up, with a second gateway; ${option('kills')} kills`)
  const send = (port: number) => () => chat({ port, key: chain.key, upstream: model })
  const loads = {
    plain: startLoad(sendEveryMs, send(plain.port)),
    cured: startLoad(sendEveryMs, send(chain.ports.gateway)),
  }
  const { backs, outages } = await killAgainAndAgain(chain, loads, news, option('kills'))
  await Promise.all([loads.plain.stop(), loads.cured.stop()])
  const gateway = chain.processes.get('gateway')
  const curedLives = gateway?.pid() !== undefined && gateway.restarts() === 0
  const summary = (arm: 'plain' | 'cured', lives: boolean) => summarise(loads[arm].sent, backs[arm], outages, lives)
  return judge(summary('plain', await stillRuns(plain.process)), summary('cured', curedLives), option('kills'))
}

function judge(plain: Arm, cured: Arm, kills: number): Outcome {
  return {
    plain,
    cured,
    claims: [
      { text: 'neither gateway ever exits', holds: plain['gatewayLives'] === true && cured['gatewayLives'] === true },
      {
        text: `after each of ${kills} kills a request passes within ${backLimitMs / 1_000} s of the sidecar being ready`,
        holds: cured['backInTime'] === kills,
      },
      {
        text: `of the requests that no kill met under way fewer fail when the connection is tried again (${cured['failedLater']} against ${plain['failedLater']})`,
        holds: Number(cured['failedLater']) < Number(plain['failedLater']),
      },
    ],
  }
}

/** By `performance.now()`. */
interface Outage {
  readonly killedAtMs: number
  readonly endedAtMs: number
  readonly readyAtMs: number
}

function summarise(
  sent: readonly Sent[],
  backsMs: readonly number[],
  outages: readonly Outage[],
  gatewayLives: boolean,
): Arm {
  const codes = countFailures(sent)
  const failed = sent.filter(({ code }) => code !== 'ok')
  // A request that was sent cannot be sent again, with or without the cure: how many a kill meets is chance.
  const isUnderWay = ({ startedAtMs, endedAtMs }: Sent) =>
    outages.some((outage) => startedAtMs <= outage.endedAtMs && endedAtMs >= outage.killedAtMs)
  return {
    requests: sent.length,
    failed: failed.length,
    failedLater: failed.filter((one) => !isUnderWay(one)).length,
    failedByCode: codes,
    slowestMs: Math.round(Math.max(...sent.map(({ ms }) => ms))),
    backInTime: backsMs.filter((ms) => ms <= backLimitMs).length,
    slowestBackMs: Math.round(Math.max(...backsMs)),
    gatewayLives,
  }
}

type Backs = Record<'plain' | 'cured', number[]>

/** Kills, and gives for each from the sidecar being ready again to the end of the first good request sent after that. */
async function killAgainAndAgain(
  chain: Chain,
  loads: Readonly<Record<'plain' | 'cured', Load>>,
  news: Set<(item: ProcessNews) => void>,
  kills: number,
): Promise<{ backs: Backs; outages: readonly Outage[] }> {
  const backs: Backs = { plain: [], cured: [] }
  const outages: Outage[] = []
  const sidecar = chain.processes.get('meshlink')
  if (sidecar === undefined) throw new Error('the chain has no meshlink')
  for (let kill = 0; kill < kills; kill += 1) {
    await wait(pauseMs.min + Math.random() * pauseMs.spread)
    const outage = await killOnce(sidecar, news)
    const { readyAtMs } = outage
    outages.push(outage)
    const note = async (arm: 'plain' | 'cured') => {
      const good = await loads[arm].firstGood(readyAtMs, backLimitMs * 2)
      backs[arm].push(good === undefined ? Number.POSITIVE_INFINITY : good.endedAtMs - readyAtMs)
    }
    await Promise.all([note('plain'), note('cured')])
  }
  return { backs, outages }
}

/** Kills the sidecar; resolves when it, started anew, is ready. */
async function killOnce(sidecar: Supervised, news: Set<(item: ProcessNews) => void>): Promise<Outage> {
  const { promise, resolve } = Promise.withResolvers<Outage>()
  const killedAtMs = performance.now()
  let endedAtMs = killedAtMs
  const hear = ({ name, kind }: ProcessNews) => {
    if (name !== 'meshlink') return
    if (kind === 'ended') endedAtMs = performance.now()
    if (kind === 'restarted') resolve({ killedAtMs, endedAtMs, readyAtMs: performance.now() })
  }
  news.add(hear)
  sidecar.cycle()
  return withDeadline(promise, restartTimeoutMs, 'the killed sidecar is ready again').finally(() => news.delete(hear))
}

const configSchema = z.looseObject({ limits: z.looseObject({}).default({}) })

/** A second gateway with the same configuration but one key. */
async function startPlainGateway(bench: Bench, chain: Chain) {
  const config = configSchema.parse(parse(readFileSync(chain.configFile, 'utf8')))
  const configFile = join(bench.dir, 'plain.yaml')
  writeFileSync(configFile, stringify({ ...config, limits: { ...config.limits, connectTries: 1 } }))
  const port = await bench.port()
  const spec = describeGateway(
    { ...chain.ports, gateway: port, admin: await bench.port() },
    {
      entry: join(repositoryRoot, 'gateway/src/main.ts'),
      configFile,
      keysFile: chain.keysFile,
      env: {},
      stopTimeoutMs,
    },
  )
  return { port, process: await bench.start('gateway', { ...spec, name: 'gateway-plain' }) }
}

async function stillRuns({ exited }: RunningProcess): Promise<boolean> {
  return await Promise.race([exited.then(() => false), wait(0, true)])
}
