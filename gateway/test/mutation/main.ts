import { parseArgs } from 'node:util'
import { equivalents } from './equivalent.data.ts'
import { mutatedFiles, runMutants } from './run-mutants.ts'

const help = `npm run mutants [-- --n N] [--seed S] [--file F] [--parallel P]

Makes small mistakes in gateway/src/edge and gateway/src/body, one at a time, and looks whether the tests beside the
sources see them. Nothing on disk is touched.
--n N         that many, by chance; without it all of them
--seed S      the same seed chooses the same ones; without it the clock decides
--file F      only files whose name holds F
--parallel P  so many at a time, default 2
`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      n: { type: 'string' },
      seed: { type: 'string' },
      file: { type: 'string', default: '' },
      parallel: { type: 'string', default: '2' },
      help: { type: 'boolean', default: false },
    },
  })
  const files = mutatedFiles().filter((file) => file.includes(values.file))
  if (values.help || files.length === 0) {
    process.stdout.write(help)
    process.exitCode = values.help ? 0 : 2
    return
  }
  await runMutants({
    files,
    count: values.n === undefined ? undefined : Number(values.n),
    seed: Number(values.seed ?? Date.now() % 1_000_000),
    parallel: Number(values.parallel),
    equivalents,
    print: (line) => process.stdout.write(`${line}\n`),
  })
}

await main()
