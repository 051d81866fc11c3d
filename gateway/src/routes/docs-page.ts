import { docsStyle } from './docs-style.ts'
import type { JsonSchema } from './json-schema.ts'
import type { ApiDocument, ApiResponse, Operation } from './openapi.ts'

/** The description of the API as one page of HTML that loads nothing, runs nothing and links nowhere else. */
export function renderDocs(document: ApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )
  const [lead = '', ...rest] = document.info.description.split('\n\n')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(document.info.title)} API</title>
<style>${docsStyle}</style>
</head>
<body>
<header><div class="column">
<p class="name">${flame}${escapeHtml(document.info.title)}</p>
<h1>The API of this gateway</h1>
<p class="lead">${escapeHtml(lead)}</p>
</div></header>
<main class="column">
<section aria-labelledby="start"><h2 id="start">Begin</h2>
<p>${escapeHtml(document.components.securitySchemes['key']?.description ?? '')} For programs, this page is <a href="/openapi.json">openapi.json</a>.</p>
${rest.map((text) => `<p>${escapeHtml(text)}</p>`).join('\n')}
<pre><code>export HEARTH=…   # the address of this page, without /docs
export KEY=hk_…
curl $HEARTH/v1/models -H "Authorization: Bearer $KEY"</code></pre>
</section>
<nav aria-labelledby="routes"><h2 id="routes">Routes</h2><ul>
${operations.map(({ path, method, operation }) => `<li><a href="#${operation.operationId}">${badge(method)}<code>${breakable(path)}</code><span>${escapeHtml(operation.summary)}</span></a></li>`).join('\n')}
</ul></nav>
${operations.map(({ path, method, operation }) => renderOperation(document, path, method, operation)).join('\n')}
<section aria-labelledby="errors"><h2 id="errors">Errors</h2>
<p>Every error has one shape, and a code that stays:</p>
<pre><code>{"error":{"message":"…","type":"…","param":null,"code":"…"}}</code></pre>
${renderCodes(document.components.schemas['ErrorCode'])}
</section>
</main>
</body>
</html>
`
}

function renderOperation(document: ApiDocument, path: string, method: string, operation: Operation): string {
  const media = operation.requestBody?.content['application/json']
  const schema = media === undefined ? undefined : resolve(document, media.schema)
  const example = media === undefined ? '' : renderExample(path, media.example)
  const fields = schema === undefined ? '' : `<h3>Fields</h3>${renderFields(schema, true)}${renderRefused(schema)}`
  const parameters = (operation.parameters ?? []).map(
    ({ name, in: place, description }) =>
      `<p><code>${escapeHtml(place === 'path' ? `{${name}}` : name)}</code> ${place === 'path' ? '' : 'Header, optional. '}${escapeHtml(description)}</p>`,
  )
  const key = operation.security.length === 0 ? '<span class="note">no key</span>' : ''
  return `<section class="operation" aria-labelledby="${operation.operationId}">
<h2 id="${operation.operationId}">${badge(method)}<code>${breakable(path)}</code>${key}</h2>
<p>${escapeHtml(operation.summary.replace(/[^?]$/, '$&.'))} ${escapeHtml(operation.description)}</p>
${parameters.join('')}${example}${fields}
<h3>Answers</h3><dl class="answers">
${Object.entries(operation.responses)
  .map(([status, response]) => renderAnswer(document, status, response))
  .join('\n')}
