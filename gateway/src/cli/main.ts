import { ConfigError, findRisks, type Limits, loadConfig } from '../config.ts'
import { KeysFileError } from '../keys/keys-file.ts'
import { runKeys } from './keys.ts'
import { exitCode, type Terminal, UsageError } from './terminal.ts'

const help = `hearth: the command line of the gateway

  hearth keys create NAME [--models a,b] [--expires 30d] [--strict-fields] [--json]
              [--heartbeat 5s|off|empty-delta[:5s]] [--early-headers off] [--timeout idle=300s]…
  hearth keys list [--json]
  hearth keys revoke ID [--json]
  hearth config check [--json]

Data goes to stdout, everything else to stderr. --json prints one JSON value.
Exit codes: 0 ok · 1 failure · 2 usage · 3 config · 4 auth · 5 not reachable · 6 asleep or timeout · 7 limited · 130 interrupted
`

/** Runs one verb and returns its exit code; writes only to the terminal it is given. */
function run(args: readonly string[], terminal: Terminal): number {
  const [verb, ...rest] = args
  try {
    if (verb === undefined || verb === 'help' || verb === '--help' || verb === '-h') {
      terminal.out(help)
      return verb === undefined ? exitCode.usage : exitCode.ok
    }
    if (verb === 'keys') return runKeys(rest, terminal)
    if (verb === 'config') return checkConfig(rest, terminal)
    throw new UsageError(`There is no verb "${verb}"; wants keys or config`)
  } catch (error) {
    return report(error, terminal)
  }
}

function checkConfig(args: readonly string[], terminal: Terminal): number {
  const json = args.includes('--json')
  if (args[0] !== 'check' || args.length > (json ? 2 : 1)) throw new UsageError('Wants: hearth config check [--json]')
  const { engineApiKey, ...config } = loadConfig(terminal.env)
  for (const risk of findRisks(config)) terminal.err(`Beware: ${risk}\n`)
  const shown = { ...config, engineApiKey: engineApiKey === undefined ? undefined : '(set)' }
  if (json) terminal.out(`${JSON.stringify(shown)}\n`)
  else
    terminal.out(
      `The configuration is good: ${config.engines.length} engine(s), ${config.models.length} model(s).\n${describeLimits(config.limits)}`,
    )
  return exitCode.ok
}

/** What the machine decides where the file does not. */
function describeLimits({ bodyBytesInFlight, bodyBytesPerKey, connectionsMax }: Limits): string {
  const mebibytes = (bytes: number) => `${Math.floor(bytes / 1024 / 1024)} MiB`
  return `Bodies in flight: ${mebibytes(bodyBytesInFlight)}, of one key ${mebibytes(bodyBytesPerKey)}. Connections: ${connectionsMax}.\n`
}

function report(error: unknown, terminal: Terminal): number {
  if (error instanceof UsageError) {
    terminal.err(`${error.message}\n\n${error.help ?? help}`)
    return exitCode.usage
  }
  if (error instanceof ConfigError || error instanceof KeysFileError) {
    terminal.err(`${error.message}\n`)
    return exitCode.config
  }
  terminal.err(`${error instanceof Error ? error.message : String(error)}\n`)
  return exitCode.failure
}

process.exitCode = run(process.argv.slice(2), {
  env: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  nowMs: () => Date.now(),
})
