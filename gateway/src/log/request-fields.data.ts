/** The fields of the one record of a request, in their order: nothing else can be noted about one. See docs/logs.md. */
export const requestFields = [
  ...['requestId', 'route', 'keyId', 'model', 'engine', 'stream', 'outcome', 'status', 'ms'],
  ...['bytesIn', 'bytesOut', 'pictures', 'picturePixels', 'pictureBytes'],
  ...[
    'promptTokens',
    'cachedTokens',
    'completionTokens',
    'tokensEstimated',
    'finishReason',
    'ttftMs',
    'tokensPerSecond',
  ],
  ...['queueMs', 'connectMs', 'connectTries', 'reused', 'firstByteMs', 'meshPath', 'meshRttMs', 'detail', 'fix'],
] as const

export type RequestField = (typeof requestFields)[number]
