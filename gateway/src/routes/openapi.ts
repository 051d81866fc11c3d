import { bodySchemas } from '../body/kinds.data.ts'
import { type ErrorCode, errorTable } from '../errors.ts'
import { answerSchemas } from './answers.data.ts'
import { type JsonSchema, toJsonSchema } from './json-schema.ts'
import { type OperationText, operationTexts } from './operations.data.ts'
import { type CallerRoute, callerRoutes } from './routes.data.ts'

interface Reference {
  readonly $ref: string
}

interface Media {
  readonly schema: JsonSchema
  readonly example?: unknown
}

export interface ApiResponse {
  readonly description: string
  readonly headers?: Readonly<Record<string, Reference>>
  readonly content?: Readonly<Record<string, Media>>
}

interface Parameter {
  readonly name: string
  readonly in: 'path' | 'header'
  readonly required: boolean
  readonly description: string
  readonly schema: JsonSchema
}

export interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly description: string
  readonly security: readonly Readonly<Record<string, readonly string[]>>[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly required: true; readonly content: Readonly<Record<string, Media>> }
  readonly responses: Readonly<Record<string, ApiResponse>>
}

interface Header {
  readonly description: string
  readonly schema: JsonSchema
}

/** An OpenAPI 3.1 document, as far as ours uses it. */
export interface ApiDocument {
  readonly openapi: '3.1.1'
  readonly info: { readonly title: string; readonly version: string; readonly description: string }
  readonly servers: readonly { readonly url: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>
    readonly headers: Readonly<Record<string, Header>>
    readonly securitySchemes: Readonly<Record<string, { type: 'http'; scheme: 'bearer'; description: string }>>
  }
}

const json = 'application/json'
const requestNames = {
  chat: 'ChatRequest',
  completions: 'CompletionRequest',
  embeddings: 'EmbeddingsRequest',
  rerank: 'RankingRequest',
} as const

/** Codes that any route may answer with. */
const everywhere: readonly ErrorCode[] = [
  ...(['malformed_request', 'bad_request_line', 'bad_header', 'head_timeout'] as const),
  ...(['expectation_failed', 'too_many_headers', 'internal_error'] as const),
]
const withKey: readonly ErrorCode[] = [...everywhere, 'missing_api_key', 'invalid_api_key', 'draining']
/** Codes that no route for work answers with: nobody is there to read them, or it is another route. */
const nowhere: ReadonlySet<string> = new Set(['client_gone', 'unknown_route', 'method_not_allowed'])
const onlyOfPictures = /picture|^unsupported_content$|^model_has_no_vision$/

const headers: Readonly<Record<string, Header>> = {
  'x-request-id': { description: 'Names this request in the log of the gateway.', schema: { type: 'string' } },
  'x-hearth-dropped-fields': {
    description: 'Fields of the request that are not known here and were left out, at most 16.',
    schema: { type: 'string' },
  },
  'server-timing': {
    description:
      'Where the time went until the answer began, in milliseconds: auth, body, scan, picture, queue, connect, first-byte, and the way of the mesh. A stream tells it once more in a comment before its end.',
    schema: { type: 'string' },
  },
  'x-hearth-error-source': {
    description: 'Who made the error: the gateway, or the engine whose words it passes on.',
    schema: { type: 'string', enum: ['gateway', 'engine'] },
  },
  'retry-after': { description: 'Seconds to wait before the next try.', schema: { type: 'integer', maximum: 60 } },
  'x-should-retry': {
    description: 'Another try by a program is pointless.',
    schema: { type: 'string', enum: ['false'] },
  },
}

const about = [
  'An OpenAI-compatible API in front of a GPU at home.\n\nBodies are JSON without Content-Encoding. Fields that are not listed here are dropped and named in x-hearth-dropped-fields;',
  'for a key that was made with --strict-fields they are refused with unknown_field.',
  'Each field but the large ones (messages, prompt, input, texts, query, documents) has at most 64 KiB.',
].join(' ')

/** Describes the public API: made from the list of routes, the rules of the bodies and the table of errors. */
export function describeApi(): ApiDocument {
  const paths: Record<string, Record<string, Operation>> = {}
  for (const route of callerRoutes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: describeRoute(route) }
  }
  const requests = Object.entries(requestNames).map(([kind, name]) => [name, describeBody(kind)] as const)
  return {
    openapi: '3.1.1',
    info: { title: 'Hearth', version: '1', description: about },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: { ...Object.fromEntries(requests), ...answerSchemas, Error: errorSchema(), ErrorCode: codeSchema() },
      headers,
      securitySchemes: {
        key: {
          type: 'http',
          scheme: 'bearer',
          description: 'An API key of this gateway, in the header "Authorization: Bearer hk_…".',
        },
      },
    },
  }
}

