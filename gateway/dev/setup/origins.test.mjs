import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { partNames, setUp } from '../setup.mjs'
import { runCommand } from './command.mjs'
import { pins } from './pins.mjs'
import { SetupError } from './setup-error.mjs'

/** @type {string} */
let folder
/** Where nothing is but a shell and what a test puts beside it. @type {string} */
let bin

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hearth-origins-'))
  bin = join(folder, 'shell')
  await mkdir(bin)
  for (const program of ['sh', 'dirname', 'mkdir', 'touch', 'cat'])
    await symlink((await runCommand('sh', ['-c', `command -v ${program}`])).trim(), join(bin, program))
})

after(() => rm(folder, { recursive: true, force: true }))

describe('set-up of the servers behind the gateway', () => {
  it('is no part of the ordinary set-up', () => {
    for (const name of ['nginx', 'haproxy', 'apache', 'caddy', 'uvicorn', 'openaiPython', 'clients', 'prometheus'])
      assert.ok(!partNames.includes(name), name)
  })

  it('pins what its registry keeps: a version, and the SHA-256 of every wheel', () => {
    for (const { version, wheels } of [pins.caddy, ...pins.uvicorn]) {
      assert.match(version, /^\d+\.\d+\.\d+$/)
      assert.ok(wheels.length > 0)
      for (const { file, sha256 } of wheels) {
        assert.ok(file.includes(`-${version}-`), file)
        assert.match(sha256, /^[0-9a-f]{64}$/)
      }
    }
  })

  it('takes a server that is on PATH as it is', async () => {
    const own = join(folder, 'own')
    await writeProgram(own, 'nginx', '')
    assert.deepEqual(await provide('nginx', [own]), { nginx: join(own, 'nginx') })
  })

  it('unpacks the packages that apt names, and the program finds its libraries beside it', async () => {
    const apt = join(folder, 'apt')
    await writeProgram(
      apt,
      'apt-get',
      `case "$1" in
download) shift 2; for name in "$@"; do touch "$name.deb"; done ;;
*) echo "Reading..."; echo "'address/haproxy_2_x.deb' haproxy_2_x.deb 9 SHA256:a"; echo "'address/lua_5_x.deb' lua_5_x.deb 9" ;;
esac`,
    )
    await writeProgram(
      apt,
      'dpkg-deb',
      `case "$2" in
*/lua.deb) mkdir -p "$3/usr/lib/some-linux-gnu" && touch "$3/usr/lib/some-linux-gnu/lua.so" ;;
*/haproxy.deb) mkdir -p "$3/usr/sbin" && cat > "$3/usr/sbin/haproxy" <<'END' && ${process.execPath} -e 'fs.chmodSync(process.argv[1], 493)' "$3/usr/sbin/haproxy" ;;
#!/bin/sh
echo "$LD_LIBRARY_PATH $*"
END
esac`,
    )
    const { haproxy } = await provide('haproxy', [apt])
    const said = await runCommand(String(haproxy), ['-v'], { env: { PATH: bin } })
    assert.match(said, /^\/.*\/haproxy-[^/]+\/usr\/lib\/some-linux-gnu -v\n$/)
    await rm(apt, { recursive: true })
    assert.deepEqual(await provide('haproxy', []), { haproxy })
  })

  it('takes of the packages that apt names only those that are needed, and a program where it stands', async () => {
    const apt = join(folder, 'apt')
    await writeProgram(
      apt,
      'apt-get',
      `case "$1" in
download) shift 2; for name in "$@"; do touch "$name.deb"; done ;;
*) for name in fonts prometheus; do echo "'address/\${name}_2_x.deb' \${name}_2_x.deb 9 SHA256:a"; done ;;
esac`,
    )
    await writeProgram(
      apt,
      'dpkg-deb',
      `mkdir -p "$3/usr/bin" && for name in prometheus promtool; do
printf '#!/bin/sh\necho %s "$1"\n' "$2" > "$3/usr/bin/$name"; ${process.execPath} -e 'fs.chmodSync(process.argv[1], 493)' "$3/usr/bin/$name"; done`,
    )
    const { prometheus, promtool } = await provide('prometheus', [apt])
    for (const program of [prometheus, promtool])
      assert.match(
        await runCommand(String(program), ['--version'], { env: { PATH: bin } }),
        /prometheus\.deb --version\n$/,
      )
    await rm(apt, { recursive: true })
  })

  it('says what to do on a machine without apt', async () => {
    await assert.rejects(provide('apache', []), (error) => {
      assert.ok(error instanceof SetupError)
      assert.match(error.message, /apache: this machine has no apt\. Install apache2-bin so that apache2 is on PATH/)
      return true
    })
  })
})

/** @param {string} part @param {readonly string[]} folders before the shell on PATH */
function provide(part, folders) {
  const env = { HEARTH_CACHE: join(folder, 'cache'), PATH: [...folders, bin].join(delimiter) }
  const silent = { note: () => {}, close: () => {}, start: () => ({ done: () => {}, fail: () => {} }) }
  return setUp({ parts: [part], root: join(folder, 'root'), env, progress: silent })
}

/** @param {string} at @param {string} name @param {string} script */
async function writeProgram(at, name, script) {
  await mkdir(at, { recursive: true })
  await writeFile(join(at, name), `#!/bin/sh\n${script}\n`)
  await chmod(join(at, name), 0o755)
}
