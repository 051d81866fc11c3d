import { patches } from './patches.data.ts'
import { describeOutcome, runControls, runPatches } from './run-sabotage.ts'

// By hand: `node gateway/test/sabotage/main.ts [WORDS]` runs the patches whose names hold the words.
const [words = ''] = process.argv.slice(2)
const chosen = patches.filter(({ name }) => name.includes(words))
for (const { file, colour, seconds, output } of await runControls(chosen, 2)) {
  console.log(`${colour.padEnd(6)} ${seconds.toFixed(1)} s  ${file}`)
  if (colour !== 'green') console.log(output)
}
for (const outcome of await runPatches(chosen, 2)) {
  console.log(describeOutcome(outcome))
  if (outcome.colour === 'broken') console.log(outcome.output.slice(-3000))
}
