/**
 * Where a default time limit could hide, in the text of what runs on the way of a request: Node's and undici's 300 s,
 * Cloud Run's 300 s, Traefik's 60 s for a whole request. That ours are in force, default-clocks.wire.test.ts shows.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { repositoryRoot } from '../dev/parts.ts'
import { createRulesConfig, createStaticConfig } from '../dev/traefik.ts'
import { loadConfig } from '../src/config.ts'

const read = (name: string) => readFileSync(join(repositoryRoot, name), 'utf8')
const sources = globSync(['gateway/src/**/*.ts', 'client-web/server.ts'], { cwd: repositoryRoot })
  .filter((name) => !name.endsWith('.test.ts'))
  .map((name) => ({ name, text: read(name) }))

/** What stands between the brackets of each call, as far as the next line that closes one at the depth of the call. */
function callsOf(word: string, text: string): readonly string[] {
  const starts = [...text.matchAll(new RegExp(`(?<![\\w.])${word}\\(`, 'g'))].map(
    ({ index, 0: found }) => index + found.length,
  )
  return starts.map((start) => {
    let depth = 1
    let end = start
    for (; depth > 0 && end < text.length; end += 1) depth += text[end] === '(' ? 1 : text[end] === ')' ? -1 : 0
    return text.slice(start, end - 1)
  })
}

test('each server of Node sets its own time for a request and for its head', () => {
  const servers = sources.flatMap(({ name, text }) =>
    callsOf('createServer', text).map((call) => ({ name, call, text })),
  )
  ok(servers.length >= 3, String(servers.length))
  for (const { name, call, text } of servers) {
    // By name, where the options are a constant of the file.
    const options = /^\s*(\w+),/.exec(call)?.[1]
    const said = options === undefined ? call : (new RegExp(`const ${options} = (\\{.*\\})`).exec(text)?.[1] ?? '')
    match(said, /\brequestTimeout: /, name)
    match(said, /\bheadersTimeout: /, name)
  }
  console.log(`${servers.length} of ${servers.length} servers: ${servers.map(({ name }) => name).join(', ')}`)
})

test('undici is used for the pool and its dials alone, and neither has a default of undici', () => {
  const users = sources.filter(({ text }) => /^import (?!type).*from 'undici'/m.test(text)).map(({ name }) => name)
  deepEqual(users.toSorted(), ['gateway/src/upstream/connector.ts', 'gateway/src/upstream/tunnels.ts'])
  // The fetch of Node is undici with its defaults.
  deepEqual(
    sources.filter(({ text }) => callsOf('fetch', text).length > 0).map(({ name }) => name),
    [],
  )
  const transport = read('gateway/src/upstream/transport.ts')
  for (const name of ['headersTimeout', 'bodyTimeout']) {
    const said = [...transport.matchAll(new RegExp(`${name}: (\\S+),`, 'g'))].map(([, value]) => value)
    ok(said.length > 0 && said.every((value) => value === '0'), `${name}: ${said}`)
  }
  for (const call of callsOf('buildConnector', read('gateway/src/upstream/connector.ts'))) match(call, /\btimeout: /)
})

test('Traefik neither bounds a whole request nor an answer, in the lab and in k3s', () => {
  const { entryPoints } = createStaticConfig(1, 'rules.yaml', 2)
  for (const { transport } of Object.values(entryPoints)) {
    const { readTimeout, writeTimeout } = transport.respondingTimeouts
    deepEqual([readTimeout, writeTimeout], ['0s', '0s'])
  }
  const k3s = read('k3s/traefik-config.yaml')
  for (const name of ['readTimeout', 'writeTimeout'])
    ok(k3s.includes(`--entryPoints.web.transport.respondingTimeouts.${name}=0s`), name)
  // Its default is to wait for an engine as long as it takes; anything that stands here would be a limit.
  const transport = z.object({ spec: z.object({ forwardingTimeouts: z.record(z.string(), z.unknown()) }) })
  const lab = createRulesConfig([], { engine: '', echo: '' }).http.serversTransports.engine.forwardingTimeouts
  const home = transport.parse(parse(read('k3s/servers-transport.yaml'))).spec.forwardingTimeouts
  deepEqual([Object.keys(lab), Object.keys(home)], [['dialTimeout'], ['dialTimeout']])
})

test('Cloud Run gives a request the hour that it may, and by default nothing of ours is longer', () => {
  const service = z.object({
    spec: z.object({ template: z.object({ spec: z.object({ timeoutSeconds: z.number() }) }) }),
  })
  const { timeoutSeconds } = service.parse(parse(read('gateway/deploy/service.yaml'))).spec.template.spec
  equal(timeoutSeconds, 3600)
  const { timeouts } = loadConfig({
    HEARTH_KEYS_FILE: 'keys.json',
    HEARTH_CONFIG_YAML: "engines: [{ name: g, url: 'http://g', kind: vllm }]\nmodels: [{ id: m, engine: g }]",
  })
  ok(timeouts.totalMs + timeouts.queueMs <= timeoutSeconds * 1000)
  ok(Math.max(timeouts.streamFirstByteMs, timeouts.plainFirstByteMs, timeouts.idleMs) <= timeouts.totalMs)
})

test('each server of the sidecar says how long it waits for a head', () => {
  const servers = globSync('gateway/sidecar/**/*.go', { cwd: repositoryRoot })
    .filter((name) => !name.endsWith('_test.go'))
    .flatMap((name) =>
      read(name)
        .split('&http.Server{')
        .slice(1)
        .map((text) => ({ name, text: text.split('\n\t}')[0] ?? '' })),
    )
  ok(servers.length >= 3, String(servers.length))
  for (const { name, text } of servers) match(text, /ReadHeaderTimeout:/, name)
})
