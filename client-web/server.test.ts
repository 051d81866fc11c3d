import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, it } from 'node:test'
import { contentSecurityPolicy, createPageServer, type PageServer, readOptions } from './server.ts'

const root = mkdtempSync(join(tmpdir(), 'hearth-page-'))
const directory = join(root, 'dist')
const options = { host: '127.0.0.1', port: 0, apiBaseUrls: ['https://gw.example/v1'], defaultModel: 'small', directory }
let server: PageServer

before(async () => {
  mkdirSync(join(directory, 'assets'), { recursive: true })
  mkdirSync(join(directory, '.vite'))
  writeFileSync(join(root, 'secret.txt'), 'secret')
  writeFileSync(join(directory, 'index.html'), '<!doctype html>page')
  writeFileSync(join(directory, '.vite/manifest.json'), '{}')
  writeFileSync(join(directory, 'assets/index-Ab3_d-12.js'), 'export {};'.repeat(500))
  server = await createPageServer(options)
})
after(async () => {
  await server.close()
  rmSync(root, { recursive: true })
})

/** Sends one request exactly as written, for fetch() would tidy the path. */
async function raw(path: string, method = 'GET', headers = ''): Promise<string> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  socket.end(`${method} ${path} HTTP/1.1\r\nHost: page\r\nConnection: close\r\n${headers}\r\n`)
  return text(socket)
}

it('the page comes with a policy that allows its own scripts and the listed origins alone', async () => {
  const response = await fetch(`${server.url}/?chat=1`)
  assert.equal(await response.text(), '<!doctype html>page')
  assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8')
  assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
  assert.equal(response.headers.get('referrer-policy'), 'no-referrer')
  assert.equal(response.headers.get('cache-control'), 'no-cache')
  const policy = response.headers.get('content-security-policy') ?? ''
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/)
  assert.match(policy, /connect-src 'self' https:\/\/gw\.example;/)
  assert.doesNotMatch(policy, /unsafe|\*/)
})

it('any address is allowed only where the owner wrote *', () => {
  assert.match(contentSecurityPolicy(['*']), /connect-src 'self' http: https:;/)
  assert.match(contentSecurityPolicy([]), /connect-src 'self';/)
})

it('hashed files are kept for ever, packed, and answer 304 to who has them', async () => {
  const response = await fetch(`${server.url}/assets/index-Ab3_d-12.js`)
  assert.equal(response.headers.get('cache-control'), 'public, max-age=31536000, immutable')
  assert.equal(response.headers.get('content-encoding'), 'gzip')
  assert.equal((await response.text()).length, 5000)
  const plain = await raw('/assets/index-Ab3_d-12.js')
  assert.match(plain, /content-length: 5000/i)
  const again = await raw('/', 'GET', `If-None-Match: ${(await fetch(server.url)).headers.get('etag')}\r\n`)
  assert.match(again, /^HTTP\/1\.1 304 /)
})

it('config.json tells the page its addresses and default model, and is never kept', async () => {
  const response = await fetch(`${server.url}/config.json`)
  assert.equal(response.headers.get('cache-control'), 'no-cache')
  assert.deepEqual(await response.json(), { apiBaseUrls: ['https://gw.example/v1'], defaultModel: 'small' })
})

it('no path leads out of the folder, and hidden files are not there', async () => {
  const paths = [
    '/../secret.txt',
    '/..%2fsecret.txt',
    '/%2e%2e/secret.txt',
    '/assets/../../secret.txt',
    '/assets/..\\..\\secret.txt',
    '//etc/passwd',
    '/etc/passwd',
    '/assets',
    '/assets/',
    '/.vite/manifest.json',
    '/index.html%00.js',
    '/__proto__',
    'http://other.example/index.html',
  ]
  for (const path of paths) {
    const answer = await raw(path)
    assert.match(answer, /^HTTP\/1\.1 404 /, path)
    assert.doesNotMatch(answer, /secret\b(?!\.txt)/)
  }
})

it('HEAD gives the headers alone, every other method 405', async () => {
  const head = await raw('/', 'HEAD')
  assert.match(head, /content-length: 19/i)
  assert.ok(head.endsWith('\r\n\r\n'))
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']) {
    const answer = await raw('/', method)
    assert.match(answer, /^HTTP\/1\.1 405 /, method)
    assert.match(answer, /allow: GET, HEAD/i)
  }
})

it('a folder without a built page stops the start and names the command', async () => {
  await assert.rejects(createPageServer({ ...options, directory: join(root, 'none') }), /npm run build -w client-web/)
  await assert.rejects(createPageServer({ ...options, directory: root }), /No index\.html/)
})

it('every problem of the environment is listed at once', () => {
  const env = { PORT: '80a', HOST: 'a b', API_BASE_URLS: 'https://a.example, ftp://b.example,https://u:p@c.example' }
  assert.throws(
    () => readOptions(env),
    (error: Error) => {
      assert.match(error.message, /PORT is "80a"[\s\S]*HOST is "a b"[\s\S]*"ftp:\/\/b\.example"[\s\S]*u:p@c/)
      assert.doesNotMatch(error.message, /"https:\/\/a\.example"/)
      return true
    },
  )
  assert.deepEqual(readOptions({ API_BASE_URLS: ' https://a.example , * ', DEFAULT_MODEL: ' m ' }), {
    port: 8501,
    host: '127.0.0.1',
    apiBaseUrls: ['https://a.example', '*'],
    defaultModel: 'm',
  })
})

it('as a program it prints one ready line, and SIGTERM ends it', async () => {
  const child = start({ PORT: '0' })
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer]
  const { ready, url } = JSON.parse(chunk.toString()) as { ready: boolean; url: string }
  assert.equal(ready, true)
  assert.equal((await fetch(url)).status, 200)
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

it('as a program with a bad environment it says why and fails', async () => {
  const child = start({ PORT: '99999' })
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit') as Promise<[number]>])
  assert.match(said, /PORT is "99999"/)
  assert.equal(code, 1)
})

// The program as its own process, on the folder of this test.
function start(
  env: Record<string, string>,
): ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream } {
  const program = `import(${JSON.stringify(join(import.meta.dirname, 'server.ts'))}).then((m) => m.main(${JSON.stringify(directory)}))`
  return spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}
