import { existsSync, globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readParts, requirePart } from '../dev/parts.ts'
import { keptLogsVariable, type LogFindings, takeKeptLogs } from './kept-logs.ts'
import { mutants, sabotage } from './proof.ts'
import {
  addUp,
  check,
  goLint,
  goRaceTests,
  goTests,
  nodeTests,
  provideParts,
  report,
  type Stage,
  type Tally,
  tryPart,
} from './stages.ts'

const help = `npm test [-- --quick] [-- --only STAGE[,STAGE]]

Stages, in order: check, go, unit, build, wire, chain, page, clients, hostile, sabotage, mutants, bundle, mesh, race, setup, log.
--quick leaves out:
  clients the two openai packages and the AI SDK through the gateway, half a minute; npm run test:clients has more of them
  hostile the long attacks on the edge: thousands of broken requests and answers, floods, slow callers,
          and five servers of other people (half a minute the first time) that say what the gateway sent them
  sabotage the controls of the edge taken away one by one: the tests that guard them must turn red
  mutants a sample of small mistakes in the code of the edge, of which the unit tests must see four fifths
  bundle  the same end-to-end tests on the bundle
  mesh    a real headscale and Tailscale's own programs, half a minute, and four more where they must be built
  race    the Go tests under the race detector: one minute, and two more the first time
  setup   a cold set-up on a fresh clone
`

const source = 'gateway/src/main.ts'
const bundle = 'gateway/dist/main.mjs'
const wireTests = ['gateway/test/*.wire.test.ts']
const chainTests = ['gateway/test/*.chain.test.ts']
const onBundle = { HEARTH_TEST_ENTRY: bundle, HEARTH_TEST_CLI: 'gateway/dist/cli.mjs', HEARTH_ALLOW_UNSAFE_NODE: '1' }
const sidecar = 'gateway/sidecar'
const onHeadscale = '^TestHeadscale'
/** They wait more than they work, each with processes of its own. */
const sideBySide = ['-parallel', '6']
const withoutHeadscale = [...sideBySide, '-skip', onHeadscale]
/** Size, memory and speed are the program's own, not those of one that the detector has changed. */
const onWalls = 'TestTheProgramIsStaticAndSmall|TestMemoryStaysSmall|TestRACKUploads'
const minuteMs = 60_000

function stages(logs: LogFindings): readonly Stage[] {
  return [
    { name: 'check', run: () => check() },
    { name: 'go', run: async () => addUp([await goLint(sidecar), await goTests(sidecar, withoutHeadscale)]) },
    {
      name: 'unit',
      run: () =>
        nodeTests(
          files(
            ['gateway/{src,dev,test,lab}/**/*.test.{ts,mjs}', 'client-web/{src,.}/**/*.test.ts'],
            /\.(wire|chain|client|mesh|hostile|e2e)\.test\.|node_modules/,
          ),
        ),
    },
    { name: 'build', run: () => check(['build']) },
    { name: 'wire', run: () => nodeTests(files(wireTests), { HEARTH_TEST_ENTRY: source }) },
    { name: 'chain', run: () => nodeTests(files(chainTests), { HEARTH_TEST_ENTRY: source }, 1) },
    { name: 'page', run: () => nodeTests(files(['client-web/e2e/*.e2e.test.ts']), {}, 1) },
    { name: 'clients', run: clientTests, slow: true },
    { name: 'hostile', run: hostileTests, slow: true },
    { name: 'sabotage', run: sabotage, slow: true, isBroken: true },
    { name: 'mutants', run: mutants, slow: true, isBroken: true },
    { name: 'bundle', run: () => nodeTests(files([...wireTests, ...chainTests]), onBundle, 1), slow: true },
    { name: 'mesh', run: meshTests, slow: true },
    {
      name: 'race',
      run: () => goRaceTests(sidecar, [...sideBySide, '-skip', `${onHeadscale}|${onWalls}`]),
      slow: true,
    },
    {
      name: 'setup',
      run: () => nodeTests(files(['gateway/test/setup.e2e.test.ts']), {}, 1, 25 * minuteMs),
      slow: true,
    },
    { name: 'log', run: async () => judgeLogs(logs) },
  ]
}

