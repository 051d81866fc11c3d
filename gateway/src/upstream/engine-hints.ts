/** What failing engines and ingresses speak of, and what the log calls it. */
const hints: readonly (readonly [RegExp, string])[] = [
  [/out of memory|\bOOM\b/i, 'out of memory'],
  [/\bCUDA\b|cublas|\bNCCL\b|\bXid\b/i, 'CUDA'],
  [/EngineDead|EngineCore|engine (?:is )?dead/i, 'its engine core died'],
  [/loading model|still loading|not ready/i, 'still loading'],
  [/timed out|timeout/i, 'timeout'],
  [/\bbusy\b|overload|queue is full/i, 'overloaded'],
  [/bad gateway/i, 'bad gateway'],
  [/no available server|service unavailable/i, 'no available server'],
  [/page not found|not found|does not exist/i, 'not found'],
  [/chat template|jinja/i, 'chat template'],
  [/unauthori[sz]ed|api key/i, 'API key'],
  [/not implemented|not supported|unsupported/i, 'not supported'],
  [/assert/i, 'assertion'],
]

/**
 * What an engine's words about its failure speak of, in words of ours: engines echo prompts in their errors, so their own
 * words stand in no log.
 */
export function hintsOf(text: string): string {
  const found = hints.filter(([pattern]) => pattern.test(text)).map(([, name]) => name)
  return found.length === 0 ? '' : ` (${found.join(', ')})`
}
