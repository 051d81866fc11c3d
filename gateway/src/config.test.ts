import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createAuthority } from '../test/certificates.ts'
import { ConfigError, type Env, findRisks, loadConfig } from './config.ts'

const smallest = "engines: [{ name: gpu, url: 'http://gpu', kind: vllm }]\nmodels: [{ id: m, engine: gpu }]\n"
let folder: string

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'hearth-config-'))
})

after(() => rmSync(folder, { recursive: true }))

function envOf(yaml: string, more: Env = {}): Env {
  return { HEARTH_CONFIG_YAML: yaml, HEARTH_KEYS_FILE: 'keys.json', ...more }
}

function fileOf(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

test('the smallest file and one variable are enough; all else has its default', () => {
  const machine = { memoryBytes: 300_000_000, descriptorsMax: 1000 }
  const { host, port, keysFile, mesh, engineApiKey, log, cors, limits, timeouts } = loadConfig(envOf(smallest), machine)
  deepEqual(
    { host, port, keysFile, mesh, engineApiKey, log, cors },
    {
      host: '0.0.0.0',
      port: 8080,
      keysFile: 'keys.json',
      mesh: { host: '127.0.0.1', port: 7080 },
      engineApiKey: undefined,
      log: 'json',
      cors: { origins: [] },
    },
  )
  deepEqual(limits, {
    bodyBytesMax: 31_457_280,
    bodyBytesInFlight: 100_000_000,
    bodyBytesPerKey: 75_000_000,
    bodyBytesPerSecondMin: 8192,
    answerBytesMax: 268_435_456,
    connectionsMax: 500,
    queueMax: 64,
    connectTries: 4,
  })
  ok(timeouts.drainMs < 9500 && timeouts.totalMs < 3_600_000)
})

test('every value of the file is read', () => {
  const { engines, models, cors, limits, timeouts } = loadConfig(
    envOf(`
engines: [{ name: gpu, url: 'http://gpu.example:8443/', via: 'mesh:gpu', kind: llamacpp, capacity: 3 }]
models:
  - { id: Org/Model-7B:q4, engine: gpu, served: other, aliases: [fast], context: 4096, reasoning: tags, timeouts: { idleMs: 5 },
      vision: { coordinates: relative-1000, factor: 32, minPixels: 1, maxPixels: 2, maxSide: 3 } }
  - { id: vectors, engine: gpu, task: embed }
cors: { origins: ['*', 'https://me.example'] }
limits: { bodyBytesMax: 10, bodyBytesInFlight: 20, bodyBytesPerKey: 15, bodyBytesPerSecondMin: 0, answerBytesMax: 30, connectionsMax: 7, queueMax: 0, connectTries: 1 }
timeouts: { connectMs: 1, drainMs: 9000, totalMs: 2147483647 }
`),
  )
  deepEqual(engines, [{ name: 'gpu', url: 'http://gpu.example:8443/', via: 'mesh:gpu', kind: 'llamacpp', capacity: 3 }])
  const vision = { coordinates: 'relative-1000', factor: 32, minPixels: 1, maxPixels: 2, maxSide: 3 }
  const talker = { id: 'Org/Model-7B:q4', engine: 'gpu', task: 'chat', served: 'other', aliases: ['fast'] }
  deepEqual(models, [
    { ...talker, context: 4096, reasoning: 'tags', timeouts: { idleMs: 5 }, vision },
    { id: 'vectors', engine: 'gpu', task: 'embed', aliases: [], reasoning: 'fields', timeouts: {} },
  ])
  deepEqual(cors.origins, ['*', 'https://me.example'])
  deepEqual(limits, {
    bodyBytesMax: 10,
    bodyBytesInFlight: 20,
    bodyBytesPerKey: 15,
    bodyBytesPerSecondMin: 0,
    answerBytesMax: 30,
    connectionsMax: 7,
    queueMax: 0,
    connectTries: 1,
  })
  deepEqual([timeouts.connectMs, timeouts.drainMs, timeouts.totalMs, timeouts.queueMs], [1, 9000, 2147483647, 60_000])
})

test('limits that nobody set follow from the machine, and leave room for one body of the largest size', () => {
  const limitsOn = (memoryBytes: number, descriptorsMax: number, more = '') =>
    loadConfig(envOf(`${smallest}\n${more}`), { memoryBytes, descriptorsMax }).limits
  const mebibyte = 1024 * 1024
  const small = limitsOn(64 * mebibyte, 1)
  deepEqual([small.bodyBytesInFlight, small.bodyBytesPerKey, small.connectionsMax], [30 * mebibyte, 30 * mebibyte, 1])
  const container = limitsOn(512 * mebibyte, 256)
  deepEqual([container.bodyBytesInFlight, container.connectionsMax], [Math.floor((512 * mebibyte) / 3), 128])
  const large = limitsOn(64 * 1024 * mebibyte, 1_000_000)
  deepEqual([large.bodyBytesInFlight, large.connectionsMax], [1024 * mebibyte, 10_000])
  const told = limitsOn(512 * mebibyte, 256, 'limits: { bodyBytesInFlight: 40000000, connectionsMax: 200 }')
  deepEqual([told.bodyBytesInFlight, told.bodyBytesPerKey, told.connectionsMax], [40_000_000, 31_457_280, 200])
})

test('every variable is read, without the white space around it', () => {
  const { host, port, keysFile, mesh, engineApiKey, log } = loadConfig(
    envOf(smallest, {
      PORT: ' 9090\n',
      HEARTH_HOST: '127.0.0.1 ',
      HEARTH_KEYS_FILE: ' /secrets/keys.json\n',
      HEARTH_MESH_ADDR: '[::1]:7081',
      HEARTH_ENGINE_API_KEY: 'sk-1\n',
      HEARTH_LOG: 'pretty',
    }),
  )
  deepEqual(
    [host, port, keysFile, mesh, engineApiKey, log],
    ['127.0.0.1', 9090, '/secrets/keys.json', { host: '::1', port: 7081 }, 'sk-1', 'pretty'],
  )
})

test('a variable that is set to nothing is as good as not set', () => {
  const blank = { PORT: '', HEARTH_HOST: ' ', HEARTH_MESH_ADDR: '', HEARTH_ENGINE_API_KEY: '\n', HEARTH_LOG: '' }
  deepEqual(loadConfig(envOf(smallest, blank)), loadConfig(envOf(smallest)))
})

test('the file is read from HEARTH_CONFIG, and HEARTH_CONFIG_YAML goes before it', () => {
  const path = fileOf('hearth.yaml', smallest.replaceAll('gpu', 'home'))
  const env = { HEARTH_CONFIG: path, HEARTH_KEYS_FILE: 'keys.json' }
  equal(loadConfig(env).engines[0]?.name, 'home')
  equal(loadConfig({ ...env, HEARTH_CONFIG_YAML: smallest }).engines[0]?.name, 'gpu')
})

test('JSON is YAML: the file may be either', () => {
  const document = { engines: [{ name: 'gpu', url: 'http://gpu', kind: 'vllm' }], models: [{ id: 'm', engine: 'gpu' }] }
  deepEqual(loadConfig(envOf(JSON.stringify(document))), loadConfig(envOf(smallest)))
})

test('the key of the engines may be mounted as a file, which goes before the variable', () => {
  const path = fileOf('engine-key', 'sk-mounted\n')
  const env = { HEARTH_ENGINE_API_KEY: 'sk-plain', HEARTH_ENGINE_API_KEY_FILE: path }
  equal(loadConfig(envOf(smallest, env)).engineApiKey, 'sk-mounted')
})

test('an address of an engine may name any port, also the usual one of its scheme', () => {
  for (const url of ['http://gpu', 'http://gpu:80', 'https://gpu:443/', 'http://[::1]:8000', 'http://10.0.0.7:8000'])
    equal(loadConfig(envOf(smallest.replace('http://gpu', url))).engines[0]?.url, url)
})

test('an engine behind the mesh may be https, also by a SOCKS server on loopback', () => {
  for (const via of ['mesh:gpu', 'socks5://127.0.0.1:1055', 'socks5://localhost:1', 'socks5://[::1]:65535'])
    for (const url of ['https://vllm.home', 'https://100.64.0.7:8443', 'http://home-gpu.example.ts.net:8000']) {
      const yaml = smallest.replace("'http://gpu'", `'${url}', via: '${via}'`)
      equal(loadConfig(envOf(yaml)).engines[0]?.via, via)
    }
})

test('the authorities of an engine are read from its caFile, all of them, whatever stands between', () => {
  const [one, two] = [createAuthority('one').cert, createAuthority('two').cert]
  const caFile = fileOf('ca.pem', `# the home\n${one}Some words\n${two}`)
  const yaml = smallest.replace("'http://gpu'", `'https://gpu', tls: { caFile: ${caFile} }`)
  deepEqual(loadConfig(envOf(yaml)).engines[0]?.tls, { caFile, ca: [one.trim(), two.trim()] })
})

test('of several authorities in a caFile one that is in force is enough', () => {
  const over = createAuthority('old', { notBefore: new Date(1e12), notAfter: new Date(1.1e12) }).cert
  const caFile = fileOf('renewed.pem', over + createAuthority('new').cert)
  const yaml = smallest.replace("'http://gpu'", `'https://gpu', tls: { caFile: ${caFile} }`)
  equal(loadConfig(envOf(yaml)).engines[0]?.tls?.ca.length, 2)
})

test('an origin with a slash at its end is the origin that browsers send', () => {
  const yaml = `${smallest}cors: { origins: ['https://me.example/'] }`
  deepEqual(loadConfig(envOf(yaml)).cors.origins, ['https://me.example'])
})

test('the status port of the sidecar and the admin port have their places by default, and can be moved or switched off', () => {
  const places = (env: Record<string, string>) => {
    const { meshStatusUrl, admin } = loadConfig(envOf(smallest, env))
    return [meshStatusUrl, admin && `${admin.host} ${admin.port}`]
  }
  deepEqual(places({}), ['http://127.0.0.1:7071', '127.0.0.1 8081'])
  deepEqual(places({ HEARTH_MESH_STATUS_URL: 'http://[::1]:9/', HEARTH_ADMIN_ADDR: '[::]:0' }), [
    'http://[::1]:9',
    ':: 0',
  ])
  deepEqual(places({ HEARTH_MESH_STATUS_URL: 'off', HEARTH_ADMIN_ADDR: 'off' }), [undefined, undefined])
  equal(places({ HEARTH_MESH_STATUS_URL: '' })[0], undefined)
})

test('the configuration cannot be changed afterwards', () => {
  const config = loadConfig(envOf(smallest))
  throws(() => Object.assign(config, { port: 1 }), TypeError)
})

test('a ConfigError counts its problems and lists each on its own line', () => {
  const error = new ConfigError(['one', 'two'])
  equal(error.message, 'The configuration has 2 problem(s):\n  - one\n  - two')
})

test('the log is json, on Cloud Run that of Google Cloud, and what HEARTH_LOG says before both', () => {
  const formOf = (env: Env) => loadConfig(envOf(smallest, env)).log
  equal(formOf({}), 'json')
  equal(formOf({ K_SERVICE: 'home-gateway' }), 'gcp')
  equal(formOf({ CLOUD_RUN_JOB: 'job' }), 'gcp')
  equal(formOf({ K_SERVICE: 'home-gateway', HEARTH_LOG: 'json' }), 'json')
  equal(formOf({ HEARTH_LOG: 'gcp' }), 'gcp')
})

test('traces belong to the project that GOOGLE_CLOUD_PROJECT names, and nobody is asked for another', () => {
  const projectOf = (env: Env) => loadConfig(envOf(smallest, env)).googleProject
  equal(projectOf({}), undefined)
  equal(projectOf({ GOOGLE_CLOUD_PROJECT: 'my-project-1' }), 'my-project-1')
  equal(projectOf({ GOOGLE_CLOUD_PROJECT: 'example.com:my-project-1' }), 'example.com:my-project-1')
})

test('a request that may take longer than Cloud Run lets it, its wait included, is a risk that names both fields', () => {
  const risksOf = (more: string) => findRisks(loadConfig(envOf(`${smallest}${more}`)))
  deepEqual(risksOf(''), [])
  deepEqual(risksOf('timeouts: { totalMs: 3570000, queueMs: 30000 }'), [])
  deepEqual(risksOf('timeouts: { totalMs: 3570000, queueMs: 30001 }'), [
    'timeouts.totalMs: 3570000: with timeouts.queueMs (30001) longer than a request may take on Cloud Run; wants at most 3600000 together there',
  ])
  const ofModel = smallest.replace('engine: gpu }', 'engine: gpu, timeouts: { totalMs: 7200000 } }')
  deepEqual(
    findRisks(loadConfig(envOf(ofModel))).map((risk) => risk.split(': with')[0]),
    ['models.0.timeouts.totalMs: 7200000'],
  )
})