/** The attacks on the edge. Where this machine can have them, other people's servers stand behind it and say what they saw. */
async function hostileTests(): Promise<Tally> {
  const env: Record<string, string> = { HEARTH_TEST_ENTRY: source }
  const tallies: Tally[] = []
  for (const name of ['nginx', 'haproxy', 'apache', 'caddy', 'uvicorn'] as const) {
    const { tally, problem } = await tryPart(name)
    tallies.push(tally)
    if (problem === undefined) env[`HEARTH_${name.toUpperCase()}`] = requirePart(readParts(), name)
    else env[`HEARTH_${name.toUpperCase()}_MISSING`] = problem
  }
  const { tally, problem } = await tryPart('prometheus')
  tallies.push(tally)
  if (problem === undefined) {
    const parts = readParts()
    env['HEARTH_PROMETHEUS'] = requirePart(parts, 'prometheus')
    env['HEARTH_PROMTOOL'] = requirePart(parts, 'promtool')
  } else env['HEARTH_PROMETHEUS_MISSING'] = problem
  return addUp([...tallies, await nodeTests(files(['gateway/test/*.hostile.test.ts']), env, 1)])
}

/** Real clients. The one in Python is left out, with the reason, where this machine cannot have it. */
async function clientTests(): Promise<Tally> {
  const { tally, problem } = await tryPart('openaiPython')
  const python: Record<string, string> =
    problem === undefined
      ? { HEARTH_OPENAIPYTHON: requirePart(readParts(), 'openaiPython') }
      : { HEARTH_OPENAIPYTHON_MISSING: problem }
  const clientFiles = files(['gateway/test/clients/*.client.test.ts'])
  return addUp([tally, await nodeTests(clientFiles, { HEARTH_TEST_ENTRY: source, ...python }, 1)])
}

/** What needs other people's programs: a headscale, and the Tailscale that some keep beside the gateway. */
async function meshTests(): Promise<Tally> {
  const provided = await provideParts(['headscale', 'stock'])
  if (provided.failed > 0) return provided
  const parts = readParts()
  const env = {
    HEARTH_HEADSCALE: requirePart(parts, 'headscale'),
    HEARTH_TAILSCALED: requirePart(parts, 'tailscaled'),
    HEARTH_TAILSCALE: requirePart(parts, 'tailscale'),
  }
  const onGo = await goTests(sidecar, [...sideBySide, '-run', onHeadscale], env)
  const meshFiles = files(['gateway/test/*.mesh.test.ts'])
  const onNode = meshFiles.length === 0 ? [] : [await nodeTests(meshFiles, { HEARTH_TEST_ENTRY: source, ...env }, 1)]
  return addUp([provided, onGo, ...onNode])
}

/** What all gateways of the run have logged until now: every line is a record, and nothing that was planted is in it. */
function judgeLogs({ programs, lines, problems }: LogFindings): Tally {
  const tally = { passed: 0, failed: 0, skipped: 0 }
  if (programs === 0) report(tally, 'skip', 'the logs of the run', 'no stage of this run started a gateway')
  else {
    const name = `the logs of the run: ${lines} lines of ${programs} programs, ${problems.length} of them wrong or with a canary`
    report(tally, problems.length === 0 ? 'pass' : 'fail', name, problems.join('\n'))
  }
  return tally
}

/** Runs a stage, and adds what its gateways have logged. */
async function runStage(stage: Stage, logs: { programs: number; lines: number; problems: string[] }): Promise<Tally> {
  // Programs that were broken on purpose may log what they like.
  if (stage.isBroken === true) return await stage.run()
  const folder = mkdtempSync(join(tmpdir(), 'hearth-logs-'))
  process.env[keptLogsVariable] = folder
  try {
    const tally = await stage.run()
    const found = takeKeptLogs(folder)
    logs.programs += found.programs
    logs.lines += found.lines
    logs.problems.push(...found.problems.map((problem) => `in ${stage.name}: ${problem}`))
    return tally
  } finally {
    delete process.env[keptLogsVariable]
    rmSync(folder, { recursive: true, force: true })
  }
}

function files(patterns: readonly string[], except = /node_modules/): readonly string[] {
  return globSync(patterns)
    .filter((file) => !except.test(file))
    .sort()
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return void process.stdout.write(help)
  const only = values.only?.split(',')
  const logs = { programs: 0, lines: 0, problems: [] }
  const all = stages(logs)
  const unknown = only?.filter((name) => !all.some((stage) => stage.name === name)) ?? []
  if (unknown.length > 0 || !existsSync(source)) {
    process.stderr.write(`Unknown stage: ${unknown.join(', ')}\n\n${help}`)
    process.exitCode = 2
    return
  }
  const chosen = all.filter(({ name, slow }) =>
    only === undefined ? !(values.quick && slow === true) : only.includes(name),
  )
  const tallies: Tally[] = []
  for (const stage of chosen) {
    const startedAt = performance.now()
    process.stdout.write(`\n■ ${stage.name}\n`)
    const tally = await runStage(stage, logs)
    tallies.push(tally)
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    process.stdout.write(`  ${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped in ${seconds} s\n`)
  }
  const total = addUp(tallies)
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`)
  process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0
}

await main()