function describeBody(kind: string): JsonSchema {
  const found = Object.entries(bodySchemas).find(([name]) => name === kind)
  return found === undefined ? {} : toJsonSchema(found[1])
}

function describeRoute(route: CallerRoute): Operation {
  const text = operationTexts[route.handler]
  const { request } = text
  return {
    operationId: route.handler,
    summary: text.summary,
    description: text.description,
    security: route.key ? [{ key: [] }] : [],
    ...describeParameters(route, text),
    ...(request === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { [json]: { schema: ref(requestNames[request.kind]), example: request.example } },
          },
        }),
    responses: { 200: describeAnswer(text), ...describeRefusals(route, text) },
  }
}

function describeParameters(route: CallerRoute, { request }: OperationText): Pick<Operation, 'parameters'> {
  if (route.path.endsWith('{id}')) return { parameters: [idParameter] }
  return request === undefined ? {} : { parameters: [traceParameter] }
}

const traceParameter: Parameter = {
  name: 'traceparent',
  in: 'header',
  required: false,
  description:
    'The W3C trace that the request belongs to: the log of the gateway bears it, and it goes on to the engine.',
  schema: { type: 'string' },
}

const idParameter: Parameter = {
  name: 'id',
  in: 'path',
  required: true,
  description: 'The id of a model, or another of its names. A "/" in it may stand as it is or as %2F.',
  schema: { type: 'string' },
}

function describeAnswer({ answer, answerType = json, chunk, request }: OperationText): ApiResponse {
  const schema: JsonSchema =
    answer === undefined ? (answerType === json ? { type: 'object' } : { type: 'string' }) : ref(answer)
  return {
    description: 'The answer',
    headers: headerRefs([
      'x-request-id',
      ...(request === undefined ? [] : ['x-hearth-dropped-fields', 'server-timing']),
    ]),
    content: {
      [answerType]: { schema },
      ...(chunk === undefined ? {} : { 'text/event-stream': { schema: ref(chunk) } }),
    },
  }
}

function describeRefusals({ key }: CallerRoute, text: OperationText): Record<string, ApiResponse> {
  const codes = text.request === undefined ? (key ? withKey : everywhere) : codesOf(text.request.kind)
  // What can be the name of no model is no route.
  const all = text.answer === 'Model' ? [...codes, ...(['model_not_found', 'unknown_route'] as const)] : codes
  const byStatus = Map.groupBy(all, (code) => errorTable[code].status)
  const statuses = [...byStatus].sort(([one], [other]) => one - other)
  const refusals = Object.fromEntries(
    statuses.map(([status, found]) => [String(status), describeRefusal(status, found)]),
  )
  if (text.saysUnavailable !== true || text.answer === undefined) return refusals
  const unavailable = {
    description: 'Some model cannot answer',
    headers: headerRefs(['x-request-id', 'retry-after']),
    content: { [json]: { schema: ref(text.answer) } },
  }
  return { ...refusals, 503: unavailable }
}

function codesOf(kind: string): readonly ErrorCode[] {
  const codes = (Object.keys(errorTable) as ErrorCode[]).filter((code) => !nowhere.has(code))
  return kind === 'chat' ? codes : codes.filter((code) => !onlyOfPictures.test(code))
}

function describeRefusal(status: number, codes: readonly ErrorCode[]): ApiResponse {
  const waits = codes.some((code) => 'retryAfterS' in errorTable[code])
  const code: JsonSchema = { enum: codes }
  const names = ['x-request-id', 'x-hearth-error-source', ...(waits ? ['retry-after'] : [])]
  return {
    description: codes.join(', '),
    headers: headerRefs([...names, ...(status >= 500 || status === 408 ? ['x-should-retry'] : [])]),
    content: { [json]: { schema: { ...ref('Error'), properties: { error: { properties: { code } } } } } },
  }
}

function errorSchema(): JsonSchema {
  const error: JsonSchema = {
    type: 'object',
    properties: {
      message: { type: 'string', description: 'For people; its words may change.' },
      type: { type: 'string', enum: [...new Set(Object.values(errorTable).map(({ type }) => type))] },
      param: { type: ['string', 'null'], description: 'The field of the request that is wrong.' },
      code: ref('ErrorCode'),
    },
    required: ['message', 'type', 'param', 'code'],
    additionalProperties: false,
  }
  return { type: 'object', properties: { error }, required: ['error'], additionalProperties: false }
}

function codeSchema(): JsonSchema {
  const codes = Object.entries(errorTable).filter(([code]) => code !== 'client_gone')
  return {
    type: 'string',
    description: 'Stable: programs decide by it.',
    oneOf: codes.map(([code, { status, text }]) => ({ const: code, title: String(status), description: text })),
  }
}

function headerRefs(names: readonly string[]): Record<string, Reference> {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}

function ref(name: string): Reference {
  return { $ref: `#/components/schemas/${name}` }
}
