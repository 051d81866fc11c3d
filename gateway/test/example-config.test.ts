import { deepEqual, doesNotThrow, equal, ok, throws } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isCollection, isMap, isPair, isScalar, type Pair, parseDocument, visit } from 'yaml'
import {
  type Config,
  ConfigError,
  type EngineConfig,
  type Limits,
  loadConfig,
  type ModelConfig,
  type Timeouts,
} from '../src/config.ts'

const file = join(import.meta.dirname, '../../hearth.example.yaml')
const text = readFileSync(file, 'utf8')

type KeysOf<T> = Readonly<Record<keyof T, true>>
type Sections = Pick<Config, 'engines' | 'models' | 'cors' | 'limits' | 'timeouts'>
/** Every key of the schema. The compiler refuses a list that lacks one, so a new setting cannot be left out of the example. */
const keys = {
  sections: { engines: true, models: true, cors: true, limits: true, timeouts: true } satisfies KeysOf<Sections>,
  engines: { name: true, url: true, via: true, tls: true, kind: true, capacity: true } satisfies KeysOf<EngineConfig>,
  models: {
    id: true,
    engine: true,
    task: true,
    served: true,
    aliases: true,
    vision: true,
    context: true,
    reasoning: true,
    timeouts: true,
  } satisfies KeysOf<ModelConfig>,
  vision: { coordinates: true, factor: true, minPixels: true, maxPixels: true, maxSide: true } satisfies KeysOf<
    NonNullable<ModelConfig['vision']>
  >,
  cors: { origins: true } satisfies KeysOf<Config['cors']>,
  limits: {
    bodyBytesMax: true,
    bodyBytesInFlight: true,
    answerBytesMax: true,
    bodyBytesPerKey: true,
    bodyBytesPerSecondMin: true,
    connectionsMax: true,
    queueMax: true,
    connectTries: true,
  } satisfies KeysOf<Limits>,
  timeouts: {
    connectMs: true,
    streamFirstByteMs: true,
    plainFirstByteMs: true,
    idleMs: true,
    totalMs: true,
    queueMs: true,
    headMs: true,
    bodyIdleMs: true,
    bodyTotalMs: true,
    callerStallMs: true,
    probeMs: true,
    drainMs: true,
  } satisfies KeysOf<Timeouts>,
}

/** One setting of the example: its path, and what its comment says first (`required`, `optional` or `default VALUE`). */
interface Setting {
  readonly path: readonly (string | number)[]
  readonly says: string
}

/** With the settings that the example shows as comments, because few need them. */
function withRare(yaml: string): string {
  return yaml.replace(/^( *)# ( *\w+: .*# (?:optional|required|default))/gm, '$1$2')
}

function load(yaml: string): Config {
  return loadConfig({ HEARTH_KEYS_FILE: 'keys.json', HEARTH_CONFIG_YAML: yaml })
}

/** The least that a hearth.yaml may hold: whatever else it loads to is a default. */
function loadLeast(): Config {
  return load(`
    engines: [{ name: gpu, url: 'http://vllm.home', kind: vllm }]
    models: [{ id: qwen2.5-vl-7b, engine: gpu, vision: {} }]
  `)
}

function listSettings(): readonly Setting[] {
  const settings: Setting[] = []
  visit(parseDocument(text), {
    Pair(_, pair, ancestors) {
      if (isMap(pair.value) || (isCollection(pair.value) && /^(engines|models)$/.test(nameOf(pair)))) return
      const path = [...ancestors.flatMap((above, index) => stepInto(above, ancestors[index + 1] ?? pair)), nameOf(pair)]
      settings.push({ path, says: commentOf(pair).split(';')[0]?.trim() ?? '' })
    },
  })
  return settings
}

function stepInto(above: unknown, below: unknown): (string | number)[] {
  if (isPair(above)) return [nameOf(above)]
  return isCollection(above) && !isMap(above) ? [above.items.indexOf(below)] : []
}

function nameOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : ''
}

function commentOf({ value }: Pair): string {
  if (isScalar(value)) return value.comment ?? ''
  return isCollection(value) ? (value.comment ?? value.commentBefore ?? '') : ''
}

function valueAt(config: unknown, path: readonly (string | number)[]): unknown {
  let value = config
  for (const key of path) value = value !== null && typeof value === 'object' ? Reflect.get(value, key) : undefined
  return value
}

test('the example configuration loads as it stands', () => {
  doesNotThrow(() => loadConfig({ HEARTH_KEYS_FILE: 'keys.json', HEARTH_CONFIG: file }))
})

test('the example configuration shows every key of the schema', () => {
  const document: unknown = parseDocument(withRare(text)).toJS()
  const shown = (...path: (string | number)[]) => Object.keys(Object(valueAt(document, path))).sort()
  deepEqual(shown(), Object.keys(keys.sections).sort())
  deepEqual(shown('engines', 0), Object.keys(keys.engines).sort())
  deepEqual(shown('engines', 0, 'tls'), ['caFile'])
  deepEqual(shown('models', 0), Object.keys(keys.models).sort())
  deepEqual(shown('models', 0, 'vision'), Object.keys(keys.vision).sort())
  for (const section of ['cors', 'limits', 'timeouts'] as const)
    deepEqual(shown(section), Object.keys(keys[section]).sort())
})

test('the defaults that the example names are those of the schema', () => {
  const least = loadLeast()
  let compared = 0
  for (const { path, says } of listSettings()) {
    const value = valueAt(least, path)
    const given = says === 'required' ? value : undefined
    const wanted = value === undefined ? 'optional' : given === undefined ? `default ${render(value)}` : 'required'
    equal(says, wanted, path.join('.'))
    if (wanted.startsWith('default')) compared += 1
  }
  equal(compared, 27)
})

test('the limits and timeouts of the example are the defaults themselves', () => {
  const [least, example] = [loadLeast(), load(text)]
  deepEqual(example.limits, least.limits)
  deepEqual(example.timeouts, least.timeouts)
})

test('what the example calls required cannot be left out, and everything else can', () => {
  for (const { path, says } of listSettings()) {
    const document = parseDocument(text)
    ok(document.deleteIn(path), path.join('.'))
    if (says === 'required') throws(() => load(String(document)), ConfigError, path.join('.'))
    else doesNotThrow(() => load(String(document)), path.join('.'))
  }
})

function render(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
