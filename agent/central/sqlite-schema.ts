const TABLES = `
CREATE TABLE users (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL COLLATE NOCASE UNIQUE,
  display_name TEXT NOT NULL,
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  added_at INTEGER NOT NULL
) STRICT;

CREATE TABLE cards (
  token TEXT PRIMARY KEY CHECK (length(token) = 64),
  user_id INTEGER NOT NULL REFERENCES users (id),
  added_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  key_hash BLOB NOT NULL UNIQUE CHECK (length(key_hash) = 32),
  release_mode TEXT NOT NULL CHECK (release_mode IN ('all', 'newest')),
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  added_at INTEGER NOT NULL
) STRICT;

CREATE TABLE jobs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of submission
  id TEXT NOT NULL UNIQUE,
  user_id INTEGER NOT NULL REFERENCES users (id),
  state TEXT NOT NULL CHECK (state IN ('held', 'claimed', 'in-doubt', 'printed', 'canceled', 'expired')),
  title TEXT NOT NULL,
  format TEXT NOT NULL,
  size INTEGER NOT NULL CHECK (size > 0),
  submitted_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  ended_at INTEGER,
  sha256 TEXT NOT NULL,
  chunk_size INTEGER NOT NULL,
  chunks BLOB NOT NULL CHECK (length(chunks) = 32 * ((size + chunk_size - 1) / chunk_size)),
  CHECK ((ended_at IS NULL) = (state IN ('held', 'claimed', 'in-doubt')))
) STRICT;
CREATE INDEX jobs_held ON jobs (user_id, seq) WHERE state = 'held';
CREATE INDEX jobs_to_expire ON jobs (expires_at) WHERE state = 'held';
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE taps (
  id TEXT PRIMARY KEY,
  agent_id INTEGER NOT NULL REFERENCES agents (id),
  tap_hash BLOB NOT NULL,
  user_id INTEGER REFERENCES users (id), -- none: refused
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX taps_at ON taps (at);

CREATE TABLE claims (
  id TEXT PRIMARY KEY,
  job_seq INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
  agent_id INTEGER NOT NULL REFERENCES agents (id),
  tap_id TEXT NOT NULL,
  printer TEXT NOT NULL,
  claimed_at INTEGER NOT NULL,
  lease_until INTEGER NOT NULL,
  word TEXT CHECK (word IN ('printed', 'not printed', 'unknown')),
  end_state TEXT,
  reason TEXT,
  impressions INTEGER,
  sheets INTEGER,
  ended_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_job ON claims (job_seq);
CREATE INDEX claims_tap ON claims (tap_id);
CREATE INDEX claims_open_of_agent ON claims (agent_id) WHERE ended_at IS NULL;
-- The database itself refuses a second open claim on a job.
CREATE UNIQUE INDEX claims_open ON claims (job_seq) WHERE ended_at IS NULL;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  event TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
-- INSERT OR REPLACE deletes without firing the trigger above.
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)
  BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
`;

/** PINs, numbers of people, and what becomes of wrong ones. */
const PINS = `
ALTER TABLE users ADD COLUMN id_token TEXT CHECK (length(id_token) = 64);
CREATE UNIQUE INDEX users_id_token ON users (id_token);

CREATE TABLE pins (
  user_id INTEGER PRIMARY KEY REFERENCES users (id),
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  salt BLOB NOT NULL CHECK (length(salt) >= 16),
  cost_n INTEGER NOT NULL,
  cost_r INTEGER NOT NULL,
  cost_p INTEGER NOT NULL,
  required INTEGER NOT NULL CHECK (required IN (0, 1)), -- with a card, too
  set_at INTEGER NOT NULL
) STRICT;

CREATE TABLE lockouts (
  kind TEXT NOT NULL CHECK (kind IN ('person', 'reader')),
  subject TEXT NOT NULL, -- a user's id; an agent's id, a slash, and the reader's name
  wrong INTEGER NOT NULL,
  since INTEGER NOT NULL,
  locks INTEGER NOT NULL,
  locked_at INTEGER,
  PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;

ALTER TABLE taps ADD COLUMN pin_needed INTEGER NOT NULL DEFAULT 0 CHECK (pin_needed IN (0, 1));
`;

/** How jobs want to be printed. */
const TICKETS = `
ALTER TABLE jobs ADD COLUMN ticket TEXT; -- JSON; none: the printer's defaults
ALTER TABLE jobs ADD COLUMN job_password BLOB; -- sealed; gone with the job's end
CREATE INDEX jobs_with_password ON jobs (ended_at) WHERE job_password IS NOT NULL;
ALTER TABLE claims ADD COLUMN detail TEXT;
`;

/** Root documents and policies, signed; the release mode of agents is the policy's now. */
const POLICIES = `
CREATE TABLE roots (
  version INTEGER PRIMARY KEY,
  envelope TEXT NOT NULL,
  added_at INTEGER NOT NULL
) STRICT;

CREATE TABLE policies (
  root INTEGER NOT NULL REFERENCES roots (version),
  version INTEGER NOT NULL,
  envelope TEXT NOT NULL,
  added_at INTEGER NOT NULL,
  PRIMARY KEY (root, version)
) STRICT, WITHOUT ROWID;

ALTER TABLE agents DROP COLUMN release_mode;
`;

/** What came out on paper, and how well that is known: `Account` of agent/protocol, as JSON. */
const ACCOUNTS = "ALTER TABLE claims ADD COLUMN account TEXT CHECK (json_valid(account));";

/** Agents are known by a TLS key of their own. `agents.key_hash` is SHA-256 of it (SPKI) from here on; what was there fits no key. */
const ENROLMENT = `
ALTER TABLE agents ADD COLUMN next_key_hash BLOB CHECK (length(next_key_hash) = 32); -- in force from its first use
CREATE UNIQUE INDEX agents_next_key ON agents (next_key_hash);
ALTER TABLE agents ADD COLUMN certificate_until INTEGER; -- none: not enrolled
ALTER TABLE agents ADD COLUMN signing_key TEXT;
ALTER TABLE agents ADD COLUMN sealing_key TEXT;
ALTER TABLE agents ADD COLUMN boot_id TEXT;
ALTER TABLE agents ADD COLUMN cloned_at INTEGER;

CREATE TABLE agent_boots (
  agent_id INTEGER NOT NULL REFERENCES agents (id),
  boot_id TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  PRIMARY KEY (agent_id, boot_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolments (
  id TEXT PRIMARY KEY CHECK (length(id) = 64), -- SHA-256 of tls_key, hex
  tls_key BLOB NOT NULL,
  signing_key TEXT NOT NULL,
  sealing_key TEXT NOT NULL,
  proof TEXT NOT NULL,
  address TEXT NOT NULL,
  requested_at INTEGER NOT NULL,
  content BLOB, -- none: nobody approved yet
  approval_proof TEXT,
  CHECK ((content IS NULL) = (approval_proof IS NULL))
) STRICT, WITHOUT ROWID;
`;

/** What brings a database from each version to the next, the first from none. A step that was released never changes. */
export const STEPS: readonly string[] = [TABLES, PINS, TICKETS, POLICIES, ACCOUNTS, ENROLMENT];
