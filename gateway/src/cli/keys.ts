import { statSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { createKey } from '../keys/key.ts'
import { changeKeysFile, type KeyRecord, readKeysFile } from '../keys/keys-file.ts'
import { describeSettings, readSettings, type SettingFlags } from './key-settings.ts'
import { exitCode, type Terminal, UsageError } from './terminal.ts'

export const keysHelp = `hearth keys create NAME [--models a,b] [--expires 30d] [--strict-fields] [--json]
            [--heartbeat 5s|off|empty-delta[:5s]] [--early-headers off] [--timeout idle=300s]…
                                  makes a key; its text is shown once. --strict-fields: a field that the gateway does not
                                  know is refused, where other keys get it dropped and named in x-hearth-dropped-fields.
                                  --heartbeat: how, and after which silence, its streams show that they are alive.
                                  --early-headers off: no stream begins before the engine answers. --timeout: its own
                                  streamFirstByte, plainFirstByte, idle or total, each once (docs/keys.md)
hearth keys list [--json]         shows what the keys file holds
hearth keys revoke ID [--json]    takes a key away; a running gateway follows within 2 s

The file is HEARTH_KEYS_FILE, or .hearth/keys.json.
`

const defaultFile = '.hearth/keys.json'
const dayMs = 86_400_000
const spanMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: dayMs }
const longestMs = 3_650 * dayMs

interface Flags {
  readonly settings: SettingFlags
  readonly models: string | undefined
  readonly expires: string | undefined
  readonly strictFields: boolean
  readonly json: boolean
}

/** `hearth keys …`. Throws a UsageError or a KeysFileError; a failed change leaves the file as it was. */
export function runKeys(args: readonly string[], terminal: Terminal): number {
  const { verb, names, flags } = parse(args)
  const path = terminal.env['HEARTH_KEYS_FILE']?.trim() || defaultFile
  if (verb === 'create') return create(path, onlyName(names, 'NAME'), flags, terminal)
  if (isCreating(flags)) throw usage(`"keys ${verb}" takes only --json`)
  if (verb === 'list' && names.length === 0) return list(path, flags, terminal)
  if (verb === 'revoke') return revoke(path, onlyName(names, 'ID'), flags, terminal)
  throw usage(`"keys ${[verb, ...names].join(' ')}" is not a verb; wants create, list or revoke`)
}

function isCreating({ models, expires, strictFields, settings }: Flags): boolean {
  const { heartbeat, earlyHeaders, timeouts } = settings
  const words = [models, expires, heartbeat, earlyHeaders, ...timeouts]
  return strictFields || words.some((word) => word !== undefined)
}

function parse(args: readonly string[]): { verb: string; names: readonly string[]; flags: Flags } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        models: { type: 'string' },
        expires: { type: 'string' },
        'strict-fields': { type: 'boolean', default: false },
        heartbeat: { type: 'string' },
        'early-headers': { type: 'string' },
        timeout: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
      },
    })
    const [verb = '', ...names] = positionals
    const { models, expires, json, 'strict-fields': strictFields } = values
    const settings = {
      heartbeat: values.heartbeat,
      earlyHeaders: values['early-headers'],
      timeouts: values.timeout,
    }
    return { verb, names, flags: { models, expires, strictFields, settings, json } }
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error))
  }
}

function create(path: string, name: string, flags: Flags, terminal: Terminal): number {
  if (name.length > 128 || /\p{Cc}/u.test(name))
    throw usage('The NAME wants 1 to 128 characters without control characters')
  const models = flags.models?.split(',').map((id) => id.trim())
  if (models?.includes('')) throw usage(`--models "${flags.models}" holds an empty id; wants a,b`)
  const now = terminal.nowMs()
  const expires = flags.expires === undefined ? undefined : new Date(now + readSpan(flags.expires)).toISOString()
  const key = createKey()
  const record: KeyRecord = {
    id: key.id,
    hash: key.hash,
    name,
    created: new Date(now).toISOString(),
    ...(models === undefined ? {} : { models }),
    ...(expires === undefined ? {} : { expires }),
    ...(flags.strictFields ? { strictFields: true } : {}),
    ...readSettings(flags.settings, keysHelp),
  }
  changeKeysFile(path, (keys) => [...keys, record])
  if (flags.json) terminal.out(`${JSON.stringify({ key: key.text, ...shown(record) })}\n`)
  else {
    terminal.err(`Key "${name}" (${key.id}) is in ${path}. This is the only time it is shown:\n`)
    terminal.out(`${key.text}\n`)
  }
  return exitCode.ok
}

function list(path: string, flags: Flags, terminal: Terminal): number {
  const absent = statSync(path, { throwIfNoEntry: false }) === undefined
  const keys = absent ? [] : readKeysFile(path)
  if (flags.json) terminal.out(`${JSON.stringify(keys.map(shown))}\n`)
  else if (keys.length === 0) terminal.err(`${path} holds no keys; make one with: hearth keys create NAME\n`)
  else for (const key of keys) terminal.out(`${describeKey(key)}\n`)
  return exitCode.ok
}

function revoke(path: string, id: string, flags: Flags, terminal: Terminal): number {
  const known =
    statSync(path, { throwIfNoEntry: false }) !== undefined && readKeysFile(path).some((key) => key.id === id)
  if (!known) {
    terminal.err(`There is no key with the id "${id}" in ${path}; "hearth keys list" shows the ids\n`)
    return exitCode.failure
  }
  changeKeysFile(path, (keys) => keys.filter((key) => key.id !== id))
  if (flags.json) terminal.out(`${JSON.stringify({ id, revoked: true })}\n`)
  else terminal.err(`Key ${id} is revoked; a running gateway follows within 2 s\n`)
  return exitCode.ok
}

/** What may be shown of a key: all but its hash. */
function shown({ hash: _hash, ...rest }: KeyRecord): Omit<KeyRecord, 'hash'> {
  return rest
}

function describeKey({ id, name, models, expires, strictFields, ...settings }: KeyRecord): string {
  const fields = strictFields === true ? '  strict fields' : ''
  return `${id}  ${name}  models: ${models?.join(', ') ?? 'all'}  expires: ${expires ?? 'never'}${fields}${describeSettings(settings)}`
}

/** A span such as 90m, 12h or 30d, in milliseconds. */
function readSpan(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,6})([mhd])$/.exec(text) ?? []
  const ms = Number(digits) * (spanMs[unit] ?? Number.NaN)
  if (!(ms > 0 && ms <= longestMs))
    throw usage(`--expires "${text}" is not a span; wants 90m, 12h or 30d, at most 3650d`)
  return ms
}

function onlyName(names: readonly string[], what: string): string {
  const [name, ...more] = names
  if (name === undefined || name.trim() === '' || more.length > 0)
    throw usage(`Wants one ${what}, got ${JSON.stringify(names)}`)
  return name
}

function usage(message: string): UsageError {
  return new UsageError(message, keysHelp)
}
