import type { Behaviour } from '../fake-engine.ts'
import { model } from '../wire.ts'

/** Answers that the scripted engine does not compose itself, byte for byte as vLLM writes them. */

const head = { id: 'chatcmpl-scripted', created: 1_700_000_000, model }
const usage = { prompt_tokens: 21, completion_tokens: 9, total_tokens: 30 }

/** A plain answer of one choice with these fields of a message. */
export function plain(message: object, finish: string, choice: object = {}): Behaviour {
  const whole = { role: 'assistant', content: null, ...message }
  const choices = [{ index: 0, message: whole, logprobs: null, finish_reason: finish, ...choice }]
  const body = Buffer.from(JSON.stringify({ ...head, object: 'chat.completion', choices, usage }))
  const lines = ['HTTP/1.1 200 OK', 'content-type: application/json', `content-length: ${body.length}`]
  return { raw: `${lines.join('\r\n')}\r\n\r\n${body.toString('latin1')}` }
}

/** A stream of one choice: one event for each delta, the last with the reason, then the usage, then `[DONE]`. */
export function streamed(deltas: readonly object[], finish: string, choice: object = {}): Behaviour {
  const event = (rest: object) => `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', ...rest })}\n\n`
  const events = [{ role: 'assistant', content: '' }, ...deltas].map((delta) =>
    event({ choices: [{ index: 0, delta, logprobs: null, finish_reason: null, ...choice }] }),
  )
  const last = event({ choices: [{ index: 0, delta: {}, finish_reason: finish }] })
  const body = Buffer.from([...events, last, event({ choices: [], usage }), 'data: [DONE]\n\n'].join(''))
  const lines = ['HTTP/1.1 200 OK', 'content-type: text/event-stream; charset=utf-8', 'transfer-encoding: chunked']
  const chunk = `${body.length.toString(16)}\r\n${body.toString('latin1')}\r\n0\r\n\r\n`
  return { raw: `${lines.join('\r\n')}\r\n\r\n${chunk}` }
}
