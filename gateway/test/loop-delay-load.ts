/** Keeps four hostile bodies of 10 MiB in flight against a server until it is killed: `node … URL AUTHORIZATION`. */
import { Agent, request } from 'node:http'

const bytes = 10 * 2 ** 20
const inFlight = 4
const start = '{"model":"qwen2.5-vl-tiny","messages":[{"role":"user","content":"'
/** Wrong at the very end, so that all of it is read and nothing goes on to the engine. */
const end = '"n":5}'
const fill = (piece: string) => piece.repeat(Math.floor(bytes / piece.length))
const field = (value: string) => `${start}"}],"x":${value},${end}`

const bodies = [
  `${start}${fill('\\n')}"}],${end}`,
  `${start}${fill('\\ud83d\\ude00')}"}],${end}`,
  `${start}${fill('A line of \\"text\\".\\n')}"}],${end}`,
  field(`[${fill('0,')}0]`),
  field(`[${fill(`${'['.repeat(60)}${']'.repeat(60)},`)}0]`),
  field(`{${Array.from({ length: 99_000 }, (_, key) => `"${String(key).padEnd(94, 'k')}":{}`).join()}}`),
  field(`[${fill('"",')}0]`),
  field('['.repeat(bytes)),
].map((text) => Buffer.from(text))

const [url = '', authorization = ''] = process.argv.slice(2)
const agent = new Agent({ keepAlive: true, maxSockets: inFlight })
const headers = { 'content-type': 'application/json', ...(authorization === '' ? {} : { authorization }) }

function send(turn: number): void {
  const next = () => send(turn + 1)
  const body = bodies[turn % bodies.length]
  const sending = request(`${url}/v1/chat/completions`, { method: 'POST', agent, headers }, (response) => {
    response.resume().on('end', () => {
      process.send?.({ status: response.statusCode })
      next()
    })
  })
  sending.on('error', next)
  sending.end(body)
}

process.on('disconnect', () => process.exit())
process.send?.('ready')
for (let lane = 0; lane < inFlight; lane += 1) send(lane * 2)
