import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { createAuthority } from '../test/certificates.ts'
import { ConfigError, type Env, loadConfig } from './config.ts'

const engine = "engines: [{ name: gpu, url: 'http://gpu', kind: vllm }]\n"
const model = 'models: [{ id: m, engine: gpu }]\n'

/** The problems of a file (label taken off) and of the variables beside it. */
function problemsOf(yaml: string, more: Env = {}): readonly string[] {
  try {
    loadConfig({ HEARTH_CONFIG_YAML: yaml, HEARTH_KEYS_FILE: 'keys.json', ...more })
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map((problem) => problem.replace(/^HEARTH_CONFIG_YAML: /, ''))
  }
}

test('all problems of the file and of the variables are told at once', () => {
  const yaml = `
engines:
  - { name: GPU!, url: nope, kind: vlm, capacity: 0, colour: red }
  - { name: gpu, url: 'http://gpu/v1', kind: vllm }
  - { name: gpu, url: 'http://gpu', kind: vllm }
models: [{ id: m, engine: elsewhere }, { id: m, engine: gpu }, { id: n, engine: gpu, aliases: [m] }]
cors: { origins: [me.example] }
limits: { queueMax: -1 }
timeouts: { drainMs: 9001, idleMs: 1.5 }
`
  const problems = problemsOf(yaml, {
    PORT: '65536',
    HEARTH_KEYS_FILE: '',
    HEARTH_MESH_ADDR: '10.0.0.1:7080',
    HEARTH_LOG: 'xml',
    GOOGLE_CLOUD_PROJECT: 'My Project',
    HEARTH_ENGINE_API_KEY_FILE: '/nowhere/key',
  })
  deepEqual(
    problems.map((problem) => problem.split(': ', 2).join(': ')),
    [
      'PORT: "65536" is not a port (0 to 65535)',
      'HEARTH_KEYS_FILE: not set; wants the keys file (HEARTH_KEYS_FILE=f npx hearth keys create NAME)',
      'HEARTH_MESH_ADDR: "10.0.0.1:7080" is not a loopback HOST:PORT, such as 127.0.0.1:7080',
      'HEARTH_ENGINE_API_KEY_FILE: cannot read "/nowhere/key" (ENOENT',
      'HEARTH_LOG: "xml" is not gcp, json or pretty',
      'GOOGLE_CLOUD_PROJECT: "My Project" is not the id of a project',
      'engines.0.name: "GPU!"',
      'engines.0.url: "nope"',
      'engines.0.kind: "vlm"',
      'engines.0.capacity: 0',
      'engines.0.colour: is not a known key',
      'engines.1.url: "http://gpu/v1"',
      'cors.origins.0: "me.example"',
      'limits.queueMax: -1',
      'timeouts.idleMs: 1.5',
      'timeouts.drainMs: 9001',
      'engines.2.name: "gpu"',
      'models.0.engine: "elsewhere"',
      'models.1: the name "m" is used twice',
      'models.2: the name "m" is used twice',
    ],
  )
})

