import { execFile } from 'node:child_process'
import { accessSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { openLeash } from '../dev/leash.ts'
import { findFreePort } from '../dev/ports.ts'
import { type ProcessSpec, type RunningProcess, startProcess } from '../dev/process.ts'
import { type Recorder, type Seen, startRecorder, startReportTaker } from './origin-recorder.ts'

/** The servers that a request is given to; uvicorn twice, since it brings two parsers. */
export const originNames = ['nginx', 'haproxy', 'apache', 'caddy', 'uvicorn-h11', 'uvicorn-httptools'] as const
export type OriginName = (typeof originNames)[number]

/** A real server on loopback: a proxy in front of a recorder, or the application itself. */
export interface Origin {
  readonly name: OriginName
  readonly version: string
  readonly port: number
  readonly pid: number
  /** All that it took for a request, in the order in which it was complete; final once `stop` has resolved. */
  readonly seen: readonly Seen[]
  /** Ends the server by its process group; resolves when nothing of it is left. */
  stop(): Promise<void>
}

/** Where an origin's program is, as the runner says in a variable; else why there is none. */
export function findProgram(name: OriginName): { readonly program: string | undefined; readonly reason: string } {
  const variable = `HEARTH_${name.replace(/-.*/, '').toUpperCase()}`
  const reason = process.env[`${variable}_MISSING`] ?? `${variable} is not set, as npm test -- --only hostile does`
  return { program: process.env[variable], reason }
}

interface Place {
  readonly program: string
  readonly dir: string
  readonly port: number
  /** Where it sends requests, or reports of them. */
  readonly recorderPort: number
  readonly patienceS: number
}

interface Start {
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
}

const describers: Readonly<Record<OriginName, (place: Place) => Start>> = {
  nginx: startNginx,
  haproxy: startHaproxy,
  apache: startApache,
  caddy: startCaddy,
  'uvicorn-h11': (place) => startUvicorn(place, 'h11'),
  'uvicorn-httptools': (place) => startUvicorn(place, 'httptools'),
}

const versionArgs: Readonly<Record<OriginName, readonly string[]>> = {
  nginx: ['-v'],
  haproxy: ['-v'],
  apache: ['-v'],
  caddy: ['version'],
  'uvicorn-h11': ['-c', 'import uvicorn, h11; print("uvicorn", uvicorn.__version__, "h11", h11.__version__)'],
  'uvicorn-httptools': [
    '-c',
    'import uvicorn, httptools; print("uvicorn", uvicorn.__version__, "httptools", httptools.__version__)',
  ],
}

/** Starts one origin on a free port that waits so long for a caller who has fallen silent; whoever starts it stops it. */
export async function startOrigin(name: OriginName, program: string, patienceS: number): Promise<Origin> {
  const dir = mkdtempSync(join(tmpdir(), `hearth-${name}-`))
  const leash = openLeash()
  const recorder = await (name.startsWith('uvicorn') ? startReportTaker() : startRecorder())
  const port = await findFreePort(new Set())
  const cleanUp = async () => {
    await leash.close()
    rmSync(dir, { recursive: true, force: true })
  }
  try {
    const { args, env } = describers[name]({ program, dir, port, recorderPort: recorder.port, patienceS })
    const child = await startProcess(describe(name, { program, args, env, dir, port }), { logDir: dir, leash })
    const stop = () => stopOrigin(child, recorder, cleanUp)
    return { name, version: await readVersion(name, program), port, pid: child.pid, seen: recorder.seen, stop }
  } catch (error) {
    await cleanUp()
    await recorder.close()
    throw error
  }
}

/** The recorder goes last: by then the server has closed its connections, and all that it sent has been read. */
async function stopOrigin(child: RunningProcess, recorder: Recorder, cleanUp: () => Promise<void>): Promise<void> {
  await child.stop()
  await recorder.close()
  await cleanUp()
}

interface Described {
  readonly program: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv | undefined
  readonly dir: string
  readonly port: number
}

function describe(name: OriginName, { program, args, env, dir, port }: Described): ProcessSpec {
  return {
    name,
    command: program,
    args,
    env: { PATH: process.env['PATH'], HOME: dir, ...env },
    cwd: dir,
    ready: { by: 'poll', what: 'its port is open', probe: () => isOpen(port) },
    readyTimeoutMs: 20_000,
    stopTimeoutMs: 3_000,
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

async function readVersion(name: OriginName, program: string): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(program, [...versionArgs[name]], { timeout: 10_000 })
  return (stdout + stderr).split('\n')[0]?.trim() ?? ''
}

function write(dir: string, name: string, text: string): string {
  writeFileSync(join(dir, name), text)
  return join(dir, name)
}

/** The gateway's idle connections are kept longer than it keeps them. */
function startNginx({ dir, port, recorderPort, patienceS }: Place): Start {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const folders = kinds.map((kind) => `  ${kind}_temp_path ${join(dir, kind)};`).join('\n')
  const file = write(
    dir,
    'nginx.conf',
    `daemon off;
master_process off;
pid ${join(dir, 'nginx.pid')};
error_log stderr error;
events { worker_connections 512; }
http {
${folders}
  access_log off;
  client_max_body_size 32m;
  client_header_timeout ${patienceS}s;
  client_body_timeout ${patienceS}s;
  keepalive_timeout 10s;
  keepalive_requests 100000;
  upstream recorder { server 127.0.0.1:${recorderPort}; keepalive 16; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://recorder;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_next_upstream off;
      proxy_read_timeout 10s;
    }
  }
}
`,
  )
  return { args: ['-e', 'stderr', '-p', dir, '-c', file] }
}

function startHaproxy({ dir, port, recorderPort, patienceS }: Place): Start {
  const file = write(
    dir,
    'haproxy.cfg',
    `global
  maxconn 512
  nbthread 1
defaults
  mode http
  retries 0
  timeout connect 10s
  timeout client ${patienceS}s
  timeout server 10s
  timeout http-request ${patienceS}s
  timeout http-keep-alive 10s
frontend callers
  bind 127.0.0.1:${port}
  default_backend recorder
backend recorder
  http-reuse always
  server recorder 127.0.0.1:${recorderPort}
`,
  )
  return { args: ['-db', '-f', file] }
}

function startApache({ program, dir, port, recorderPort, patienceS }: Place): Start {
  const modules = join(dirname(dirname(program)), 'lib/apache2/modules')
  accessSync(modules)
  const names = ['mpm_event', 'authz_core', 'proxy', 'proxy_http', 'reqtimeout']
  const load = names.map((name) => `LoadModule ${name}_module ${join(modules, `mod_${name}.so`)}`).join('\n')
  // Apache takes no caller as root, and its workers, then nobody's, must reach the folder.
  const user = process.getuid?.() === 0 ? 'User nobody\nGroup nogroup' : ''
  const file = write(
    dir,
    'apache.conf',
    `ServerRoot ${dir}
ServerName origin.test
Listen 127.0.0.1:${port}
PidFile ${join(dir, 'apache.pid')}
DefaultRuntimeDir ${dir}
ErrorLog ${join(dir, 'error.log')}
LogLevel error
${load}
${user}
StartServers 1
ServerLimit 2
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 128
MinSpareThreads 1
MaxSpareThreads 128
Timeout ${Math.max(2, patienceS)}
KeepAliveTimeout 10
MaxKeepAliveRequests 0
RequestReadTimeout header=${patienceS} body=${patienceS}
ProxyPass / http://127.0.0.1:${recorderPort}/
`,
  )
  return { args: ['-D', 'FOREGROUND', '-d', dir, '-f', file] }
}

function startCaddy({ dir, port, recorderPort, patienceS }: Place): Start {
  const file = write(
    dir,
    'Caddyfile',
    `{
  admin off
  auto_https off
  persist_config off
  log {
    level ERROR
  }
  servers {
    timeouts {
      read_header ${patienceS}s
      read_body ${patienceS}s
      idle 10s
    }
  }
}
http://:${port} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${recorderPort}
}
`,
  )
  const env = { XDG_CONFIG_HOME: join(dir, 'config'), XDG_DATA_HOME: join(dir, 'data') }
  for (const folder of Object.values(env)) mkdirSync(folder)
  return { args: ['run', '--config', file, '--adapter', 'caddyfile'], env }
}

function startUvicorn({ port, recorderPort }: Place, http: 'h11' | 'httptools'): Start {
  const file = join(import.meta.dirname, 'fixtures/asgi_origin.py')
  const ports = ['--port', String(port), '--report', String(recorderPort)]
  return { args: ['-B', file, '--http', http, ...ports] }
}