</dl></section>`
}

function renderExample(path: string, example: unknown): string {
  const body = JSON.stringify(example, null, 2).replaceAll("'", String.raw`'\''`)
  return `<pre><code>curl $HEARTH${escapeHtml(path)} \\
  -H "Authorization: Bearer $KEY" \\
  -H "Content-Type: application/json" \\
  -d '${escapeHtml(body)}'</code></pre>`
}

/** `asked`: fields of a request, where it matters which ones must be there. */
function renderFields(schema: JsonSchema, asked: boolean): string {
  const needed = new Set(schema.required ?? [])
  const either = new Set((schema.oneOf ?? []).flatMap(({ required = [] }) => required))
  const items = Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const mark = !asked ? '' : needed.has(name) ? 'required' : either.has(name) ? 'one of these' : ''
    const inner = innerObject(field)
    const more =
      inner === undefined ? '' : `<details><summary>its fields</summary>${renderFields(inner, asked)}</details>`
    const words = field.description === undefined ? '' : `<p>${escapeHtml(field.description)}</p>`
    return `<li><code class="field">${escapeHtml(name)}</code> <span class="type">${escapeHtml(describeType(field))}</span>${mark === '' ? '' : ` <span class="note">${mark}</span>`}${words}${more}</li>`
  })
  return `<ul class="fields">${items.join('')}</ul>`
}

function renderRefused({ propertyNames }: JsonSchema): string {
  const names = (propertyNames?.not?.anyOf ?? []).flatMap(({ enum: listed = [], pattern }) => [
    ...listed.map(String),
    ...(pattern === undefined ? [] : [`${pattern.slice(1)}…`]),
  ])
  if (names.length === 0) return ''
  return `<details><summary>${names.length} fields that are refused</summary><p>${names.map((name) => `<code>${escapeHtml(name)}</code>`).join(' ')}</p></details>`
}

function renderAnswer(document: ApiDocument, status: string, { description, content = {} }: ApiResponse): string {
  const schema = content['application/json']?.schema
  const codes = schema?.properties?.['error']?.properties?.['code']?.enum
  if (codes !== undefined) {
    const links = codes.map(
      (code) => `<a href="#code-${escapeHtml(String(code))}"><code>${escapeHtml(String(code))}</code></a>`,
    )
    return `<dt>${status}</dt><dd>${links.join(' ')}</dd>`
  }
  const shape = schema === undefined ? undefined : resolve(document, schema)
  const fields = shape?.properties === undefined ? '' : renderFields(shape, false)
  const stream = content['text/event-stream']?.schema
  const chunk = stream === undefined ? undefined : resolve(document, stream)
  return `<dt>${status}</dt><dd>${escapeHtml(description)}${fields}${chunk === undefined ? '' : renderChunk(chunk)}</dd>`
}

function renderChunk(chunk: JsonSchema): string {
  const fields = `<details><summary>fields of a chunk</summary>${renderFields(chunk, false)}</details>`
  return `<p>As a stream: ${escapeHtml(chunk.description ?? '')}</p>${fields}`
}

function renderCodes(schema: JsonSchema | undefined): string {
  const byStatus = Map.groupBy(schema?.oneOf ?? [], ({ title }) => title ?? '')
  const groups = [...byStatus].sort(([one], [other]) => Number(one) - Number(other))
  const rows = groups.map(([status, codes]) => {
    const entries = codes.map(
      ({ const: code = '', description = '' }) =>
        `<dt id="code-${escapeHtml(code)}"><code>${escapeHtml(code)}</code></dt><dd>${escapeHtml(description)}</dd>`,
    )
    return `<h3>${escapeHtml(status)}</h3><dl class="codes">${entries.join('')}</dl>`
  })
  return rows.join('\n')
}

const typeWords: Readonly<Record<string, string>> = {
  boolean: 'true or false',
  integer: 'whole number',
  number: 'number',
  string: 'text',
  object: 'object',
  null: 'null',
}

/** What a value may be, in a few words. That null is as good as nothing is not repeated. */
function describeType(schema: JsonSchema): string {
  if (schema.$ref !== undefined) return schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1)
  if (schema.anyOf !== undefined)
    return schema.anyOf
      .filter(({ type }) => type !== 'null')
      .map(describeType)
      .join(', or ')
  const type = [schema.type ?? []].flat().find((one) => one !== 'null')
  const values = schema.enum?.filter((value) => value !== null)
  if (type === 'string' && values !== undefined) return values.join(' | ')
  if (type === 'array') {
    const most = schema.maxItems === undefined ? '' : `at most ${show(schema.maxItems)}, `
    return `list (${most}each ${describeType(schema.items ?? {})})`
  }
  return `${typeWords[type ?? 'null'] ?? ''}${describeRange(schema)}`
}

function describeRange({ minimum, maximum, maxLength, maxProperties }: JsonSchema): string {
  if (maxLength !== undefined) return `, at most ${show(maxLength)} characters`
  if (maxProperties !== undefined) return `, at most ${show(maxProperties)} keys`
  if (maximum === undefined) return minimum === undefined ? '' : `, at least ${show(minimum)}`
  return Number.isSafeInteger(Math.ceil(maximum)) ? `, ${show(minimum ?? 0)} to ${show(maximum)}` : ''
}

function show(value: number): string {
  return value.toLocaleString('en')
}

/** The object that a value is, or that each item of it is, where its fields are known. */
function innerObject(schema: JsonSchema): JsonSchema | undefined {
  if (schema.properties !== undefined) return schema
  const inner = [...(schema.anyOf ?? []), ...(schema.items === undefined ? [] : [schema.items])]
  return inner.map(innerObject).find((found) => found !== undefined)
}

function resolve(document: ApiDocument, schema: JsonSchema): JsonSchema {
  return document.components.schemas[schema.$ref?.slice('#/components/schemas/'.length) ?? ''] ?? schema
}

function badge(method: string): string {
  return `<span class="method ${method.toLowerCase()}">${escapeHtml(method)}</span>`
}

/** A path that may be broken after its slashes, so that it fits a phone. */
function breakable(path: string): string {
  return escapeHtml(path).replaceAll(/(?<=.)\//g, '/<wbr>')
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

const flame =
  '<svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true"><path fill="currentColor" d="M12 2c1 4 6 6 6 12a6 6 0 0 1-12 0c0-3 2-4 2.500-7 1.500 1 2 2.500 2 4C12 9 13 6 12 2Z"/></svg>'
