import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setUp } from '../setup.mjs'

/** A Python that makes what it is told to, but installs nothing and writes its arguments down. */
const fakePython = `#!/bin/sh
echo "$@" >> "$FAKE_LOG"
case "$*" in
  *find_spec*) echo '{"version": [3, 11], "missing": []}' ;;
  "-m venv"*) mkdir -p "$4/bin" "$4/lib/python3.11/site-packages" && cp "$0" "$4/bin/python" ;;
  "-m pip"*) test "$FAKE_PIP" = works && echo installed > "\${13}/openai.py" ;;
esac
`

/** @type {string} */
let folder
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hearth-clients-'))
  await writeFile(join(folder, 'python'), fakePython)
  await chmod(join(folder, 'python'), 0o755)
})
after(() => rm(folder, { recursive: true, force: true }))

/** @param {string} pip */
function provide(pip) {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HEARTH_PYTHON: join(folder, 'python'),
    HEARTH_CACHE: join(folder, 'cache'),
    FAKE_LOG: join(folder, 'log'),
    FAKE_PIP: pip,
  }
  const progress = { start: () => ({ done() {}, fail() {} }), note() {}, close() {} }
  return setUp({ parts: ['openaiPython'], root: join(folder, 'root'), env, progress })
}

describe('set-up of the Python clients', () => {
  it('has lists in which every package has one version and the SHA-256 of each wheel, and no address', async () => {
    for (const name of ['openai-python', 'clients']) {
      const text = await readFile(new URL(`../pins/${name}.txt`, import.meta.url), 'utf8')
      const lines = text.replaceAll(' \\\n', '').split('\n')
      const packages = lines.filter((line) => line !== '' && !line.startsWith('#'))
      assert.ok(packages.length > 10, name)
      for (const line of packages) assert.match(line, /^[a-z0-9-]+==[\w.]+( {4}--hash=sha256:[0-9a-f]{64})+$/)
      assert.equal(new Set(packages.map((line) => line.split('==')[0])).size, packages.length)
      assert.doesNotMatch(text, /:\/\/|index-url/)
    }
  })

  it('leaves nothing behind where the installation fails', async () => {
    await assert.rejects(provide('breaks'), /openaiPython/)
    const left = await readdir(join(folder, 'cache'))
    assert.deepEqual(
      left.filter((name) => name.startsWith('openaiPython')),
      [],
    )
  })

  it('installs exactly the list, by hash, and gives the interpreter; what is whole is not made again', async () => {
    const { openaiPython } = await provide('works')
    assert.ok(openaiPython?.endsWith('/bin/python'))
    const log = await readFile(join(folder, 'log'), 'utf8')
    assert.match(log, /^-m pip install --no-deps --only-binary :all: --require-hashes /m)
    assert.match(log, /^-B -c import openai$/m)
    await provide('works')
    assert.equal(await readFile(join(folder, 'log'), 'utf8'), log)
  })
})
