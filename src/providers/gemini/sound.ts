// Spoken answers come as bare samples ("Speech generation", as read in November 2026); files need a header.

const headerBytes = 44
const usualRate = 24_000

/** Base64 of a WAV file around samples of 16 bits on one channel; `mimeType` may name the rate. */
export function wavOf(samples: readonly string[], mimeType: string): string {
  const data = Buffer.concat(samples.map((base64) => Buffer.from(base64, 'base64')))
  const named = Number(/rate=(\d{1,6})/.exec(mimeType)?.[1])
  const rate = named > 0 ? named : usualRate
  const file = Buffer.alloc(headerBytes + data.length)
  file.write('RIFF', 0, 'latin1')
  file.writeUInt32LE(headerBytes - 8 + data.length, 4)
  file.write('WAVEfmt ', 8, 'latin1')
  file.writeUInt32LE(16, 16)
  file.writeUInt16LE(1, 20)
  file.writeUInt16LE(1, 22)
  file.writeUInt32LE(rate, 24)
  file.writeUInt32LE(rate * 2, 28)
  file.writeUInt16LE(2, 32)
  file.writeUInt16LE(16, 34)
  file.write('data', 36, 'latin1')
  file.writeUInt32LE(data.length, 40)
  data.copy(file, headerBytes)
  return file.toString('base64')
}

/** Base64 of the samples as they are. */
export function samplesOf(samples: readonly string[]): string {
  return Buffer.concat(samples.map((base64) => Buffer.from(base64, 'base64'))).toString('base64')
}

/** True for samples without a file around them. */
export function isBare(mimeType: string): boolean {
  return /^audio\/(?:l16|pcm|x-pcm)\b/i.test(mimeType)
}
