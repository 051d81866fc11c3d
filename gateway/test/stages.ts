import { spawn } from 'node:child_process'
import { run } from 'node:test'
import { findWrongImports } from './check-imports.ts'

export interface Tally {
  passed: number
  failed: number
  skipped: number
}

export interface Stage {
  readonly name: string
  readonly run: () => Promise<Tally>
  /** Left out by --quick. */
  readonly slow?: boolean
  /** Its programs are broken on purpose. */
  readonly isBroken?: boolean
}

type CheckName = 'format and lint' | 'types' | 'types of the page' | 'imports' | 'build'

const commands: Readonly<Record<Exclude<CheckName, 'imports'>, readonly string[]>> = {
  'format and lint': ['node_modules/.bin/biome', 'check', '--error-on-warnings', '.'],
  types: ['node_modules/.bin/tsc', '-p', 'tsconfig.json'],
  'types of the page': ['node_modules/.bin/tsc', '-p', 'client-web/tsconfig.json'],
  build: [process.execPath, 'gateway/dev/build.ts'],
}

/** Runs the named checks; each counts as one test. */
export async function check(
  names: readonly CheckName[] = ['format and lint', 'types', 'types of the page', 'imports'],
): Promise<Tally> {
  const tally = { passed: 0, failed: 0, skipped: 0 }
  for (const name of names) {
    const problem = name === 'imports' ? findWrongImports('gateway/src').join('\n') : await problemOf(commands[name])
    report(tally, problem === '' ? 'pass' : 'fail', name, problem)
  }
  return tally
}

/** `go vet` and `gofmt` of a module. */
export async function goLint(folder: string): Promise<Tally> {
  const tally = { passed: 0, failed: 0, skipped: 0 }
  const complaints = await problemOf(['go', 'vet', './...'], folder)
  report(tally, complaints === '' ? 'pass' : 'fail', 'go vet', complaints)
  const unformatted = await outputOf(['gofmt', '-l', '.'], folder)
  report(tally, unformatted.text.trim() === '' ? 'pass' : 'fail', 'gofmt', unformatted.text)
  return tally
}

/** `go test FLAGS ./...` of a module, counted test by test. `env` is added to this process's own. */
export async function goTests(
  folder: string,
  flags: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Tally> {
  const tally = { passed: 0, failed: 0, skipped: 0 }
  const { text, code } = await outputOf(['go', 'test', '-json', ...flags, './...'], folder, env)
  const outputs = new Map<string, string>()
  for (const event of text.split('\n').flatMap(parseGoEvent)) {
    const key = `${event.Package} ${event.Test}`
    if (event.Action === 'output') outputs.set(key, (outputs.get(key) ?? '') + (event.Output ?? ''))
    else if (event.Action === 'pass' || event.Action === 'fail' || event.Action === 'skip') {
      report(tally, event.Action, event.Test, outputs.get(key) ?? '')
    }
  }
  if (code !== 0 && tally.failed === 0) report(tally, 'fail', 'go test', text.slice(-4000))
  return tally
}

/** `go test -race`, which needs a C compiler: without one it is skipped with that reason. */
export async function goRaceTests(folder: string, flags: readonly string[] = []): Promise<Tally> {
  const compiler = (await outputOf(['go', 'env', 'CC'], folder)).text.trim()
  const works = await outputOf([compiler, '--version'], folder).catch(() => ({ code: 1, text: '' }))
  if (works.code === 0) return await goTests(folder, ['-race', ...flags], { CGO_ENABLED: '1' })
  const tally = { passed: 0, failed: 0, skipped: 0 }
  report(tally, 'skip', 'go test -race', `the race detector needs a C compiler, and "${compiler}" is not there`)
  return tally
}

/** Makes parts of the set-up ready that `npm test` does not bring by itself; their progress is shown. */
export async function provideParts(names: readonly string[]): Promise<Tally> {
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  const child = spawn(process.execPath, ['gateway/dev/setup.mjs', ...names], { stdio: 'inherit' })
  child.on('error', reject)
  child.on('close', resolve)
  const code = await promise
  const tally = { passed: 0, failed: 0, skipped: 0 }
  report(tally, code === 0 ? 'pass' : 'fail', `set up ${names.join(' and ')}`, `it ended with ${code}, see above`)
  return tally
}

/** Makes a part ready that not every machine can have; where it cannot, that is skipped, and `problem` says why. */
export async function tryPart(name: string): Promise<{ readonly tally: Tally; readonly problem: string | undefined }> {
  const { code, text } = await outputOf([process.execPath, 'gateway/dev/setup.mjs', name], '.')
  const tally = { passed: 0, failed: 0, skipped: 0 }
  const problem = code === 0 ? undefined : text.split('set-up failed. ').at(-1)?.trim()
  report(tally, problem === undefined ? 'pass' : 'skip', `set up ${name}`, problem)
  return { tally, problem }
}

export function addUp(tallies: readonly Tally[]): Tally {
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const tally of tallies) for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += tally[key]
  return total
}

