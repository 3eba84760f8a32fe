import { describe, expect, test } from 'bun:test'

import { addressKind } from '#config/address.ts'
import type { AddressKind } from '#config/address.ts'

const kinds: Readonly<Record<AddressKind, readonly string[]>> = {
  name: ['api.openai.com', '1.2.3.4.example.com', 'localhost.example.com', '256.1.1.1', '1.2.3'],
  public: ['8.8.8.8', '172.32.0.1', '100.128.0.1', '[2606:4700::1111]', '[64:ff9b::808:808]'],
  loopback: ['localhost', 'LOCALHOST.', 'a.localhost', '127.0.0.1', '127.255.0.9', '[::1]', '::1'],
  private: [
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '100.64.0.1',
    '0.0.0.0',
    '198.18.0.1',
    '[::]',
    '[fc00::1]',
    '[fdff::1]',
    '[::ffff:10.0.0.1]',
    '[::ffff:c0a8:1]',
    '[64:ff9b::a00:1]',
    '[2002:a00:1::]',
    '[::a00:1]',
  ],
  forbidden: [
    '169.254.169.254',
    '169.254.0.1',
    '100.100.100.200',
    '224.0.0.1',
    '255.255.255.255',
    '[fe80::1]',
    '[febf::1]',
    '[fe80::1%eth0]',
    '[ff02::1]',
    '[fd00:ec2::254]',
    '[::ffff:169.254.169.254]',
    '[64:ff9b::a9fe:a9fe]',
    '[1:2:3]',
    '[::1::2]',
    '[zz::1]',
  ],
}

for (const [kind, hosts] of Object.entries(kinds)) {
  describe(kind, () => {
    for (const host of hosts) test(host, () => expect<string>(addressKind(host)).toBe(kind))
  })
}
