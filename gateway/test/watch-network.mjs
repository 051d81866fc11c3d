// Preloaded into a gateway: writes every connection that it opens and every name that it looks up to stderr.
import dns from 'node:dns'
import dnsPromises from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'

const say = (what) => process.stderr.write(`network: ${JSON.stringify(what)}\n`)

const { connect } = net.Socket.prototype
net.Socket.prototype.connect = function watched(...args) {
  const [options] = args.flat()
  say({ connect: { host: options?.host, port: Number(options?.port ?? options), path: options?.path } })
  return connect.apply(this, args)
}

for (const [module, names] of [
  [dns, Object.keys(dns)],
  [dnsPromises, Object.keys(dnsPromises)],
]) {
  for (const name of names.filter((name) => /^(lookup|resolve)/.test(name))) {
    const original = module[name]
    module[name] = function watched(...args) {
      say({ [name]: String(args[0]) })
      return original.apply(this, args)
    }
  }
}
syncBuiltinESMExports()
