/** A node of the syntax tree that rolldown's parser (oxc) makes: ESTree, and TypeScript's own kinds as `TS…`. */
export interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
}

/** What one operator would write in the place of what stands there. */
export interface Change {
  readonly operator: string
  readonly start: number
  readonly end: number
  readonly text: string
}

type Operator = (node: Node, source: string) => readonly Change[]

/** Two each where the bound and the sense are two different mistakes. */
const binary: Readonly<Record<string, readonly string[]>> = {
  '===': ['!=='],
  '!==': ['==='],
  '<': ['<=', '>='],
  '<=': ['<', '>'],
  '>': ['>=', '<='],
  '>=': ['>', '<'],
  '+': ['-'],
  '-': ['+'],
  '*': ['/'],
  '/': ['*'],
  '%': ['*'],
  '&': ['|'],
  '|': ['&'],
  '<<': ['>>'],
}
const logical: Readonly<Record<string, readonly string[]>> = { '&&': ['||'], '||': ['&&'], '??': ['&&'] }
const assigned: Readonly<Record<string, readonly string[]>> = { '+=': ['-='], '-=': ['+='], '&=': ['|='], '??=': ['='] }
const methods: Readonly<Record<string, string>> = {
  startsWith: 'endsWith',
  some: 'every',
  every: 'some',
  min: 'max',
  max: 'min',
  toLowerCase: 'toString',
}
const branches = new Set(['IfStatement', 'ConditionalExpression', 'WhileStatement', 'DoWhileStatement'])
const removable = new Set(['ThrowStatement', 'ReturnStatement', 'BreakStatement', 'ContinueStatement'])
const pieces: readonly (readonly [pattern: RegExp, text: string])[] = [
  [/(?<=^|\(|\|)\^/g, ''],
  [/(?<!\\)\$(?=$|\)|\|)/g, ''],
  [/(?<!\\)\[\^/g, '['],
  [/(?<!\\)\[(?!\^)/g, '[^'],
  [/(?<=[\])\w])\+/g, ''],
  [/(?<=[\])\w])\*/g, ''],
  [/\\d/g, '\\D'],
  [/(?<=[\])\w])\?/g, ''],
]

