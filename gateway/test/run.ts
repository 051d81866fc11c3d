import { existsSync, globSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { check, goTests, nodeTests, type Stage, type Tally } from './stages.ts'

const help = `npm test [-- --quick] [-- --only STAGE[,STAGE]]

Stages, in order: check, go, unit, build, wire, chain, page, bundle, setup.
--quick leaves out: bundle (the same end-to-end tests on the bundle) and setup (a cold set-up on a fresh clone).
`

const source = 'gateway/src/main.ts'
const bundle = 'gateway/dist/main.mjs'
const wireTests = ['gateway/test/*.wire.test.ts']
const chainTests = ['gateway/test/*.chain.test.ts']
const onBundle = { HEARTH_TEST_ENTRY: bundle, HEARTH_TEST_CLI: 'gateway/dist/cli.mjs', HEARTH_ALLOW_UNSAFE_NODE: '1' }
const minuteMs = 60_000

function stages(): readonly Stage[] {
  return [
    { name: 'check', run: () => check() },
    { name: 'go', run: () => goTests('gateway/sidecar') },
    {
      name: 'unit',
      run: () =>
        nodeTests(
          files(
            ['gateway/{src,dev,test}/**/*.test.{ts,mjs}', 'client-web/{src,.}/**/*.test.ts'],
            /\.(wire|chain|mesh|e2e)\.test\.|node_modules/,
          ),
        ),
    },
    { name: 'build', run: () => check(['build']) },
    { name: 'wire', run: () => nodeTests(files(wireTests), { HEARTH_TEST_ENTRY: source }) },
    { name: 'chain', run: () => nodeTests(files(chainTests), { HEARTH_TEST_ENTRY: source }, 1) },
    { name: 'page', run: () => nodeTests(files(['client-web/e2e/*.e2e.test.ts']), {}, 1) },
    { name: 'bundle', run: () => nodeTests(files([...wireTests, ...chainTests]), onBundle, 1), slow: true },
    {
      name: 'setup',
      run: () => nodeTests(files(['gateway/test/setup.e2e.test.ts']), {}, 1, 25 * minuteMs),
      slow: true,
    },
  ]
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
  const unknown = only?.filter((name) => !stages().some((stage) => stage.name === name)) ?? []
  if (unknown.length > 0 || !existsSync(source)) {
    process.stderr.write(`Unknown stage: ${unknown.join(', ')}\n\n${help}`)
    process.exitCode = 2
    return
  }
  const chosen = stages().filter(({ name, slow }) =>
    only === undefined ? !(values.quick && slow === true) : only.includes(name),
  )
  const total: Tally = { passed: 0, failed: 0, skipped: 0 }
  for (const stage of chosen) {
    const startedAt = performance.now()
    process.stdout.write(`\n■ ${stage.name}\n`)
    const tally = await stage.run()
    for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += tally[key]
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    process.stdout.write(`  ${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped in ${seconds} s\n`)
  }
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`)
  process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0
}

await main()
