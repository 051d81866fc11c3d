import { deepEqual, doesNotMatch, equal, match, ok } from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { repositoryRoot } from '../dev/parts.ts'
import { createStaticConfig } from '../dev/traefik.ts'

/** What each Dockerfile builds. The two were once pushed under one name; that must not happen again. */
const images = { 'Dockerfile.gateway': 'home-gateway', 'Dockerfile.client': 'rtx3090-web-client' } as const
const dockerfiles = Object.keys(images)
const manifests = globSync('k3s/*.yaml', { cwd: repositoryRoot }).sort()
const services = ['gateway/deploy/service.yaml', 'gateway/deploy/page.yaml']
const yamlFiles = [...manifests, ...services, 'cloudbuild.yaml', 'hearth.example.yaml']

const read = (name: string) => readFileSync(join(repositoryRoot, name), 'utf8')
const readYaml = (name: string): unknown => parse(read(name))

const pairsSchema = z.array(z.object({ name: z.string(), value: z.string() }))
const probeSchema = z.object({ httpGet: z.object({ path: z.string(), port: z.number() }) })
const containerSchema = z.object({
  name: z.string(),
  image: z.string(),
  command: z.array(z.string()).optional(),
  ports: z.array(z.object({ containerPort: z.number() })).optional(),
  env: pairsSchema,
  resources: z.object({ limits: z.object({ cpu: z.string(), memory: z.string() }) }),
  startupProbe: probeSchema,
  livenessProbe: probeSchema.optional(),
  volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })).default([]),
})
const serviceSchema = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    template: z.object({
      metadata: z.object({ annotations: z.record(z.string(), z.string()) }),
      spec: z.object({
        serviceAccountName: z.string(),
        containerConcurrency: z.number(),
        timeoutSeconds: z.number().optional(),
        containers: z.array(containerSchema),
        volumes: z.array(z.object({ name: z.string(), secret: z.object({ secretName: z.string() }) })).default([]),
      }),
    }),
  }),
})
const readService = (name: string) => serviceSchema.parse(readYaml(name))
const readGateway = () => readService('gateway/deploy/service.yaml').spec.template

const stepSchema = z.object({ id: z.string(), waitFor: z.array(z.string()).optional(), script: z.string() })
const buildSchema = z.object({ substitutions: z.record(z.string(), z.string()), steps: z.array(stepSchema) })
const readBuild = () => buildSchema.parse(readYaml('cloudbuild.yaml'))

const podSchema = z.object({
  spec: z.object({
    runtimeClassName: z.string().optional(),
    securityContext: z.object({ runAsUser: z.number().optional(), runAsNonRoot: z.boolean().optional() }),
    containers: z.tuple([z.object({ image: z.string(), args: z.array(z.string()), resources: z.unknown() })]),
  }),
})
const deploymentSchema = z.object({
  spec: z.object({ strategy: z.object({ type: z.string() }).optional(), template: podSchema }),
})
const readDeployment = (name: string) => deploymentSchema.parse(readYaml(`k3s/${name}-deployment.yaml`)).spec

const exampleSchema = z.object({
  engines: z.tuple([z.object({ capacity: z.number() })]),
  models: z.tuple([
    z.object({
      served: z.string(),
      context: z.number(),
      vision: z.object({ minPixels: z.number(), maxPixels: z.number() }),
    }),
  ]),
})

test('every deployment file is YAML that strict readers accept, one document a file', () => {
  ok(manifests.length >= 10)
  for (const name of yamlFiles) {
    const documents = parseAllDocuments(read(name), { strict: true, uniqueKeys: true })
    equal(documents.length, 1, name)
    for (const document of documents) deepEqual([...document.errors, ...document.warnings], [], name)
  }
})

test('the kustomization names every manifest of the folder and nothing else', () => {
  const { resources } = z.object({ resources: z.array(z.string()) }).parse(readYaml('k3s/kustomization.yaml'))
  const present = manifests.map((name) => name.slice('k3s/'.length)).filter((name) => name !== 'kustomization.yaml')
  deepEqual([...resources].sort(), present)
})

