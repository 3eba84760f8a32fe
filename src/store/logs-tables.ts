// The tables of `logs.db`; `logs-schema.ts` says what they are for.

/** Which layout of the file this is; `PRAGMA user_version`. Files of another, older one are laid aside. */
export const LOG_LAYOUT = 3

/** A fact of a call as it stands in `calls` and, packed, in `segments`. */
export interface Fact {
  readonly name: string
  /** Values are kept as whole numbers of this part of one, such as 1000 for milliseconds with three digits. */
  readonly scale: number
  /** What gives it in `calls`. */
  readonly sql: string
}

const fact = (name: string, scale = 1, sql = name): Fact => ({ name, scale, sql })

/** Whether a call is part of a session: 1 or 0. */
export const SESSION_FACT = 'in_session'

/** In the order of their numbers in `segments.k`: what has been released keeps its place, more come behind. */
export const FACTS = [
  fact('at_ms'),
  fact('object_k'),
  fact('stream'),
  fact('success'),
  fact('status_code'),
  fact('provider_k'),
  fact('model_k'),
  fact('model_used_k'),
  fact('key_id_k'),
  fact('virtual_key_id_k'),
  fact('team_id_k'),
  fact('customer_id_k'),
  fact('user_id_k'),
  fact('routing_rule_id_k'),
  fact('routing_engines_k'),
  fact('cache_hit_type_k'),
  fact('stop_reason_k'),
  fact('user_agent_k'),
  fact('app_k'),
  fact(SESSION_FACT, 1, 'session_id IS NOT NULL'),
  fact('latency_ms', 1000),
  fact('upstream_ms', 1000),
  fact('first_token_ms', 1000),
  fact('prompt_tokens'),
  fact('completion_tokens'),
  fact('total_tokens'),
  fact('cached_read_tokens'),
  fact('cost'),
] as const satisfies readonly Fact[]

/** Rows of a segment: those whose number has the same upper bits. */
const segmentBits = 11
export const rowsInSegment = 2 ** segmentBits
export const segmentOf = (n: number): number => Math.floor(n / rowsInSegment)
const segmentsOfFact = 2 ** 24

/** The number of a packed fact in `segments`. */
export function segmentKey(place: number, segment: number): number {
  return place * segmentsOfFact + segment
}

/** Texts that occur in many rows, as `names` numbers them, by their column in the view. */
const named = [
  ...['object', 'provider', 'model', 'model_used', 'key_id', 'key_name', 'virtual_key_id'],
  ...['virtual_key_name', 'team_id', 'team_name', 'customer_id', 'customer_name', 'user_id'],
  ...['user_name', 'routing_rule_id', 'routing_rule_name', 'routing_engines', 'cache_hit_type'],
  ...['stop_reason', 'user_agent', 'app'],
] as const
const numbers = [
  ...['stream', 'status_code', 'latency_ms', 'queued_ms', 'upstream_ms', 'first_token_ms'],
  ...['prompt_tokens', 'completion_tokens', 'total_tokens', 'cached_read_tokens', 'cost'],
  ...['fallback_index', 'retries', 'attempts'],
] as const

/** What a call is told apart by, and counted by: columns of `calls` in the order in which rows are written. */
export const CALL_COLUMNS = [
  ...['n', 'id', 'session_id', 'at_ms', 'success'],
  ...named.map((name) => `${name}_k`),
  ...numbers,
]
/** Columns of `calls` behind those: where its bodies are. Nearly every row has them, so that they are no table of their own. */
export const BODY_COLUMNS = [
  ...['summary', 'block', 'request_at', 'request_kept', 'request_chars'],
  ...['answer_at', 'answer_kept', 'answer_chars'],
]
/** What few calls have: columns of `texts` beside the number of the row. */
export const TEXT_COLUMNS = ['usage', 'error', 'trail', 'dropped', 'metadata', 'trace']
export const NAMED: readonly string[] = named
export const NUMBERS: readonly string[] = numbers

