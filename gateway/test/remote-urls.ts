/** Where a picture or a file may be asked for from elsewhere, and all the ways to write that elsewhere. */

/** What a part of a message looks like with a URL in it. */
export interface Place {
  readonly name: string
  /** Whether this is a picture or a file, so that the request must be refused; else it is words, which stay words. */
  readonly fetched: boolean
  readonly body: (url: string) => object
}

const user = (part: object): object => ({
  messages: [{ role: 'user', content: [{ type: 'text', text: 'What is it?' }, part] }],
})
const toolCall = (argument: string): object => ({
  id: 'call_1',
  type: 'function',
  function: { name: 'look', arguments: argument },
})

export const places: readonly Place[] = [
  { name: 'image_url', fetched: true, body: (url) => user({ type: 'image_url', image_url: { url } }) },
  { name: 'image_url as a text', fetched: true, body: (url) => user({ type: 'image_url', image_url: url }) },
  {
    name: 'image_url with a detail',
    fetched: true,
    body: (url) => user({ type: 'image_url', image_url: { detail: 'high', url } }),
  },
  { name: 'input_image', fetched: true, body: (url) => user({ type: 'input_image', image_url: url }) },
  { name: 'input_image in an object', fetched: true, body: (url) => user({ type: 'input_image', image_url: { url } }) },
  { name: 'input_file', fetched: true, body: (url) => user({ type: 'input_file', file_url: url }) },
  { name: 'file_url', fetched: true, body: (url) => user({ type: 'file_url', file_url: { url } }) },
  { name: 'file', fetched: true, body: (url) => user({ type: 'file', file: { file_data: url } }) },
  { name: 'video_url', fetched: true, body: (url) => user({ type: 'video_url', video_url: { url } }) },
  { name: 'audio_url', fetched: true, body: (url) => user({ type: 'audio_url', audio_url: { url } }) },
  {
    name: 'input_audio',
    fetched: true,
    body: (url) => user({ type: 'input_audio', input_audio: { data: url, format: 'wav' } }),
  },
  { name: 'a part without a type', fetched: true, body: (url) => user({ image_url: { url } }) },
  {
    name: 'a part of another type',
    fetched: true,
    body: (url) => user({ type: 'image', source: { type: 'url', url } }),
  },
  {
    name: 'a part within a part',
    fetched: true,
    body: (url) => user({ type: 'tool_result', content: [{ type: 'image_url', image_url: { url } }] }),
  },
  {
    name: 'the answer of a tool',
    fetched: true,
    body: (url) => ({
      messages: [
        { role: 'user', content: 'Look.' },
        { role: 'assistant', content: null, tool_calls: [toolCall('{}')] },
        { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'image_url', image_url: { url } }] },
      ],
    }),
  },
  {
    name: 'what the system says',
    fetched: true,
    body: (url) => ({
      messages: [
        { role: 'system', content: [{ type: 'image_url', image_url: { url } }] },
        { role: 'user', content: 'Look.' },
      ],
    }),
  },
  {
    name: 'the arguments of a tool',
    fetched: false,
    body: (url) => ({
      messages: [
        { role: 'user', content: 'Look.' },
        { role: 'assistant', content: null, tool_calls: [toolCall(JSON.stringify({ image_url: { url } }))] },
        { role: 'tool', tool_call_id: 'call_1', content: 'seen' },
      ],
    }),
  },
  { name: 'words', fetched: false, body: (url) => ({ messages: [{ role: 'user', content: url }] }) },
]

const schemes: readonly string[] = [
  ...[
    'http://',
    'https://',
    'HTTP://',
    'hTTps://',
    'http:/',
    'http:',
    'http:\\\\',
    '//',
    '\\\\',
    '',
    ' http://',
    '\thttp://',
  ],
  ...[
    'ht\ntp://',
    'ftp://',
    'file://',
    'file:///',
    'gopher://',
    'dict://',
    'ldap://',
    'ws://',
    's3://',
    'gs://',
    'tftp://',
  ],
  ...[
    'jar:http://',
    'view-source:http://',
    'blob:http://',
    'feed:http://',
    'unix:',
    'data:http://',
    'data://',
    'data:,http://',
  ],
  ...[
    'data:text/html,http://',
    'data:image/svg+xml,http://',
    'data:image/png;base64,http://',
    'Data:image/png,http://',
  ],
]
const hosts: readonly string[] = [
  ...['127.0.0.1', 'localhost', '127.1', '0x7f000001', '2130706433', '017700000001', '①②⑦.⓪.⓪.①', '127。0。0。1'],
  ...[
    '127.0.0.1\\@1.1.1.1',
    '1.1.1.1@127.0.0.1',
    '127.0.0.1#@1.1.1.1',
    '[::1]',
    '[::ffff:7f00:1]',
    '[::ffff:127.0.0.1]',
  ],
  ...[
    '[64:ff9b::7f00:1]',
    'localhost.',
    'metadata.google.internal.',
    '127.0.0.1.nip.io',
    '169.254.169.254',
    '[fd00:ec2::254]',
  ],
  ...[
    '100.100.100.100',
    '[fd7a:115c:a1e0::53]',
    '0.0.0.0',
    '[::]',
    '0',
    '10.0.0.1',
    '192.168.1.1',
    '1.1.1.1',
    'example.com',
  ],
  ...['vllm.home', 'xn--e1afmkfd.example', '255.255.255.255', 'localhost%00.example', 'a'.repeat(300)],
]
const spellings: readonly ((url: string) => string)[] = [
  (url) => url,
  (url) => encodeURI(url),
  (url) => url.replace(/[a-z0-9]/g, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
  (url) => `${url}?x=data:image/png;base64,iVBORw0KGgo=`,
]

/** At least 2,000 URLs; `port` is where a trap listens on every loopback address. */
export function remoteUrls(port: number): readonly string[] {
  const ports = ['', ':80', `:${port}`, ':0', ':443', ':99999']
  const paths = ['/', '/latest/meta-data/', '/a.png', '/../etc/passwd', '']
  const urls: string[] = []
  for (const scheme of schemes)
    for (const host of hosts)
      for (const spell of spellings.slice(urls.length % 2 === 0 ? 0 : 2).slice(0, 2)) {
        const at = urls.length
        urls.push(spell(`${scheme}${host}${ports[at % ports.length]}${paths[at % paths.length]}`))
      }
  return urls
}

/** The body as JSON; every other one with each letter of the URL escaped, which is the same text to a reader of JSON. */
export function bodyWith(place: Place, url: string, escaped: boolean): string {
  const mark = 'URL-STANDS-HERE'
  const text = JSON.stringify({ model: 'seer', ...place.body(mark) })
  const plain = JSON.stringify(url).slice(1, -1)
  const hex = [...Array(url.length).keys()]
    .map((at) => `\\u${url.charCodeAt(at).toString(16).padStart(4, '0')}`)
    .join('')
  // Words inside of words are escaped once more.
  const inner = JSON.stringify(escaped ? hex : plain).slice(1, -1)
  return text.includes(`\\"${mark}`)
    ? text.replace(mark, () => inner)
    : text.replace(mark, () => (escaped ? hex : plain))
}