test('every deployment file says at its top that it has not met the real thing yet', () => {
  for (const name of [...manifests, ...services, ...dockerfiles, 'cloudbuild.yaml']) {
    const top = read(name).split(/^[^#]/m)[0] ?? ''
    match(top, /^# .*NOT YET (RUN|BUILT|ACCEPTED)/m, name)
  }
})

test('the two images are built from their own Dockerfile, under their own name, and never swapped', () => {
  for (const [dockerfile, image] of Object.entries(images)) {
    const step = readBuild().steps.find(({ id }) => id === image)
    match(step?.script ?? '', new RegExp(`--file ${dockerfile.replace('.', '\\.')} `))
    match(step?.script ?? '', new RegExp(`^image="[^"]*/${image}:\\$BUILD_ID"$`, 'm'))
    match(read(dockerfile), new RegExp(`^# The image ${image}:`))
  }
  const used = (name: string) => readService(name).spec.template.spec.containers.map(({ image }) => image)
  const pushed = (image: string) => `REGION-docker.pkg.dev/PROJECT_ID/REPOSITORY/${image}:BUILD_ID`
  deepEqual(used('gateway/deploy/service.yaml'), [pushed('home-gateway'), pushed('home-gateway')])
  deepEqual(used('gateway/deploy/page.yaml'), [pushed('rtx3090-web-client')])
})

test('a service bears the name of its image, so that the addresses in the files are right', () => {
  deepEqual(
    services.map((name) => readService(name).metadata.name),
    ['home-gateway', 'rtx3090-web-client'],
  )
})

test('images run as a numeric user who is not root, on a base without a shell', () => {
  for (const name of dockerfiles) {
    const stage =
      read(name)
        .split(/^FROM /m)
        .at(-1) ?? ''
    match(stage, /^\S+distroless\/nodejs24-\S+:nonroot\n/, name)
    match(stage, /^USER [1-9]\d*:[1-9]\d*$/m, name)
    doesNotMatch(stage, /^RUN /m, name)
    match(stage, /^CMD \[/m, name)
    match(stage, /\bNODE_ENV=production\b/, name)
  }
})

test('the images hold the programs that the commands name, on the ports that the services name', () => {
  match(read('Dockerfile.gateway'), /^CMD \["\/nodejs\/bin\/node", "\/app\/main\.mjs"\]$/m)
  match(read('Dockerfile.gateway'), /^COPY --from=meshlink \/out\/meshlink \.\/$/m)
  match(read('Dockerfile.gateway'), /^EXPOSE 8080$/m)
  match(read('Dockerfile.client'), /^EXPOSE 8501$/m)
  match(read('Dockerfile.client'), /\bHOST=0\.0\.0\.0 PORT=8501\b/)
})

test('the image of the gateway is built with the optional packages, of which the log of Google Cloud is one', () => {
  match(read('Dockerfile.gateway'), /^RUN npm ci$/m)
  doesNotMatch(read('.npmrc') + read('Dockerfile.gateway'), /^omit=|--omit|no-optional|NPM_CONFIG/im)
  const [gateway] = readGateway().spec.containers
  equal(gateway?.env.find(({ name }) => name === 'GOOGLE_CLOUD_PROJECT')?.value, 'PROJECT_ID')
  equal(
    gateway?.env.find(({ name }) => name === 'HEARTH_LOG'),
    undefined,
  )
})

test('what the Dockerfiles copy from the repository is there, the page with the settings that its own extend', () => {
  for (const name of dockerfiles) {
    const copied = [...read(name).matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
      (found) => found[1]?.split(' ') ?? [],
    )
    ok(copied.length > 4)
    for (const path of copied) ok(existsSync(join(repositoryRoot, path)), `${name} copies ${path}`)
  }
  match(read('client-web/tsconfig.json'), /"extends": "\.\.\/tsconfig\.json"/)
  match(read('Dockerfile.client'), /^COPY .*\btsconfig\.json\b/m)
})

test('nothing is pushed to or pulled from the registry that was closed', () => {
  for (const name of yamlFiles) doesNotMatch(read(name), /\bgcr\.io\b/, name)
  for (const name of dockerfiles) doesNotMatch(read(name), /\bgcr\.io\/(?!distroless\/)/, name)
})

test('no image floats on latest', () => {
  for (const name of [...yamlFiles, ...dockerfiles]) doesNotMatch(read(name), /:latest\b/, name)
  for (const line of dockerfiles.flatMap((name) => read(name).match(/^FROM .*$/gm) ?? [])) match(line, /^FROM \S+:\S+/)
  for (const name of ['vllm-qwen', 'echo'])
    match(readDeployment(name).template.spec.containers[0].image, /:v?\d+\.\d+\.\d+$/)
})

test('the build pushes only to Artifact Registry in the region asked for, deploys last, and fills every place in the services', () => {
  const { substitutions, steps } = readBuild()
  equal(substitutions['_REGION'], 'asia-northeast3')
  const script = (id: string) => steps.find((step) => step.id === id)?.script ?? ''
  for (const image of Object.values(images)) {
    match(script(image), /image="\$_REGION-docker\.pkg\.dev\/\$PROJECT_ID\//)
    deepEqual(steps.find(({ id }) => id === image)?.waitFor, ['test'])
  }
  const deploy = steps.at(-1)
  deepEqual([...(deploy?.waitFor ?? [])].sort(), Object.values(images).sort())
  match(deploy?.script ?? '', /gcloud run services replace/)
  const filled = [...(deploy?.script ?? '').matchAll(/s\/\\b([A-Z_]+)\\b\/\$_?\1\/g/g)].map((found) => found[1])
  for (const name of services) {
    ok(deploy?.script.includes(name), name)
    const withoutComments = read(name).replace(/^\s*#.*$/gm, '')
    const places = withoutComments.match(/\b(REGION|REPOSITORY|[A-Z]+_(ID|NUMBER|TAG))\b/g) ?? []
    for (const place of places) ok(filled.includes(place), `${name}: nothing fills ${place}`)
  }
})

test('the gateway waits for the sidecar, not the other way round', () => {
  const { metadata, spec } = readGateway()
  deepEqual(JSON.parse(metadata.annotations['run.googleapis.com/container-dependencies'] ?? ''), { gateway: ['mesh'] })
  deepEqual(
    spec.containers.map(({ name }) => name),
    ['gateway', 'mesh'],
  )
})

test('only the gateway container has a port, and the sidecar is the other command of the same image', () => {
  const [gateway, mesh] = readGateway().spec.containers
  deepEqual(gateway?.ports, [{ containerPort: 8080 }])
  equal(mesh?.ports, undefined)
  equal(gateway?.command, undefined)
  deepEqual(mesh?.command, ['/app/meshlink'])
  equal(gateway?.image, mesh?.image)
})

test('one instance takes what the gateway can queue, for as long as its whole deadline, with CPU between requests', () => {
  const { metadata, spec } = readGateway()
  equal(metadata.annotations['autoscaling.knative.dev/maxScale'], '1')
  equal(metadata.annotations['autoscaling.knative.dev/minScale'], '0')
  equal(metadata.annotations['run.googleapis.com/cpu-throttling'], 'false')
  equal(spec.containerConcurrency, 1000)
  const { timeouts } = z.object({ timeouts: z.object({ totalMs: z.number() }) }).parse(readYaml('hearth.example.yaml'))
  equal(spec.timeoutSeconds, 3600)
  ok(timeouts.totalMs < 3_600_000)
})

test('both containers are probed where they answer, and have their CPU and memory set', () => {
  const [gateway, mesh] = readGateway().spec.containers
  deepEqual(gateway?.startupProbe, { httpGet: { path: '/health', port: 8080 } })
  deepEqual(mesh?.startupProbe, { httpGet: { path: '/startupz', port: 7071 } })
  deepEqual(mesh?.livenessProbe, { httpGet: { path: '/livez', port: 7071 } })
})

test('secrets come as files: each variable that names one lies in a mounted secret, and no secret is in the text', () => {
  const { containers, volumes } = readGateway().spec
  const files = {
    gateway: ['HEARTH_CONFIG', 'HEARTH_KEYS_FILE', 'HEARTH_ENGINE_API_KEY_FILE'],
    mesh: ['TS_AUTHKEY_FILE'],
  }
  for (const [name, variables] of Object.entries(files)) {
    const container = containers.find((one) => one.name === name)
    for (const variable of variables) {
      const path = container?.env.find((pair) => pair.name === variable)?.value ?? ''
      const mount = container?.volumeMounts.find(({ mountPath }) => path.startsWith(`${mountPath}/`))
      ok(
        volumes.some((volume) => volume.name === mount?.name),
        `${variable}=${path} lies in no mounted secret`,
      )
    }
  }
  for (const name of [...services, ...manifests]) doesNotMatch(read(name), /tskey-|hk_[0-9A-Za-z]{10}_/, name)
})

test('the engine replaces itself, takes the GPU through its runtime class, and has its key and queue limit', () => {
  const { strategy, template } = readDeployment('vllm-qwen')
  equal(strategy?.type, 'Recreate')
  equal(template.spec.runtimeClassName, 'nvidia')
  const [{ image, args, resources }] = template.spec.containers
  deepEqual(z.object({ limits: z.object({ 'nvidia.com/gpu': z.number() }) }).parse(resources).limits, {
    'nvidia.com/gpu': 1,
  })
  ok(Number(/:v0\.(\d+)\./.exec(image)?.[1]) >= 32, 'vLLM below 0.32 has no limit of its own queue')
  ok(args.some((flag) => flag.startsWith('--max-num-queued-reqs=')))
  ok(!args.some((flag) => flag.startsWith('--api-key')), 'arguments show in the list of processes')
})

test('the engine of k3s and the example configuration agree on name, context, pictures and capacity', () => {
  const { args } = readDeployment('vllm-qwen').template.spec.containers[0]
  const flag = (name: string) => args.find((one) => one.startsWith(`--${name}=`))?.slice(name.length + 3)
  const { engines, models } = exampleSchema.parse(readYaml('hearth.example.yaml'))
  const [[engine], [model]] = [engines, models]
  equal(flag('served-model-name'), model.served)
  equal(Number(flag('max-model-len')), model.context)
  equal(Number(flag('max-num-seqs')), engine.capacity)
  const { minPixels, maxPixels } = model.vision
  deepEqual(JSON.parse(flag('mm-processor-kwargs') ?? ''), { min_pixels: minPixels, max_pixels: maxPixels })
})

test('the echo runs as a numeric user who is not root', () => {
  const { securityContext } = readDeployment('echo').template.spec
  ok((securityContext.runAsUser ?? 0) > 0)
  equal(securityContext.runAsNonRoot, true)
})

test('the card is shared in ten places, and asking for two is refused', () => {
  const { data } = z.object({ data: z.object({ default: z.string() }) }).parse(readYaml('k3s/time-slicing.yaml'))
  deepEqual(parse(data.default), {
    version: 'v1',
    sharing: {
      timeSlicing: { failRequestsGreaterThanOne: true, resources: [{ name: 'nvidia.com/gpu', replicas: 10 }] },
    },
  })
})

test('Traefik at home waits and refuses as the one in the lab does', () => {
  const { spec } = z
    .object({ spec: z.object({ valuesContent: z.string() }) })
    .parse(readYaml('k3s/traefik-config.yaml'))
  const values = z.object({ additionalArguments: z.array(z.string()) }).parse(parse(spec.valuesContent))
  const { transport, http } = createStaticConfig(80, 'rules.yaml').entryPoints.web
  const wanted = [
    ...Object.entries(transport.respondingTimeouts).map(
      ([name, value]) => `transport.respondingTimeouts.${name}=${value}`,
    ),
    ...Object.entries(http.encodedCharacters).map(([name, value]) => `http.encodedCharacters.${name}=${value}`),
  ]
  deepEqual(values.additionalArguments.toSorted(), wanted.map((text) => `--entryPoints.web.${text}`).sort())
})