const required = new Set(
  'at_ms success object_k provider_k stream status_code latency_ms queued_ms upstream_ms fallback_index retries attempts'.split(
    ' ',
  ),
)
const reals = new Set('latency_ms queued_ms upstream_ms first_token_ms cost'.split(' '))
const callColumns = CALL_COLUMNS.slice(3).map(
  (name) =>
    `${name} ${reals.has(name) ? 'REAL' : 'INTEGER'}${required.has(name) ? ' NOT NULL' : ''}`,
)
const bodyColumns = BODY_COLUMNS.map((name) => `${name} ${name === 'summary' ? 'TEXT' : 'INTEGER'}`)
const viewColumns = [
  ...['n', 'id', 'at_ms', `CASE success WHEN 1 THEN 'success' ELSE 'error' END AS status`],
  ...named.map((name) => `(SELECT text FROM names WHERE k = ${name}_k) AS ${name}`),
  ...['session_id', ...numbers],
]
/** How the view shows a body that lies in a block with others: as the way to it. */
export const placeMark = 'asbru-body:'
const place = (what: string): string =>
  `CASE WHEN ${what}_at IS NOT NULL
     THEN CAST('${placeMark}' || block || ':' || ${what}_at || ':' || ${what}_kept AS BLOB) END AS ${what}`

const none = (...names: string[]): string => names.map((name) => `'${name}_tokens', 0`).join(', ')
/** A usage without particulars is not written down: the numbers of the call say it all. */
const usage = `CASE WHEN prompt_tokens IS NOT NULL THEN json_object(
    'prompt_tokens', prompt_tokens, 'completion_tokens', completion_tokens, 'total_tokens', total_tokens,
    'prompt_tokens_details', json_object(
      'cached_tokens', cached_read_tokens, ${none('cache_write', 'audio', 'image')}),
    'completion_tokens_details', json_object(
      ${none('reasoning', 'audio', 'image', 'accepted_prediction', 'rejected_prediction')})) END`

/** The index of words, and up to which row it goes. */
const wordTables = `
  CREATE TABLE words (k INTEGER PRIMARY KEY, data BLOB);
  CREATE TABLE indexed (n INTEGER NOT NULL);
  INSERT INTO indexed SELECT COALESCE(MAX(n), 0) FROM calls;`

export const LOG_TABLES = `
  CREATE TABLE names (k INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, last_n INTEGER NOT NULL);
  CREATE TABLE calls (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL, session_id TEXT, ${callColumns.join(', ')},
    ${bodyColumns.join(', ')});
  CREATE INDEX calls_by_time ON calls (at_ms);
  CREATE INDEX calls_by_id ON calls (id);
  CREATE INDEX calls_by_session ON calls (session_id, n) WHERE session_id IS NOT NULL;
  CREATE TABLE texts (n INTEGER PRIMARY KEY, ${TEXT_COLUMNS.map((name) => `${name} TEXT`).join(', ')});
  CREATE TABLE blocks (block INTEGER PRIMARY KEY, last_n INTEGER NOT NULL, data BLOB NOT NULL);
  CREATE TABLE metadata (
    name TEXT NOT NULL, value TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (name, value, n)
  ) WITHOUT ROWID;
  ${wordTables}
  CREATE TABLE segments (k INTEGER PRIMARY KEY, lo REAL, hi REAL, data BLOB);
  CREATE TABLE bounds (floor INTEGER NOT NULL);
  INSERT INTO bounds VALUES (0);
  CREATE TABLE gone (n INTEGER PRIMARY KEY);
  CREATE TABLE stale (segment INTEGER PRIMARY KEY);
  CREATE TRIGGER calls_removed AFTER DELETE ON calls WHEN old.n > (SELECT floor FROM bounds) BEGIN
    INSERT OR IGNORE INTO gone VALUES (old.n);
  END;
  CREATE TRIGGER calls_priced AFTER UPDATE OF cost ON calls BEGIN
    INSERT OR IGNORE INTO stale VALUES (new.n >> ${segmentBits});
  END;
  CREATE VIEW logs AS SELECT ${viewColumns.join(', ')} FROM calls;
  CREATE VIEW details AS SELECT n, summary, COALESCE(usage, ${usage}) AS usage, error, trail, dropped,
    metadata, trace, ${place('request')}, request_chars, ${place('answer')}, answer_chars
    FROM calls LEFT JOIN texts USING (n);`
