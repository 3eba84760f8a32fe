// What a condition of a routing rule may speak about.

/** The words of conditions. Getters may find out late what is dear to know. */
export interface Facts {
  /** Without the provider prefix. */
  readonly model: string
  readonly provider: string
  /** The operation, `chat_completion` for one, whether it streams or not. */
  readonly request_type: string
  readonly stream: boolean
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The parameters of the query; of repeated ones the last. */
  readonly params: Readonly<Record<string, string>>
  /** Of the texts of the request. */
  readonly token_estimate: bigint
  readonly now: Date
  readonly virtual_key_id: string
  readonly virtual_key_name: string
  readonly team_id: string
  readonly team_name: string
  readonly customer_id: string
  readonly customer_name: string
  readonly user_id: string
  readonly complexity_tier: string
  /** Per cent of what the caller's budget and limits allow, 0 to 100. */
  readonly budget_used: number
  readonly tokens_used: number
  readonly request: number
}

/** The type of each in the words of CEL. */
export const FACT_TYPES: Readonly<Record<keyof Facts, string>> = {
  model: 'string',
  provider: 'string',
  request_type: 'string',
  stream: 'bool',
  headers: 'map<string, string>',
  params: 'map<string, string>',
  token_estimate: 'int',
  now: 'google.protobuf.Timestamp',
  virtual_key_id: 'string',
  virtual_key_name: 'string',
  team_id: 'string',
  team_name: 'string',
  customer_id: 'string',
  customer_name: 'string',
  user_id: 'string',
  complexity_tier: 'string',
  budget_used: 'double',
  tokens_used: 'double',
  request: 'double',
}

/** Those that nothing sets yet: always empty, or 0. */
export const UNKNOWN_FACTS: ReadonlySet<string> = new Set([
  'user_id',
  'complexity_tier',
  'budget_used',
  'tokens_used',
  'request',
])
