import { registerHooks } from 'node:module'
import { applySwap, root, type Swap, swapVariable, wrongSwapCode } from './swap.ts'

// An entry for `node --import`: it is here to act before anything else is loaded.
const json = process.env[swapVariable]
if (json !== undefined) {
  const swap: Swap = JSON.parse(json)
  const target = new URL(swap.file, root).href
  registerHooks({
    load: (url, context, nextLoad) => {
      const loaded = nextLoad(url, context)
      if (url !== target) return loaded
      try {
        return { ...loaded, source: applySwap(String(Buffer.from(loaded.source as Uint8Array)), swap) }
      } catch (error) {
        // A red that is none: the file is not the one that the swap was made for.
        process.stderr.write(`${error}\n`)
        process.exit(wrongSwapCode)
      }
    },
  })
}
