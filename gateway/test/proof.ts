import { equivalents } from './mutation/equivalent.data.ts'
import { describeMutant } from './mutation/mutants.ts'
import { mutatedFiles, runMutants } from './mutation/run-mutants.ts'
import { patches } from './sabotage/patches.data.ts'
import { describeOutcome, runControls, runPatches } from './sabotage/run-sabotage.ts'
import { report, type Tally } from './stages.ts'

const parallel = 2
/** Fixed, so that a change of the code and not chance turns this red; `npm run mutants` takes others. */
const sampleSeed = 20_261_121
const sampleCount = 100
const scoreMin = 0.8
const outputChars = 3_000

/** Takes the controls of the edge away, one at a time: the tests that guard each are green before, and red without it. */
export async function sabotage(): Promise<Tally> {
  const tally = { passed: 0, failed: 0, skipped: 0 }
  for (const { file, colour, seconds, output } of await runControls(patches, parallel)) {
    const name = `nothing taken away: ${colour} in ${seconds.toFixed(1)} s  (${file})`
    report(tally, colour === 'green' ? 'pass' : 'fail', name, output.slice(-outputChars))
  }
  for (const outcome of await runPatches(patches, parallel)) {
    const isSeen = outcome.colour === 'red'
    report(tally, isSeen ? 'pass' : 'fail', describeOutcome(outcome), outcome.output.slice(-outputChars))
  }
  return tally
}

/** Runs a sample of the mutants of the edge; one test, whose name says the score. */
export async function mutants(): Promise<Tally> {
  const tally = { passed: 0, failed: 0, skipped: 0 }
  const print = (line: string) => process.stdout.write(`      ${line}\n`)
  const options = { files: mutatedFiles(), count: sampleCount, seed: sampleSeed, parallel, equivalents, print }
  const { killed, survivors, score } = await runMutants(options)
  const name = `${killed} of ${killed + survivors.length} mutants are killed; wants ${100 * scoreMin} %`
  report(tally, score >= scoreMin ? 'pass' : 'fail', name, survivors.map(describeMutant).join('\n'))
  return tally
}