export const operators: readonly Operator[] = [
  (node, source) => {
    if (node.type === 'BinaryExpression') return isText(node, source) ? [] : between('relation', binary, node, source)
    if (node.type === 'LogicalExpression') return between('logic', logical, node, source)
    return node.type === 'AssignmentExpression' ? between('assignment', assigned, node, source) : []
  },
  (node, source) => {
    const test = branches.has(node.type) || node.type === 'ForStatement' ? child(node, 'test') : undefined
    if (test === undefined) return []
    const texts = branches.has(node.type) && !node.type.includes('While') ? ['true', 'false'] : ['false']
    return texts
      .filter((text) => text !== source.slice(test.start, test.end))
      .map((text) => change('condition', test, text))
  },
  (node, source) => {
    if (node.type !== 'UnaryExpression') return []
    const argument = child(node, 'argument')
    const sign = source[node.start] ?? ''
    return argument !== undefined && '!-~'.includes(sign)
      ? [change('sign', node, source.slice(argument.start, argument.end))]
      : []
  },
  (node) => {
    const value = Reflect.get(node, 'value')
    if (node.type !== 'Literal' || Reflect.get(node, 'regex') !== undefined) return []
    if (typeof value === 'boolean') return [change('boolean', node, String(!value))]
    if (typeof value === 'number')
      return [value + 1, value - 1].map((other) => change('number', node, other < 0 ? `(${other})` : String(other)))
    if (typeof value !== 'string' || isProse(value)) return []
    return [change('string', node, value === '' ? "'mutant'" : "''")]
  },
  (node, source) => {
    const text = source.slice(node.start, node.end)
    return node.type === 'TemplateLiteral' && !isProse(text.replaceAll(/\$\{[^}]*\}/g, ''))
      ? [change('string', node, '``')]
      : []
  },
  (node) => {
    const regex: unknown = Reflect.get(node, 'regex')
    return node.type === 'Literal' && typeof regex === 'object' && regex !== null ? changedPatterns(node, regex) : []
  },
  (node, source) => {
    if (node.type !== 'ExpressionStatement' && !removable.has(node.type)) return []
    // Of a function's last line it changes nothing, and elsewhere the condition before it is mutated too.
    const same = /^(super\(|return undefined\b)/.test(source.slice(node.start, node.end))
    return same || Reflect.get(node, 'directive') ? [] : [change('statement', node, ';')]
  },
  (node, source) => {
    const body = node.type === 'ArrowFunctionExpression' ? child(node, 'body') : undefined
    if (body === undefined || body.type === 'BlockStatement') return []
    return /^(Call|Assignment)/.test(body.type) && source.slice(node.start, node.end).startsWith('()')
      ? [change('call', body, 'undefined')]
      : []
  },
  (node) => {
    const elements: unknown = Reflect.get(node, 'elements')
    return node.type === 'ArrayExpression' && Array.isArray(elements) && elements.length > 0
      ? [change('list', node, '[]')]
      : []
  },
  (node) => {
    const property =
      node.type === 'MemberExpression' && !Reflect.get(node, 'computed') ? child(node, 'property') : undefined
    const other = property === undefined ? undefined : methods[String(Reflect.get(property, 'name'))]
    return property === undefined || other === undefined ? [] : [change('method', property, other)]
  },
  (node) =>
    node.type === 'UpdateExpression'
      ? [change('count', { ...node, start: node.end - 2 }, Reflect.get(node, 'operator') === '++' ? '--' : '++')]
      : [],
]

/** A node that is the value of a property, or undefined. */
export function child(node: Node, name: string): Node | undefined {
  const value: unknown = Reflect.get(node, name)
  return isNode(value) ? value : undefined
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'type') === 'string'
}

function change(operator: string, { start, end }: Pick<Node, 'start' | 'end'>, text: string): Change {
  return { operator, start, end, text }
}

/** The operator that stands between two operands, replaced by each of its opposites. */
function between(
  operator: string,
  opposites: Readonly<Record<string, readonly string[]>>,
  node: Node,
  source: string,
): readonly Change[] {
  const [left, right] = [child(node, 'left'), child(node, 'right')]
  const sign = String(Reflect.get(node, 'operator'))
  if (left === undefined || right === undefined) return []
  const start = source.indexOf(sign, left.end)
  return (opposites[sign] ?? []).map((text) => change(operator, { start, end: start + sign.length }, text))
}

/** Whether texts are added: an operand is a literal of one. */
function isText(node: Node, source: string): boolean {
  return ['left', 'right'].some((name) => /^['"`]/.test(source.slice(child(node, name)?.start)))
}

/** Texts for people are not mutated: that a message reads well is nothing that a test should hold. */
function isProse(text: string): boolean {
  return text.trim().includes(' ')
}

function changedPatterns(node: Node, regex: object): readonly Change[] {
  const pattern = String(Reflect.get(regex, 'pattern'))
  const flags = String(Reflect.get(regex, 'flags'))
  const changed = pieces.flatMap(([piece, text]) =>
    [...pattern.matchAll(piece)].map(
      ({ index, 0: was }) => pattern.slice(0, index) + text + pattern.slice(index + was.length),
    ),
  )
  const written = changed.filter(isPattern).map((other) => `/${other}/${flags}`)
  if (flags.includes('i')) written.push(`/${pattern}/${flags.replace('i', '')}`)
  return written.map((text) => change('regex', node, text))
}

function isPattern(text: string): boolean {
  try {
    return text !== '' && new RegExp(text) instanceof RegExp
  } catch {
    return false
  }
}
