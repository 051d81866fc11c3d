import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'

/** A certificate and its private key, both as PEM. */
export interface Issued {
  readonly cert: string
  readonly key: string
}

export interface Wanted {
  /** DNS names and IPv4 addresses that the certificate speaks for. */
  readonly names: readonly string[]
  /** Default: from an hour ago for a year. */
  readonly notBefore?: Date
  readonly notAfter?: Date
}

/** A certificate authority of one test. */
export interface Authority {
  /** Its own certificate, as `tls.caFile` takes it. */
  readonly cert: string
  issue(wanted: Wanted): Issued
}

const hourMs = 3_600_000
const yearMs = 365 * 24 * hourMs

/** Makes an authority with fresh keys. X.509 by hand, because Node signs but writes no certificates (RFC 5280, 4.1). */
export function createAuthority(name: string, validity: Omit<Wanted, 'names'> = {}): Authority {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const own = { issuer: name, signer: keys.privateKey, subject: name, publicKey: keys.publicKey }
  return {
    cert: createCertificate({ ...own, ...validity, extensions: [basicConstraints, mayIssue] }),
    issue: ({ names, ...dates }) => {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const subject = names[0] ?? 'nobody'
      const extensions = [maySign, subjectAltNames(names)]
      return {
        cert: createCertificate({ ...own, ...dates, subject, publicKey, extensions }),
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      }
    },
  }
}

interface Content extends Omit<Wanted, 'names'> {
  readonly issuer: string
  readonly signer: KeyObject
  readonly subject: string
  readonly publicKey: KeyObject
  readonly extensions: readonly Buffer[]
}

function createCertificate(content: Content): string {
  const { notBefore = new Date(Date.now() - hourMs), notAfter = new Date(Date.now() + yearMs) } = content
  const algorithm = sequence(oid('2a8648ce3d040302'))
  const body = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    commonName(content.issuer),
    sequence(time(notBefore), time(notAfter)),
    commonName(content.subject),
    content.publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...content.extensions)),
  )
  const der = sequence(body, algorithm, bits(sign('sha256', body, content.signer)))
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function tlv(tag: number, ...content: readonly Buffer[]): Buffer {
  const value = Buffer.concat(content)
  const { length } = value
  // As short as can be: Go refuses what OpenSSL lets pass.
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), value])
}

function sequence(...content: readonly Buffer[]): Buffer {
  return tlv(0x30, ...content)
}

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, 'hex'))
}

function bits(value: Buffer, unused = 0): Buffer {
  return tlv(0x03, Buffer.from([unused]), value)
}

function commonName(text: string): Buffer {
  return sequence(tlv(0x31, sequence(oid('550403'), tlv(0x0c, Buffer.from(text)))))
}

/** UTCTime, good until 2049. */
function time(date: Date): Buffer {
  return tlv(0x17, Buffer.from(`${date.toISOString().slice(2, 19).replace(/[-:T]/g, '')}Z`))
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [tlv(0x01, Buffer.from([0xff]))] : []), tlv(0x04, value))
}

const basicConstraints = extension('551d13', true, sequence(tlv(0x01, Buffer.from([0xff]))))
const mayIssue = extension('551d0f', true, bits(Buffer.from([0x04]), 2))
const maySign = extension('551d0f', true, bits(Buffer.from([0x80]), 7))

function subjectAltNames(names: readonly string[]): Buffer {
  const entries = names.map((name) =>
    isIP(name) === 4 ? tlv(0x87, Buffer.from(name.split('.').map(Number))) : tlv(0x82, Buffer.from(name)),
  )
  return extension('551d11', false, sequence(...entries))
}
