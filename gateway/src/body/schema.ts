import type { ErrorCode } from '../errors.ts'

export type JsonType = 'null' | 'boolean' | 'integer' | 'number' | 'string' | 'array' | 'object'

/**
 * What a value may be: a JSON Schema of the few words that the gateway checks, and `policy`, which stands beside JSON
 * Schema and is left out where a schema is shown to callers. A word binds only the values of its type; `enum` binds strings, true, false and null.
 *
 * Of an object, the keys of `properties` pass. Any other key is dropped and named; with `additionalProperties: false` it
 * is refused as forbidden, with a schema there it is kept and checked, and `true` keeps whatever stands there.
 */
export interface Schema {
  readonly type: JsonType | readonly JsonType[]
  readonly description?: string
  readonly enum?: readonly (string | boolean | null)[]
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly items?: Schema
  readonly minItems?: number
  readonly maxItems?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly maxProperties?: number
  readonly policy?: Policy
}

/** What JSON Schema has no word for. */
export interface Policy {
  /** Keys of an object that are refused at sight, by the code of the refusal. */
  readonly refused?: Readonly<Partial<Record<ErrorCode, readonly string[]>>>
  /** Beginnings of keys that are refused as `forbidden_field`. */
  readonly refusedPrefixes?: readonly string[]
  /** Keys of an object that are dropped without a word, since clients send them as a matter of course. */
  readonly silent?: readonly string[]
  /** The code for a value that does not fit. Default `invalid_request`. */
  readonly refusedAs?: ErrorCode
  /** The value may be as long as the body; other top-level values are held to 64 KiB. */
  readonly large?: true
  /** A string that is a picture by its url, one that holds JSON again, or an object that is the JSON Schema of a caller. */
  readonly holds?: 'picture' | 'json-text' | 'json-schema'
  /** What is wanted, in words, where those made from the schema would be vague. */
  readonly wanted?: string
  /** The field of the engine that this one is another name of. */
  readonly aliasOf?: string
  /** An object that reaches the engine as the value of this one key. */
  readonly unwrap?: string
}