test('each problem says what is wanted', () => {
  const wanted: readonly [yaml: string, reason: RegExp][] = [
    [`engines: []\n${model}`, /engines: a list: wants at least one engine/],
    [`${engine}models: []`, /models: a list: wants at least one model/],
    [`${engine}models: [{ engine: gpu }]`, /models\.0\.id: not set: /],
    [`${engine}models: [{ id: m, engine: gpu, task: draw }]`, /models\.0\.task: "draw": /],
    [
      `${engine}models: [{ id: m, engine: gpu, task: embed, vision: {} }]`,
      /models\.0\.vision: a section: wants task: chat/,
    ],
    [`${engine}models: [{ id: a b, engine: gpu }]`, /models\.0\.id: "a b": wants letters, digits/],
    [engine.replace('kind: vllm', "kind: vllm, via: 'gpu'") + model, /engines\.0\.via: "gpu": wants mesh:NAME/],
    [engine.replace('kind: vllm', "kind: vllm, tls: { caFile: '/x' }") + model, /engines\.0\.tls/],
    [engine.replace("http://gpu'", "https://gpu', tls: {}") + model, /engines\.0\.tls\.caFile: not set/],
    ...[
      '10.0.0.7:1055',
      '0.0.0.0:1055',
      'example.com:1055',
      '127.0.0.1',
      '127.0.0.1:0',
      'u:p@127.0.0.1:1',
      '127.0.0.1:1/',
    ].map((address): [string, RegExp] => [
      engine.replace('kind: vllm', `kind: vllm, via: 'socks5://${address}'`) + model,
      /engines\.0\.via: .*: wants a loopback address, such as socks5:/,
    ]),
    [
      engine.replace("http://gpu'", "http://[::1]', via: 'socks5://127.0.0.1:1'") + model,
      /url: .*wants a name or an IPv4/,
    ],
    [
      engine.replace("http://gpu'", "http://100.64.0.7:8000', via: 'socks5://127.0.0.1:1'") + model,
      /url: .*wants the name of the home in the tailnet, or https:/,
    ],
    [engine.replace('http:', 'ftp:') + model, /engines\.0\.url: "ftp:\/\/gpu": wants an http:\/\/ or https:\/\//],
    [engine.replace('//gpu', '//gpu/v1') + model, /wants only scheme, host and port/],
    [`${engine}${model}timeouts: { totalMs: 2147483648 }`, /timeouts\.totalMs: 2147483648: Too big/],
    [
      `${engine}${model}limits: { bodyBytesMax: 30, bodyBytesInFlight: 20 }`,
      /bodyBytesMax: 30: wants at most bodyBytesInF/,
    ],
    [`${engine}${model}cors: { origins: ['https://me.example/page'] }`, /wants an origin, such as https:/],
    [`${engine}${model}cors: { origins: ['https://ME.example'] }`, /wants an origin, such as https:/],
  ]
  for (const [yaml, reason] of wanted) {
    const problems = problemsOf(yaml)
    equal(problems.length, 1, problems.join('\n'))
    match(problems[0] ?? '', reason)
  }
})

test('no setting switches the check of a certificate off', () => {
  for (const key of ['verify', 'insecure', 'rejectUnauthorized', 'skipVerify']) {
    const problems = problemsOf(engine.replace("http://gpu'", `https://gpu', tls: { ${key}: false }`) + model)
    ok(problems.includes(`engines.0.tls.${key}: is not a known key`), problems.join('\n'))
  }
})

test('a caFile that cannot be trusted is told with its reason and with all other problems', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-ca-'))
  const fileOf = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const past = { notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') }
  const future = { notBefore: new Date('2048-01-01'), notAfter: new Date('2049-01-01') }
  const cases: readonly [file: string, reason: RegExp][] = [
    ['/nowhere/ca.pem', /\(ENOENT/],
    [folder, /\(EISDIR/],
    [fileOf('empty.pem', ''), /\(holds no certificate\)/],
    [fileOf('key.pem', createAuthority('a').issue({ names: ['b'] }).key), /\(holds no certificate\)/],
    [fileOf('broken.pem', createAuthority('a').cert.replace(/\n.{20}/, '\n')), /\(error:/],
    [fileOf('old.pem', createAuthority('a', past).cert), /\(is valid from Jan +1 .* 2020 GMT to Jan +1 .* 2021 GMT\)/],
    [fileOf('early.pem', createAuthority('a', future).cert), /\(is valid from Jan +1 .* 2048 GMT/],
  ]
  try {
    const engines = cases.map(([caFile], index) => ({
      name: `gpu${index}`,
      url: 'https://gpu',
      kind: 'vllm',
      tls: { caFile },
    }))
    const problems = problemsOf(JSON.stringify({ engines, models: [{ id: 'm', engine: 'gpu0' }] }), { PORT: 'http' })
    deepEqual(problems[0], 'PORT: "http" is not a port (0 to 65535)')
    equal(problems.length, 1 + cases.length, problems.join('\n'))
    for (const [index, [caFile, reason]] of cases.entries()) {
      const problem = problems[index + 1] ?? ''
      ok(problem.startsWith(`engines.${index}.tls.caFile: "${caFile}": cannot be trusted (`), problem)
      match(problem, reason)
      match(problem, /; wants a PEM file/)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a file that is absent, no YAML, or no set of sections is one problem', () => {
  for (const [env, reason] of [
    [
      { HEARTH_CONFIG_YAML: '', HEARTH_CONFIG: '/nowhere/hearth.yaml' },
      /^HEARTH_CONFIG: cannot read "\/nowhere\/hearth.yaml"/,
    ],
    [{ HEARTH_CONFIG_YAML: 'engines: [' }, /^is not YAML \(.*line 1/],
    [{ HEARTH_CONFIG_YAML: '- a' }, /^\(root\): .*expected object/],
  ] as const) {
    const problems = problemsOf('', env)
    equal(problems.length, 1)
    match(problems[0] ?? '', reason)
  }
})

test('a port is whole decimal digits from 0 to 65535', () => {
  for (const port of ['-1', '65536', '80.5', '0x50', '1e3', 'http', '8080 8081'])
    deepEqual(problemsOf(engine + model, { PORT: port }), [`PORT: "${port}" is not a port (0 to 65535)`])
})

test('the address of the sidecar is a loopback address with a port', () => {
  for (const address of [
    '0.0.0.0:7080',
    '10.0.0.1:7080',
    '127.0.0.1',
    '127.0.0.1:0',
    '127.0.0.1:65536',
    'example.com:80',
  ])
    match(
      problemsOf(engine + model, { HEARTH_MESH_ADDR: address }).join('\n'),
      /^HEARTH_MESH_ADDR: ".*" is not a loopback/,
    )
})

test('no problem shows a password or a key inside an address', () => {
  const urls = [
    'http://user:sesame@gpu',
    'http://sesame@gpu:80',
    'http://u:sesame/@@gpu',
    'http://gpu/v1?key=sesame',
    '//sesame@x',
  ]
  for (const url of urls) {
    const problems = problemsOf(engine.replace('http://gpu', url) + model)
    deepEqual([problems.length, problems.join().includes('sesame')], [1, false], problems.join())
  }
})

test('no problem shows the key of the engines, even when the key itself is wrong', () => {
  for (const key of ['two words-sesame', 'sesame\nsesame', 'sésame-sesame']) {
    const text = problemsOf('- a', { HEARTH_ENGINE_API_KEY: key }).join('\n')
    match(text, /^HEARTH_ENGINE_API_KEY: holds characters that no header can carry/)
    equal(text.includes('sesame'), false)
  }
})

test('a place that is none is a problem, whose text shows no password', () => {
  for (const url of ['https://127.0.0.1:7071', 'http://u:sesame@x', 'http://x/v1', '7071', 'file:///x']) {
    const text = problemsOf(engine + model, { HEARTH_MESH_STATUS_URL: url }).join('\n')
    match(text, /^HEARTH_MESH_STATUS_URL: .* is not http:\/\/HOST:PORT/)
    equal(text.includes('sesame'), false)
  }
  for (const address of ['8081', 'example.com:8081', '127.0.0.1:70000', '127.0.0.1', '1.2.3:80'])
    match(problemsOf(engine + model, { HEARTH_ADMIN_ADDR: address }).join(), /^HEARTH_ADMIN_ADDR: .* is not IP:PORT/)
})

test('a file that is really a secret is not shown', () => {
  const text = problemsOf('"hk_0123456789_sesame"').join('\n')
  deepEqual([/\(root\)/.test(text), text.includes('sesame')], [true, false])
})

test('a value that contains itself is a problem like any other', () => {
  ok(problemsOf(`${engine}models: &loop [*loop]`).some((problem) => problem.startsWith('models.0: a list: ')))
})

test('any document is a configuration or a list of problems, and never another error', () => {
  const section = fc.constantFrom('engines', 'models', 'cors', 'limits', 'timeouts', 'name', 'id', 'engine', 'origins')
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.jsonValue({ maxDepth: 1 }),
      fc.dictionary(section, tie('tree')),
      fc.array(tie('tree'), { maxLength: 3 }),
    ),
  }))
  fc.assert(
    fc.property(fc.dictionary(section, tree), (document) => {
      ok(problemsOf(JSON.stringify(document)).length > 0)
    }),
    { numRuns: 300 },
  )
})

test('each bad time limit of a model, and each bad word about its thinking, is told by field, value and what is wanted', () => {
  const limits = ['streamFirstByteMs', 'plainFirstByteMs', 'idleMs', 'totalMs']
  const badMs = [0, -5, 1.5, 2_147_483_648, '300s', null]
  const cases = [
    ...limits.flatMap((name) =>
      badMs.map((bad) => ({ field: `timeouts.${name}`, own: { timeouts: { [name]: bad } }, bad })),
    ),
    ...['tag', '', null, true].map((bad) => ({ field: 'reasoning', own: { reasoning: bad }, bad })),
  ]
  for (const { field, own, bad } of cases) {
    const [problem = '', ...more] = problemsOf(
      `${engine}models: [${JSON.stringify({ id: 'm', engine: 'gpu', ...own })}]`,
    )
    deepEqual(more, [], field)
    ok(problem.startsWith(`models.0.${field}: ${JSON.stringify(bad)}: `), problem)
    match(problem, /expected|wants/)
  }
  deepEqual(problemsOf(`${engine}models: [{ id: m, engine: gpu, timeouts: { queueMs: 5, idle: 1 } }]`), [
    'models.0.timeouts.queueMs: is not a known key',
    'models.0.timeouts.idle: is not a known key',
  ])
  console.log(`${cases.length} of ${cases.length} bad values are named`)
})
