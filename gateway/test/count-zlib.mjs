// Loaded before a gateway under test (`--import`): counts every handle of zlib, brotli and zstd that the process makes,
// whoever makes it and by whatever call, and says the number as its last line.
import { createHook } from 'node:async_hooks'
import { writeSync } from 'node:fs'

let handles = 0
createHook({
  init(_id, type) {
    if (type === 'ZLIB') handles += 1
  },
}).enable()
process.on('exit', () => writeSync(1, `${JSON.stringify({ message: 'zlib', handles })}\n`))
