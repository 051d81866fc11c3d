/**
 * Writes the lists of Python packages that the tests of real clients install: `node gateway/dev/pin-python.ts`.
 * What is wanted stands here, by version; everything that it needs is resolved by uv, and the hashes of the wheels for the
 * Pythons and machines below are asked of pip. For owners who raise a version; nothing else runs it.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const lists = {
  'openai-python': ['openai==3.54.0'],
  clients: ['openai==3.54.0', 'langchain-openai==1.7.4', 'litellm==1.109.1'],
} as const

/**
 * langchain-core and litellm ask for a list of authorities that is one day newer, which could not be had when this was
 * written. Nothing in the tests opens a TLS connection.
 */
const overrides = ['certifi==2026.10.18']

const pythons = ['3.11', '3.12', '3.13']
const manylinux = ['2_28', '2_27', '2_26', '2_24', '2_17', '2_12', '2_5']
const machines: Readonly<Record<string, readonly string[]>> = {
  'linux x86_64': ['linux', 'x86_64'],
  'linux aarch64': ['linux', 'aarch64'],
  'macOS arm64': ['macosx', 'arm64'],
}

interface Report {
  readonly install: readonly {
    readonly metadata: { readonly name: string; readonly version: string }
    readonly download_info: { readonly archive_info: { readonly hashes: { readonly sha256: string } } }
  }[]
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, [...args], { maxBuffer: 1 << 28 })
  return stdout
}

async function main(): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'hearth-pins-'))
  try {
    await run('python3', ['-m', 'venv', scratch])
    await run(join(scratch, 'bin/pip'), ['install', '--quiet', 'uv'])
    for (const [name, wanted] of Object.entries(lists)) {
      const target = join(import.meta.dirname, 'pins', `${name}.txt`)
      writeFileSync(target, await pin(wanted, scratch))
      process.stdout.write(`${target}\n`)
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function pin(wanted: readonly string[], scratch: string): Promise<string> {
  const versions = await resolve(wanted, scratch)
  const hashes = new Map<string, Set<string>>()
  for (const python of pythons)
    for (const [system = '', machine = ''] of Object.values(machines))
      for (const { metadata, download_info } of (await ask(versions, platforms(system, machine), python)).install) {
        const line = `${metadata.name.toLowerCase().replace(/[-_.]+/g, '-')}==${metadata.version}`
        const known = hashes.get(line) ?? new Set()
        hashes.set(line, known.add(download_info.archive_info.hashes.sha256))
      }
  const head = [
    '# Written by gateway/dev/pin-python.ts: all that is installed, and the hashes of the wheels that may be.',
    `# Wanted: ${wanted.join(', ')}`,
    `# For: ${Object.keys(machines).join(', ')}, each with Python ${pythons.join(', ')}`,
  ]
  const lines = [...hashes].sort(([one], [other]) => (one < other ? -1 : 1))
  return `${[...head, ...lines.map(([line, known]) => [line, ...[...known].sort().map((hash) => `--hash=sha256:${hash}`)].join(' \\\n    '))].join('\n')}\n`
}

/** Every package that one of the machines needs, as `name==version` lines. */
async function resolve(wanted: readonly string[], scratch: string): Promise<readonly string[]> {
  const wantedFile = join(scratch, 'wanted.in')
  const overridesFile = join(scratch, 'overrides.txt')
  writeFileSync(wantedFile, `${wanted.join('\n')}\n`)
  writeFileSync(overridesFile, `${overrides.join('\n')}\n`)
  const args = ['pip', 'compile', wantedFile, '--universal', '--python-version', pythons[0] ?? '', '--override']
  args.push(overridesFile, '--only-binary', ':all:', '--no-header', '--no-annotate', '--quiet')
  const text = await run(join(scratch, 'bin/uv'), args)
  const elsewhere = /win32|emscripten'?\s*$|== 'emscripten'/
  return text.split('\n').filter((line) => line !== '' && !elsewhere.test(line.replace(/sys_platform != '\w+'/, '')))
}

function platforms(system: string, machine: string): readonly string[] {
  if (system === 'macosx') return [`macosx_14_0_${machine}`]
  return [...manylinux.map((version) => `manylinux_${version}`), 'manylinux2014'].map((tag) => `${tag}_${machine}`)
}

/** What pip would install there, found without installing it. */
async function ask(lines: readonly string[], tags: readonly string[], python: string): Promise<Report> {
  const scratch = mkdtempSync(join(tmpdir(), 'hearth-pins-'))
  try {
    const list = join(scratch, 'list.txt')
    writeFileSync(list, `${lines.map((line) => line.split(' ')[0]).join('\n')}\n`)
    const args = ['-m', 'pip', 'install', '--dry-run', '--ignore-installed', '--no-deps', '--only-binary', ':all:']
    args.push(
      '--quiet',
      '--python-version',
      python,
      '--implementation',
      'cp',
      ...tags.flatMap((tag) => ['--platform', tag]),
    )
    args.push('--report', join(scratch, 'report.json'), '--target', join(scratch, 'target'), '-r', list)
    await run('python3', args)
    const { default: report } = await import(join(scratch, 'report.json'), { with: { type: 'json' } })
    return report
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

await main()
