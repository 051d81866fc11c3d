import { z } from 'zod'

const schema = z.object({
  state: z.string(),
  problem: z.object({ code: z.string() }).nullable(),
  auth: z.object({ method: z.string(), normalised: z.array(z.string()) }),
  self: z.object({ joins: z.number() }).nullable(),
  control: z.object({ reachable: z.boolean() }),
  upstreams: z.array(
    z.object({
      name: z.string(),
      path: z.string(),
      bulk: z
        .object({
          verdict: z.string().optional(),
          bytes: z.number().optional(),
          ok: z.boolean().optional(),
          largestGoodBytes: z.number().nullish(),
        })
        .nullish(),
    }),
  ),
  net: z.object({ mtu: z.number().optional() }).nullish(),
  freeze: z.object({ count: z.number(), lastGapS: z.number() }).nullish(),
  warnings: z.array(z.object({ code: z.string(), text: z.string(), fix: z.string() })),
})

/** What the scenarios read of the sidecar's /v1/status. */
export type StatusDocument = z.output<typeof schema>

/** Throws a ZodError where a field has another form than the sidecar promises. */
export function readStatus(text: string): StatusDocument {
  return schema.parse(JSON.parse(text))
}
