// Which addresses calls may go to. Names are judged where they are resolved; here only literal ones can be.

export type AddressKind =
  | 'name'
  | 'public'
  | 'loopback'
  | 'private'
  /** Link-local, metadata and multicast addresses: never a provider. */
  | 'forbidden'

/** Judges the host of a URL, as `URL.hostname` gives it (IPv6 in brackets). */
export function addressKind(hostname: string): AddressKind {
  const host = hostname.toLowerCase().replace(/\.$/, '')
  if (host === 'localhost' || host.endsWith('.localhost')) return 'loopback'
  if (host.startsWith('[')) {
    const groups = groupsOf(host.slice(1, -1))
    return groups ? kindOf6(groups) : 'forbidden'
  }
  if (host.includes(':')) {
    const groups = groupsOf(host)
    return groups ? kindOf6(groups) : 'forbidden'
  }
  const bytes = bytesOf(host)
  return bytes ? kindOf4(bytes) : 'name'
}

type Bytes = readonly [number, number, number, number]

function bytesOf(host: string): Bytes | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(host)) return undefined
  const [a = 0, b = 0, c = 0, d = 0] = host.split('.').map(Number)
  return Math.max(a, b, c, d) < 256 ? [a, b, c, d] : undefined
}

function kindOf4([a, b, c, d]: Bytes): AddressKind {
  if (a === 127) return 'loopback'
  if (a === 169 && b === 254) return 'forbidden'
  // 100.100.100.200 is a metadata service inside the range shared by carriers.
  if (a === 100 && b === 100 && c === 100 && d === 200) return 'forbidden'
  if (a >= 224) return 'forbidden'
  const isPrivate =
    a === 10 ||
    a === 0 ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168) ||
    (a === 192 && b === 0 && c === 0) ||
    (a === 100 && b >= 64 && b < 128) ||
    (a === 198 && (b === 18 || b === 19))
  return isPrivate ? 'private' : 'public'
}

/** The eight groups of an IPv6 address, or undefined when it is none. */
function groupsOf(address: string): readonly number[] | undefined {
  const text = address.replace(/%.*$/, '').replace(/(\d+\.\d+\.\d+\.\d+)$/, (dotted) => {
    const bytes = bytesOf(dotted)
    if (!bytes) return dotted
    const [a, b, c, d] = bytes
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  })
  if (!/^[0-9a-f:]+$/.test(text)) return undefined
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 0) return undefined
  return [...head, ...Array<string>(missing).fill('0'), ...tail].map((group) => parseInt(group, 16))
}

function kindOf6(groups: readonly number[]): AddressKind {
  const [first = 0, second = 0] = groups
  const embedded = embedded4(groups)
  if (embedded) return kindOf4(embedded)
  if (groups.slice(0, 7).every((group) => group === 0)) {
    return groups[7] === 1 ? 'loopback' : 'private'
  }
  if ((first & 0xffc0) === 0xfe80 || first >= 0xff00) return 'forbidden'
  // fd00:ec2::/32 is where AWS keeps its metadata service.
  if (first === 0xfd00 && second === 0x0ec2) return 'forbidden'
  if ((first & 0xfe00) === 0xfc00 || (first & 0xffc0) === 0xfec0) return 'private'
  return 'public'
}

/** The IPv4 address inside a mapped, translated (NAT64) or 6to4 address. */
function embedded4(groups: readonly number[]): Bytes | undefined {
  const zeros = (count: number) => groups.slice(0, count).every((group) => group === 0)
  if (zeros(5) && groups[5] === 0xffff) return four(groups[6], groups[7])
  if (zeros(6) && groups[6] !== 0) return four(groups[6], groups[7])
  if (groups[0] === 0x64 && groups[1] === 0xff9b && groups.slice(2, 6).every((g) => g === 0)) {
    return four(groups[6], groups[7])
  }
  return groups[0] === 0x2002 ? four(groups[1], groups[2]) : undefined
}

function four(high = 0, low = 0): Bytes {
  return [high >> 8, high & 255, low >> 8, low & 255]
}

/** Checks an address from the file. Returns it without a trailing slash, or what is wrong with it. */
export function checkUrl(
  text: string,
  allowPrivateNetwork: boolean,
): { readonly url: string } | { readonly problem: string } {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return { problem: 'must be a URL such as https://api.example.com/v1' }
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return { problem: 'must begin with http:// or https://' }
  }
  if (url.username !== '' || url.password !== '') {
    return { problem: 'must not contain credentials; put them into "keys"' }
  }
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(text)) {
    return { problem: 'must not contain a query or a fragment' }
  }
  const kind = addressKind(url.hostname)
  if (kind === 'forbidden') {
    return { problem: `${url.hostname} is an address that calls are never sent to` }
  }
  if (kind === 'private' && !allowPrivateNetwork) {
    return {
      problem: `${url.hostname} is a private address; set "allow_private_network": true in "network_config" if that is meant`,
    }
  }
  return { url: url.href.replace(/\/+$/, '') }
}
