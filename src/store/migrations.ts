// The shape of `asbru.db`, as a list that only ever grows: what has been released is never edited, since files out
// there have been through it. `PRAGMA user_version` counts how many of them a file has seen.

export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE responses (
     id TEXT PRIMARY KEY,
     owner TEXT NOT NULL,
     previous_id TEXT,
     provider TEXT NOT NULL,
     model TEXT,
     created_at_ms INTEGER NOT NULL,
     bytes INTEGER NOT NULL,
     body TEXT NOT NULL
   );
   CREATE INDEX responses_by_age ON responses (created_at_ms, bytes);
   CREATE TABLE response_items (
     response_id TEXT NOT NULL,
     is_output INTEGER NOT NULL,
     place INTEGER NOT NULL,
     id TEXT,
     body TEXT NOT NULL
   );
   CREATE UNIQUE INDEX response_items_by_place ON response_items (response_id, is_output, place, id);
   CREATE INDEX response_items_by_id ON response_items (id);`,
  `CREATE TABLE jobs (
     seq INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     owner TEXT NOT NULL,
     endpoint TEXT NOT NULL,
     model TEXT,
     provider TEXT NOT NULL,
     request_id TEXT NOT NULL,
     state TEXT NOT NULL,
     created_at_ms INTEGER NOT NULL,
     completed_at_ms INTEGER,
     expires_at_ms INTEGER,
     ttl_ms INTEGER NOT NULL,
     idempotency_key TEXT,
     body_hash TEXT NOT NULL,
     holds_key INTEGER NOT NULL,
     worker TEXT,
     lease_until_ms INTEGER,
     starts INTEGER NOT NULL DEFAULT 0,
     webhook TEXT,
     bytes INTEGER NOT NULL,
     status_code INTEGER,
     headers TEXT,
     request TEXT,
     body BLOB,
     result BLOB
   );
   CREATE UNIQUE INDEX jobs_by_idempotency_key ON jobs (owner, idempotency_key)
     WHERE idempotency_key IS NOT NULL;
   CREATE INDEX jobs_by_owner ON jobs (owner, seq);
   CREATE INDEX jobs_pending ON jobs (seq) WHERE state = 'pending';
   CREATE INDEX jobs_leased ON jobs (lease_until_ms) WHERE lease_until_ms IS NOT NULL;
   CREATE INDEX jobs_by_expiry ON jobs (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
   CREATE TABLE job_totals (queued INTEGER NOT NULL, bytes INTEGER NOT NULL);
   INSERT INTO job_totals VALUES (0, 0);
   CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
     UPDATE job_totals SET queued = queued + (new.state = 'pending'), bytes = bytes + new.bytes;
   END;
   CREATE TRIGGER jobs_changed AFTER UPDATE OF state, bytes ON jobs BEGIN
     UPDATE job_totals SET queued = queued + (new.state = 'pending') - (old.state = 'pending'),
       bytes = bytes + new.bytes - old.bytes;
   END;
   CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN
     UPDATE job_totals SET queued = queued - (old.state = 'pending'), bytes = bytes - old.bytes;
   END;
   CREATE TABLE webhook_deliveries (
     id TEXT PRIMARY KEY,
     job_id TEXT NOT NULL,
     webhook TEXT NOT NULL,
     attempts INTEGER NOT NULL DEFAULT 0,
     next_at_ms INTEGER NOT NULL
   );
   CREATE INDEX webhook_deliveries_by_job ON webhook_deliveries (job_id);
   CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (webhook, next_at_ms);`,
  `ALTER TABLE jobs ADD COLUMN streams INTEGER NOT NULL DEFAULT 0`,
  `ALTER TABLE webhook_deliveries ADD COLUMN event TEXT;
   CREATE INDEX webhook_deliveries_next ON webhook_deliveries (next_at_ms);
   CREATE TABLE webhook_attempts (
     seq INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     delivery_id TEXT NOT NULL,
     webhook TEXT NOT NULL,
     job_id TEXT NOT NULL,
     request_id TEXT,
     event TEXT NOT NULL,
     attempt INTEGER NOT NULL,
     outcome TEXT NOT NULL,
     status_code INTEGER,
     error TEXT,
     created_at_ms INTEGER NOT NULL
   );
   CREATE INDEX webhook_attempts_by_delivery ON webhook_attempts (delivery_id, seq);
   CREATE INDEX webhook_attempts_by_webhook ON webhook_attempts (webhook, seq, delivery_id);
   CREATE INDEX webhook_attempts_by_outcome ON webhook_attempts (outcome, seq, delivery_id);
   CREATE INDEX webhook_successes ON webhook_attempts (webhook, seq) WHERE outcome = 'delivered';
   CREATE INDEX webhook_failures ON webhook_attempts (webhook, seq) WHERE outcome <> 'delivered';
   CREATE INDEX webhook_attempts_by_job ON webhook_attempts (job_id);
   CREATE INDEX webhook_attempts_by_age ON webhook_attempts (created_at_ms);`,
  `CREATE TABLE user_agent_mappings (
     id TEXT PRIMARY KEY,
     pattern TEXT NOT NULL,
     match_type TEXT NOT NULL,
     app TEXT NOT NULL,
     is_active INTEGER NOT NULL,
     created_at_ms INTEGER NOT NULL,
     updated_at_ms INTEGER NOT NULL
   );`,
]
