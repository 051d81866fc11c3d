import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { clientOf } from './client.ts'

test('a client is called by its name and version where it is a known one', () => {
  const names = {
    'OpenAI/Python 1.99.2': 'OpenAI/Python 1.99.2',
    'AsyncOpenAI/Python 2.0.0': 'AsyncOpenAI/Python 2.0.0',
    'OpenAI/JS 7.57.0': 'OpenAI/JS 7.57.0',
    'ai/5.0.1 ai-sdk/provider-utils/3.0.0 runtime/node.js/24': 'ai 5.0.1',
    'ai-sdk/openai-compatible/1.0.3 runtime/node.js': 'ai-sdk/openai-compatible 1.0.3',
    'curl/8.14.1': 'curl 8.14.1',
    'python-requests/2.32.0': 'python-requests 2.32.0',
    node: 'node',
    'Mozilla/5.0 (X11; Linux x86_64) Chrome/140': 'Mozilla 5.0',
  }
  for (const [text, name] of Object.entries(names)) equal(clientOf(text), name)
  equal(clientOf(undefined), undefined)
})

test('nothing of another text, or behind the version, is told', () => {
  for (const text of ['', 'secret', 'curlsecret', 'node-secret/1', 'xcurl/8', ' curl/8', 'HK_1'])
    equal(clientOf(text), 'other', text)
  for (const text of ['curl/secret', 'curl/1secret', 'curl/1.2-secret', 'curl 12345', 'curl secret', 'curl'])
    equal(clientOf(text), 'curl', text)
  equal(clientOf('curl/8.1 secret'), 'curl 8.1')
})
