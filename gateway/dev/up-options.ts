import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { UsageError } from './your-engine.ts'

export const upHelp = `npm start [-- FLAGS]   runs the whole chain on this machine until Ctrl-C

  --direct              leave out the tailnet and the home ingress: page, gateway, engine
  --engine URL          your own engine, such as a vLLM at http://192.168.1.20:8000 (HEARTH_ENGINE_API_KEY is sent to it)
  --model FILE.gguf     your own model in the embedded engine
  --mmproj FILE.gguf    its vision projector, for a model that reads pictures
  --port N              port of the API (8080)
  --page-port N         port of the page (8501)
  --json                one JSON value on stdout when everything is ready: page, api, key, curl, model, pids, ms
  --help                this text

Ctrl-C stops everything in order; a second one at once. State is in .hearth/: hearth.yaml, keys.json, logs/.
Exit codes: 0 stopped by Ctrl-C or SIGTERM · 1 failure · 2 usage · 3 something is missing on this machine · 130 forced
`

export interface UpOptions {
  readonly help: boolean
  readonly direct: boolean
  readonly json: boolean
  readonly engine: string | undefined
  /** Absolute paths. */
  readonly model: string | undefined
  readonly mmproj: string | undefined
  readonly port: number
  readonly pagePort: number
}

/** Reads the flags of `npm start`; relative files are meant from `cwd`. Throws a UsageError. */
export function readUpOptions(args: readonly string[], cwd: string): UpOptions {
  const { values } = parse(args)
  const { engine, model, mmproj } = values
  if (engine !== undefined && (model ?? mmproj) !== undefined)
    throw new UsageError('--engine goes with neither --model nor --mmproj: these are for the embedded engine')
  if (mmproj !== undefined && model === undefined) throw new UsageError('--mmproj wants --model too')
  const file = (path: string | undefined) => (path === undefined ? undefined : resolve(cwd, path))
  return {
    help: values.help,
    direct: values.direct,
    json: values.json,
    engine,
    model: file(model),
    mmproj: file(mmproj),
    port: readPort('--port', values.port),
    pagePort: readPort('--page-port', values['page-port']),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        direct: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        engine: { type: 'string' },
        model: { type: 'string' },
        mmproj: { type: 'string' },
        port: { type: 'string', default: '8080' },
        'page-port': { type: 'string', default: '8501' },
      },
    })
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function readPort(flag: string, text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw new UsageError(`${flag} "${text}" is not a port: wants 0 (any free one) to 65535`)
}
