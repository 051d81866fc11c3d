import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import type { FakeEngine } from './fake-engine.ts'
import { assertNothingLeft, type Gateway } from './harness.ts'
import { ErrorBodies } from './hygiene.ts'
import { throwAt } from './malformed.ts'
import { inParallel, Tallies } from './seeded.ts'
import { finalAnswers } from './strict-http.ts'
import { chatBody, chatPath, startPair } from './wire.ts'

const counter = join(import.meta.dirname, 'count-zlib.mjs')
const honest = Buffer.from(chatBody())
/** 32 MiB in a few bytes. */
const zeros = Buffer.alloc(32 * 1024 * 1024)
const bodies: Readonly<Record<string, Buffer>> = {
  gzip: gzipSync(honest),
  'gzip bomb': gzipSync(zeros),
  'gzip of gzip': gzipSync(gzipSync(zeros)),
  br: brotliCompressSync(honest),
  'br bomb': brotliCompressSync(zeros),
  deflate: deflateSync(honest),
  'deflate bomb': deflateSync(zeros),
  'zstd bomb': zstdCompressSync(zeros),
  'not compressed': honest,
  'half a gzip': gzipSync(honest).subarray(0, 20),
}
const codings: readonly string[] = [
  ...['gzip', 'br', 'deflate', 'zstd', 'compress', 'x-gzip', 'gzip, gzip', 'gzip,br', 'br, gzip, deflate', 'identity'],
  ...['GZIP', 'Gzip', 'BR', 'iDeNtItY', '', ' ', 'gzip;q=1', 'aes128gcm', 'exi', 'dcb', 'pack200-gzip', '*', ', gzip'],
]

describe('R16 compressed bodies', () => {
  let engine: FakeEngine
  let gateway: Gateway
  const errors = new ErrorBodies()
  before(async () => {
    ;({ engine, gateway } = await startPair({ env: { NODE_OPTIONS: `--import=${counter}` } }))
  })
  after(async () => {
    await engine.close()
  })

  const send = async (coding: string | undefined, body: Buffer, path = chatPath): Promise<number> => {
    const header = coding === undefined ? '' : `Content-Encoding: ${coding}\r\n`
    const text = `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${gateway.key}\r\n${header}Content-Length: ${body.length}\r\n\r\n${body.toString('latin1')}`
    const [answer] = finalAnswers(await throwAt(gateway.port, text, 10_000))
    if (answer === undefined) throw new Error(`no answer to ${coding}`)
    if (coding !== undefined) assert.equal(errors.take(answer), 'encoded_body', `${coding}`)
    return answer.status
  }

  it('are refused with 415 whatever their coding is called and whatever they hold', async () => {
    const cases = codings.flatMap((coding) => Object.values(bodies).map((body) => ({ coding, body })))
    const seen = new Tallies<number>()
    await inParallel(cases, 8, async ({ coding, body }) => seen.add(await send(coding, body)))
    console.log(`${codings.length} codings × ${Object.keys(bodies).length} bodies: ${seen}`)
    assert.equal(seen.get(415), cases.length)
    assert.equal(engine.counts().requests, 0)
    assert.equal(errors.check(), 1)
  })

  it('cost no more than any other refusal: neither time nor memory', async () => {
    const bomb = bodies['br bomb'] ?? honest
    const rounds = Array.from({ length: 300 })
    const costOf = async (coding: string | undefined, path: string): Promise<{ cpuMs: number; rssBytes: number }> => {
      const before = usageOf(gateway.pid)
      await inParallel(rounds, 8, async () => void (await send(coding, bomb, path)))
      const now = usageOf(gateway.pid)
      return { cpuMs: now.cpuMs - before.cpuMs, rssBytes: now.rssBytes - before.rssBytes }
    }
    await costOf('br', chatPath)
    const plain = await costOf(undefined, '/nowhere')
    const encoded = await costOf('br', chatPath)
    console.log(
      `300 × ${bomb.length} bytes that stand for 32 MiB: ${show(encoded)}; a path that is not there: ${show(plain)}`,
    )
    assert.ok(encoded.cpuMs < 100 * Math.max(plain.cpuMs, 10))
    assert.ok(encoded.rssBytes < zeros.length, 'as much memory as one of them inflated')
  })

  it('are never opened: the process has not made one handle of a decompressor', async () => {
    const control = await promisify(execFile)(process.execPath, [
      `--import=${counter}`,
      '-e',
      'const z = require("zlib"); z.gunzipSync(z.gzipSync("x")); z.brotliCompressSync("x"); z.createInflateRaw()',
    ])
    assert.deepEqual(JSON.parse(control.stdout), { message: 'zlib', handles: 4 })
    await assertNothingLeft(gateway, engine)
    const said = gateway.logs().findLast(({ message }) => message === 'zlib')
    console.log(`${said?.['handles']} handles in the gateway, 4 of 4 in the control`)
    assert.equal(said?.['handles'], 0)
  })
})

/** Processor time and resident memory of a process. */
function usageOf(pid: number): { cpuMs: number; rssBytes: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  const [user = 0, system = 0] = fields.slice(11, 13).map(Number)
  return { cpuMs: (user + system) * 10, rssBytes: Number(fields[21]) * 4096 }
}

function show({ cpuMs, rssBytes }: { cpuMs: number; rssBytes: number }): string {
  return `${cpuMs} ms of processor, ${(rssBytes / 1024 / 1024).toFixed(1)} MiB`
}
