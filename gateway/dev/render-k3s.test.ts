import { deepEqual, equal, match } from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { engineRoutes, homeRoutes } from '../src/routes/routes.data.ts'
import { repositoryRoot } from './parts.ts'
import { findStale, renderManifests } from './render-k3s.ts'

const committed = join(repositoryRoot, 'k3s')
const routeSchema = z.object({ match: z.string(), services: z.array(z.object({ name: z.string() })).length(1) })
const ingressSchema = z.object({ spec: z.object({ routes: z.array(routeSchema) }) })

test('the committed manifests are what the list of routes renders to', () => {
  deepEqual(findStale(committed), [])
})

test('a committed manifest that was edited by hand is found', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-k3s-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const name of renderManifests().keys()) copyFileSync(join(committed, name), join(folder, name))
  const file = join(folder, 'ingress-route.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replace('/v1/models', '/metrics'))
  deepEqual(findStale(folder), ['ingress-route.yaml'])
})

test('each route of the engines and of the home has exactly one rule, with its host, method and path, and no other rule exists', () => {
  const { spec } = ingressSchema.parse(parse(readFileSync(join(committed, 'ingress-route.yaml'), 'utf8')))
  const wanted = [
    ...engineRoutes.map((route) => ({ ...route, service: 'vllm-qwen' })),
    ...homeRoutes.map((route) => ({ ...route, service: 'echo' })),
  ]
  equal(spec.routes.length, wanted.length)
  wanted.forEach(({ method, path, service }, index) => {
    const route = spec.routes[index]
    match(route?.match ?? '', /^Host\(`[a-z.]+`\) && /)
    equal(route?.match.slice(route.match.indexOf(' && ')), ` && Method(\`${method}\`) && Path(\`${path}\`)`)
    equal(route?.services[0]?.name, service)
  })
})
