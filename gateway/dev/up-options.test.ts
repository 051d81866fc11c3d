import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { readUpOptions } from './up-options.ts'
import { describeYourEngine, describeYourModel, UsageError } from './your-engine.ts'

describe('the flags of npm start', () => {
  it('are the documented ones, with files meant from where the person stands', () => {
    const options = readUpOptions(['--direct', '--model', 'm.gguf', '--mmproj=p.gguf', '--port', '0'], '/home/me')
    assert.equal(options.model, '/home/me/m.gguf')
    assert.equal(options.mmproj, '/home/me/p.gguf')
    assert.deepEqual([options.direct, options.port, options.pagePort], [true, 0, 8501])
  })

  it('are refused when unknown, contradictory or not a number', () => {
    for (const args of [
      ['--nope'],
      ['x'],
      ['--port', 'eighty'],
      ['--port', '70000'],
      ['--mmproj', 'p'],
      ['--engine', 'http://x', '--model', 'm'],
    ])
      assert.throws(() => readUpOptions(args, '/'), UsageError, args.join(' '))
  })
})

describe('your own engine', () => {
  it('is asked for its models, and a path as a name becomes a public id', async () => {
    const data = [{ id: '/models/Some Model.gguf', owned_by: 'vllm', max_model_len: 8192 }]
    const keys: unknown[] = []
    const server = createServer((request, response) => {
      keys.push(request.headers.authorization)
      response.end(JSON.stringify({ object: 'list', data }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const engine = await describeYourEngine(`${url}/v1/`, 'secret')
    const close = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await close
    assert.deepEqual(keys, ['Bearer secret'])
    const model = {
      id: 'Some-Model',
      served: '/models/Some Model.gguf',
      context: 8192,
      vision: { coordinates: 'none' },
    }
    assert.deepEqual(engine, { from: 'address', url, kind: 'vllm', capacity: 16, models: [model] })
  })

  it('is refused with the fix when the address is none or nobody answers', async () => {
    for (const address of ['nope', 'ftp://x', 'http://u:p@x', 'http://x/other'])
      await assert.rejects(describeYourEngine(address, undefined), /wants http\(s\):\/\/HOST/, address)
    await assert.rejects(describeYourEngine('http://127.0.0.1:9', undefined), /Is the engine running/)
  })

  it('wants model files that exist', () => {
    assert.throws(
      () => describeYourModel('/nonexistent.gguf', undefined),
      /--model "\/nonexistent.gguf": there is no such/,
    )
    const { id, mmproj } = describeYourModel(import.meta.filename, import.meta.filename)
    assert.equal(id, 'up-options.test.ts')
    assert.equal(mmproj, import.meta.filename)
  })
})
