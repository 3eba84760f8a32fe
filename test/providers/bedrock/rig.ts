import { MOCK_KEYS } from '#providers/mock/bedrock-sign.ts'

import { startGateway } from '../../helpers/gateway.ts'
import type { TestGateway } from '../../helpers/gateway.ts'
import { startUpstream } from '../../helpers/upstream.ts'
import type { Upstream } from '../../helpers/upstream.ts'

/** A gateway that signs, with the mock's dialect behind it, which checks what was signed. */
export interface Rig {
  readonly upstream: Upstream
  readonly gateway: TestGateway
  stop(): Promise<void>
}

const [{ accessKeyId, secretAccessKey }] = MOCK_KEYS

/** Keys that the mock takes. */
export const keys = { region: 'eu-central-1', access_key: accessKeyId, secret_key: secretAccessKey }

/** `key` replaces the usual one; `env` is the gateway's environment. */
export async function startRig(key?: object, env?: Record<string, string>): Promise<Rig> {
  const upstream = await startUpstream()
  const gateway = await startGateway({
    config: {
      providers: {
        bedrock: {
          keys: [key ?? { bedrock_key_config: keys }],
          network_config: { base_url: upstream.url },
        },
      },
    },
    ...(env && { env }),
  })
  return {
    upstream,
    gateway,
    async stop() {
      await gateway.stop()
      await upstream.stop()
    },
  }
}
