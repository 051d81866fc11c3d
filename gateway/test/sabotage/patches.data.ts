import { logPatches } from './log-patches.data.ts'
import { meteringPatches } from './metering-patches.data.ts'
import { metricsPatches } from './metrics-patches.data.ts'

/** One control of the edge, taken away. */
export interface Patch {
  readonly name: string
  /** The row of the acceptance list that the control belongs to. */
  readonly row: string
  readonly file: string
  /** Stands exactly once in the file. */
  readonly was: string
  readonly text: string
  /** Where it must be seen: a test file, and the name of the test in it or a piece of that. */
  readonly seenBy: { readonly file: string; readonly test: string }
}

const precheck = { file: 'gateway/test/precheck.wire.test.ts', test: 'refuses 13 of 13 kinds of ambiguous requests' }
const refusedBody = {
  file: 'gateway/test/edge.wire.test.ts',
  test: 'refuses compressed bodies and bodies over the limit',
}
const budget = 'gateway/src/body/budget.test.ts'
const fields = 'gateway/src/body/fields.test.ts'
const scan = 'gateway/src/body/scan.test.ts'
const read = 'gateway/src/body/read.test.ts'
const bodyWire = 'gateway/test/body.wire.test.ts'
const edgeWire = 'gateway/test/edge.wire.test.ts'
const headers = 'gateway/src/upstream/headers.test.ts'
const realClients = 'gateway/test/clients/scripted.client.test.ts'