interface GoEvent {
  readonly Action: string
  readonly Package: string
  readonly Test: string
  readonly Output?: string
}

function parseGoEvent(line: string): GoEvent[] {
  if (!line.startsWith('{')) return []
  const event: GoEvent = JSON.parse(line)
  return event.Test === undefined ? [] : [event]
}

const fileMs = 10 * 60_000

/** Runs test files with node:test, each in its own process; prints failures and skips with their reasons. */
export async function nodeTests(
  files: readonly string[],
  env: Readonly<Record<string, string>> = {},
  concurrency = 2,
  timeoutMs = fileMs,
): Promise<Tally> {
  const tally = { passed: 0, failed: 0, skipped: 0 }
  // Without files node:test would look for some itself.
  if (files.length === 0) return tally
  const saved = { ...process.env }
  Object.assign(process.env, env)
  try {
    const events = run({ files: [...files], concurrency, timeout: timeoutMs })
    for await (const { type, data } of events) {
      if (type === 'test:stdout' || type === 'test:stderr') process.stdout.write(indent(data.message))
      // The figures of a test; without a file it is node:test's own sum.
      if (type === 'test:diagnostic' && data.file !== undefined) process.stdout.write(indent(data.message))
      if (type !== 'test:pass' && type !== 'test:fail') continue
      // A suite fails with its tests, which speak for themselves, or by a hook, which only it reports.
      if (data.details.type === 'suite' && !isHookFailure(type, data.details)) continue
      const skipped = data.skip !== undefined && data.skip !== false
      const place = `${data.name}${data.file === undefined ? '' : `  (${data.file.replace(`${process.cwd()}/`, '')})`}`
      if (skipped) report(tally, 'skip', place, typeof data.skip === 'string' ? data.skip : 'no reason given')
      else if (type === 'test:pass') report(tally, 'pass', place)
      else report(tally, 'fail', place, describeFailure(data.details.error))
    }
  } finally {
    for (const name of Object.keys(env)) delete process.env[name]
    Object.assign(process.env, saved)
  }
  return tally
}

function isHookFailure(type: string, details: object): boolean {
  const error: unknown = Reflect.get(details, 'error')
  return type === 'test:fail' && error instanceof Error && Reflect.get(error, 'failureType') === 'hookFailed'
}

function describeFailure(error: Error): string {
  const cause = error.cause instanceof Error ? error.cause : error
  return cause.stack ?? String(cause)
}

/** Counts one test and prints its line, and `text` where it did not pass. */
export function report(tally: Tally, outcome: 'pass' | 'fail' | 'skip', name: string, text = ''): void {
  if (outcome === 'pass') tally.passed += 1
  if (outcome === 'fail') tally.failed += 1
  if (outcome === 'skip') tally.skipped += 1
  const mark = { pass: '✔', fail: '✖', skip: '﹣' }[outcome]
  process.stdout.write(`  ${mark} ${name}\n`)
  if (outcome !== 'pass') process.stdout.write(indent(outcome === 'skip' ? `skipped: ${text}` : text))
}

function indent(text: string): string {
  return `${text.trimEnd().replace(/^/gm, '      ')}\n`
}

async function problemOf(command: readonly string[], cwd = '.'): Promise<string> {
  const { code, text } = await outputOf(command, cwd)
  return code === 0 ? '' : text || `${command.join(' ')} ended with ${code}`
}

function outputOf(
  [program = '', ...args]: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number | null; text: string }>()
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  child.stderr.on('data', (chunk) => {
    text += chunk
  })
  child.on('error', reject)
  child.on('close', (code) => resolve({ code, text }))
  return promise
}
