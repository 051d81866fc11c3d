/** Keeps four hostile bodies of 10 MiB in flight against a server until it is killed: `node … URL AUTHORIZATION`. */
import { Agent, request } from 'node:http'
import { hostileBodies } from './hostile-json.ts'

const inFlight = 4
const bodies = hostileBodies()
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
