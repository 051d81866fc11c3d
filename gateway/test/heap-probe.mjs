// Loaded with --import: on SIGUSR2 the process collects its garbage and writes what it still holds to stderr.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')

process.on('SIGUSR2', () => {
  for (let turn = 0; turn < 3; turn += 1) collect()
  const { rss, heapUsed, external } = process.memoryUsage()
  process.stderr.write(`${JSON.stringify({ rss, held: heapUsed + external })}\n`)
})