/** Each takes away one control; a suite that stays green with one of them proves nothing about it. */
export const patches: readonly Patch[] = [
  {
    name: 'two hosts pass',
    row: 'R04',
    file: 'gateway/src/edge/verdict.ts',
    was: "...['host', 'content-length',",
    text: "...['content-length',",
    seenBy: precheck,
  },
  {
    name: 'any number of headers passes',
    row: 'R04',
    file: 'gateway/src/edge/verdict.ts',
    was: 'rawHeaders.length / 2 <= headersMax',
    text: 'rawHeaders.length >= 0',
    seenBy: precheck,
  },
  {
    name: 'header names of other characters pass',
    row: 'R06',
    file: 'gateway/src/edge/verdict.ts',
    was: '!headerName.test(name)',
    text: "name === ''",
    seenBy: precheck,
  },
  {
    name: 'any authority passes as a host',
    row: 'R04',
    file: 'gateway/src/edge/verdict.ts',
    was: '/^(?:[A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(?::(\\d{1,5}))?$/',
    text: '/^.*?(?::(\\d{1,5}))?$/',
    seenBy: { file: 'gateway/src/edge/verdict.test.ts', test: 'a host is a name or an address' },
  },
  {
    name: 'HTTP/1.0 may be chunked',
    row: 'R04',
    file: 'gateway/src/edge/verdict.ts',
    was: `if (httpVersion === '1.0') return badHeader('HTTP/1.0 has no "transfer-encoding".')`,
    text: '',
    seenBy: { file: 'gateway/src/edge/verdict.test.ts', test: 'each rule has its code' },
  },
  {
    name: 'trailers that were not announced pass',
    row: 'R04',
    file: 'gateway/src/app.ts',
    was: 'app.use(refuseTrailers)',
    text: '',
    seenBy: precheck,
  },
  {
    name: 'a path is decoded before it is looked up',
    row: 'R05',
    file: 'gateway/src/edge/precheck.ts',
    was: 'return query < 0 ? target : target.slice(0, query)',
    text: "return decodeURI((query < 0 ? target : target.slice(0, query)).replaceAll('//', '/'))",
    seenBy: { file: edgeWire, test: 'refuses unknown routes, also those that only normalise' },
  },
  {
    name: 'the body is read before the key',
    row: 'R11',
    file: 'gateway/src/edge/authenticate.ts',
    was: "const request = c.get('request')",
    text: "const request = c.get('request')\n    await c.req.arrayBuffer()",
    seenBy: { file: edgeWire, test: 'answers 401 before it has read a byte' },
  },
  {
    name: 'everybody is told to go on with the body',
    row: 'R11',
    file: 'gateway/src/edge/front-door.ts',
    was: "incoming.once('resume', () => (outgoing.socket === null ? outgoing.once('socket', goOn) : goOn()))",
    text: 'goOn()',
    seenBy: { file: 'gateway/test/unread.wire.test.ts', test: 'tells nobody without a key to go on with the body' },
  },
  {
    name: 'the page of any origin may read answers',
    row: 'R30',
    file: 'gateway/src/edge/cors.ts',
    was: "!(allowed.has(origin) || allowed.has('*'))",
    text: 'allowed.size === 0',
    seenBy: { file: 'gateway/test/cors.wire.test.ts', test: 'takes an origin letter by letter' },
  },
  {
    name: 'compressed bodies are read',
    row: 'R16',
    file: 'gateway/src/body/read.ts',
    was: "if (incoming.headers['content-encoding'] !== undefined) throw new HearthError('encoded_body')",
    text: '',
    seenBy: refusedBody,
  },
  {
    name: 'a body is measured by what it announces alone',
    row: 'R14',
    file: 'gateway/src/body/body-buffer.ts',
    was: 'if (needed > this.#bytesMax) throw tooLarge(this.#bytesMax)',
    text: '',
    seenBy: { file: read, test: 'a chunked body is counted as it arrives' },
  },
  {
    name: 'all bodies together may be as large as they like',
    row: 'R14',
    file: 'gateway/src/body/budget.ts',
    was: "if (this.#bytesHeld + more > this.#limits.bytesMax) throw new HearthError('body_budget')",
    text: '',
    seenBy: { file: budget, test: 'the budget is one for all holders together' },
  },
  {
    name: 'a slow body is waited for',
    row: 'R11',
    file: 'gateway/src/body/read.ts',
    was: 'if (target.length - before < wanted) giveUp()',
    text: '',
    seenBy: { file: read, test: 'silence over one idleMs ends in body_timeout' },
  },
  {
    name: 'a key may stand twice',
    row: 'R15',
    file: 'gateway/src/body/walk.ts',
    was: 'if (seen.includes(name)) throw',
    text: 'if (this.depth < 0) throw',
    seenBy: { file: bodyWire, test: 'is refused where an engine might read it in another way' },
  },
  {
    name: 'a key of ours may be written with escapes',
    row: 'R15',
    file: 'gateway/src/body/walk.ts',
    was: 'if (this.escaped) throw invalid(',
    text: 'if (this.depth < 0) throw invalid(',
    seenBy: { file: scan, test: 'refuses what an engine might read in another way than we do' },
  },
  {
    name: 'a body may be as deep as it likes',
    row: 'R15',
    file: 'gateway/src/body/lexer.ts',
    was: 'if (this.depth >= depthMax) throw invalid(',
    text: 'if (this.depth < 0) throw invalid(',
    seenBy: { file: scan, test: 'stops at 64 levels' },
  },
  {
    name: 'fields that reach into the engine pass',
    row: 'R18',
    file: 'gateway/src/body/walk.ts',
    was: 'if (names.includes(name)) throw refusedKey(code, this.#path)',
    text: 'void [code, names]',
    seenBy: { file: bodyWire, test: 'is refused where a field reaches into the engine' },
  },
  {
    name: 'a dropped field reaches the engine all the same',
    row: 'R18',
    file: 'gateway/src/body/fields.ts',
    was: '...cutOut(bytes, field.value, field.cuts)',
    text: '...cutOut(bytes, field.value, [])',
    seenBy: { file: bodyWire, test: 'loses the uuid of a picture' },
  },
  {
    name: 'numbers are as large as the caller likes',
    row: 'R18',
    file: 'gateway/src/body/walk.ts',
    was: 'if (!isNumber(schema, this.numberFrom(start))) throw',
    text: 'if (this.depth < 0) throw',
    seenBy: { file: bodyWire, test: 'is refused where a value is beyond its bound' },
  },
  {
    name: 'the engine may fetch pictures',
    row: 'R31',
    file: 'gateway/src/body/content.ts',
    was: '!plain.startsWith(inlined)',
    text: "plain === ''",
    seenBy: { file: bodyWire, test: 'is refused where the engine would fetch something' },
  },
  {
    name: 'a picture is as large as it says',
    row: 'R17',
    file: 'gateway/src/vision/pictures.ts',
    was: 'width > pictureSideMax || height > pictureSideMax || width * height > picturePixelsMax',
    text: 'width < 0',
    seenBy: { file: bodyWire, test: 'is refused where its picture is a bomb' },
  },
  {
    name: 'pictures may move',
    row: 'R17',
    file: 'gateway/src/vision/pictures.ts',
    was: 'if (frames > 1) throw',
    text: 'if (frames > 1e9) throw',
    seenBy: { file: bodyWire, test: 'is refused where its picture is a bomb' },
  },
  {
    name: 'the caller chooses the id that the engine sees',
    row: 'R06',
    file: 'gateway/src/routes/inference.ts',
    was: 'requestId: request.id,',
    text: "requestId: String(c.env.incoming.headers['x-request-id'] ?? request.id),",
    seenBy: { file: edgeWire, test: "tells the engine none of the caller's headers" },
  },
  {
    name: 'every header of the engine reaches the caller',
    row: 'R06',
    file: 'gateway/src/upstream/relay.ts',
    was: 'this.#head = { ...plainHeaders,',
    text: 'this.#head = { ...(headers as Record<string, string>), ...plainHeaders,',
    seenBy: { file: edgeWire, test: "passes only listed headers of the engine's answer" },
  },
  {
    name: 'redirects pass',
    row: 'R08',
    file: 'gateway/src/upstream/headers.ts',
    was: 'if (status >= 300 && status < 400) return',
    text: 'if (status >= 300 && status < 400) return undefined\n  if (status < 0) return',
    seenBy: { file: 'gateway/test/relay.wire.test.ts', test: 'engine_bad_answer when the engine redirects' },
  },
  {
    name: 'compressed answers pass',
    row: 'R16',
    file: 'gateway/src/upstream/headers.ts',
    was: "if (encoding !== undefined && encoding !== 'identity') return 'a compressed body'",
    text: '',
    seenBy: { file: 'gateway/test/relay.wire.test.ts', test: 'engine_bad_answer when the engine compresses' },
  },
  {
    name: 'an answer with two framings passes',
    row: 'R08',
    file: 'gateway/src/upstream/headers.ts',
    was: "if (coding !== undefined && length !== undefined) return 'two framings'",
    text: '',
    seenBy: { file: headers, test: 'is framed twice or is no answer of a model does not pass' },
  },
  {
    name: 'an answer is as long as the engine likes',
    row: 'R08',
    file: 'gateway/src/upstream/outlet.ts',
    was: 'if (this.#bytesOut + bytes <= answerBytesMax) return',
    text: 'if (answerBytesMax > 0) return',
    seenBy: { file: 'gateway/src/upstream/relay.test.ts', test: 'when they grow past the limit' },
  },
  {
    name: 'a key may use every model',
    row: 'R26',
    file: 'gateway/src/keys/keyring.ts',
    was: 'models === undefined || names.some((one) => models.includes(one))',
    text: 'models === undefined || names.length > 0',
    seenBy: { file: 'gateway/test/routes.wire.test.ts', test: 'a model that the key may not use does not exist' },
  },
  {
    name: 'the line counts for the whole deadline',
    row: 'R35',
    file: 'gateway/src/routes/inference.ts',
    was: '  request.deadline.pause()\n',
    text: '',
    seenBy: { file: 'gateway/test/deadlines.wire.test.ts', test: 'counts for none of the four time limits' },
  },
  {
    name: 'a whole deadline that stands still goes on',
    row: 'R35',
    file: 'gateway/src/edge/whole-deadline.ts',
    was: '    this.#spent = standStill(this.#spent, now)\n',
    text: '',
    seenBy: { file: 'gateway/src/edge/whole-deadline.test.ts', test: 'while it stands still' },
  },
  {
    name: 'the time limits of a model win over those of a key',
    row: 'R35',
    file: 'gateway/src/routing/timeouts.ts',
    was: '{ ...section, ...model, ...key }',
    text: '{ ...section, ...key, ...model }',
    seenBy: { file: 'gateway/src/routing/timeouts.test.ts', test: 'each time limit is the key' },
  },
  {
    name: "undici's 300 s without a word are back",
    row: 'R35',
    file: 'gateway/src/upstream/transport.ts',
    was: '      bodyTimeout: 0,\n',
    text: '',
    seenBy: { file: 'gateway/test/default-clocks.wire.test.ts', test: 'no default cuts' },
  },
  {
    name: "Node's 300 s for a request are back",
    row: 'R35',
    file: 'gateway/src/main.ts',
    was: 'requestTimeout: 0,',
    text: 'requestTimeout: 300_000,',
    seenBy: { file: 'gateway/test/default-clocks.wire.test.ts', test: 'no default cuts' },
  },
  {
    name: 'unknown settings of a key pass',
    row: 'R16',
    file: 'gateway/src/keys/keys-file.ts',
    was: 'const heartbeatSchema = z.strictObject({',
    text: 'const heartbeatSchema = z.object({',
    seenBy: { file: 'gateway/src/keys/keys-file.test.ts', test: 'a setting that nobody knows is refused' },
  },
  {
    name: 'a list of models tells what an engine calls them',
    row: 'R60',
    file: 'gateway/src/routes/models.ts',
    was: "    owned_by: 'hearth',",
    text: "    owned_by: 'hearth',\n    root: model.served,",
    seenBy: { file: 'gateway/test/models.wire.test.ts', test: 'no answer, header or description holds' },
  },
  {
    name: 'callers share what the engine remembers',
    row: 'R18',
    file: 'gateway/src/body/fields.ts',
    was: "set.cacheSalt === undefined ? ''",
    text: "set.cacheSalt !== undefined ? ''",
    seenBy: { file: fields, test: 'the body for the engine has the fields in the order of the table' },
  },
  {
    name: 'words of the inside reach the caller',
    row: 'R60',
    file: 'gateway/src/upstream/engine-error.ts',
    was: "if (said === undefined || message === '' || isInner(said.message))",
    text: 'if (said === undefined)',
    seenBy: { file: 'gateway/src/upstream/engine-error.test.ts', test: 'words of the inside do not reach the caller' },
  },
  {
    name: 'details of a failure reach the caller',
    row: 'R60',
    file: 'gateway/src/errors.ts',
    was: 'super(details.message ?? errorTable[code].text',
    text: 'super(details.message ?? details.detail ?? errorTable[code].text',
    seenBy: {
      file: 'gateway/src/errors.test.ts',
      test: 'a HearthError keeps its cause, its detail and its own message apart',
    },
  },
  {
    name: 'clients are not told to leave a broken answer alone',
    row: 'R39',
    file: 'gateway/src/errors.ts',
    was: "else if (row.status >= 500 || row.status === 408) headers['x-should-retry'] = 'false'",
    text: '',
    seenBy: { file: realClients, test: 'openai (npm): the engine dies before it answers (502)' },
  },
  {
    name: 'clients are not told when to come back',
    row: 'R39',
    file: 'gateway/src/errors.ts',
    was: "headers['retry-after'] = String(row.retryAfterS)",
    text: "headers['retry-after'] = ''",
    seenBy: { file: realClients, test: 'openai (npm): a full line (429), tried again by the client itself' },
  },
  {
    name: 'clients are not told which field is wrong',
    row: 'R60',
    file: 'gateway/src/errors.ts',
    was: 'param: error.param ?? null',
    text: 'param: null',
    seenBy: { file: realClients, test: 'openai (npm): a bad field (400, with its name)' },
  },
  ...logPatches,
  ...metricsPatches,
  ...meteringPatches,
]
