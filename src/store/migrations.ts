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
]
