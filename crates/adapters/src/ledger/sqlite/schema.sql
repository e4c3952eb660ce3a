-- The ledger of one run of s3-bucket-loader, version 1. Described in docs/FORMAT.md, "The ledger".
--
-- Start with the views: `summary`, `progress`, `failures`, `worker`. To look is safe at any time; to change
-- anything by hand is not: the sums of a run must add up.
--
-- Times `..._ms` are milliseconds since 1970-01-01T00:00:00Z; the column of the same name without `_ms` shows them as
-- text, in UTC. Paths are TEXT where they are UTF-8 and BLOB where not; the empty path is the source root. A bytes
-- column without another word counts by the sizes that the TOC says. `..._crc64` is the CRC64NVME of the blob beside it.

CREATE TABLE run (
    -- What the run is. One row.
    only           INTEGER PRIMARY KEY CHECK (only = 1),
    run            TEXT    NOT NULL,  -- the run's name
    created_ms     INTEGER NOT NULL,  -- when the ledger was made
    created        TEXT    GENERATED ALWAYS AS (strftime('%Y-%m-%dT%H:%M:%fZ', created_ms / 1000.0, 'unixepoch')),
    program        TEXT    NOT NULL,  -- version of the program that made it
    source         ANY     NOT NULL,  -- the directory that is listed
    destination    TEXT    NOT NULL,  -- s3://bucket/prefix
    settings       TEXT    NOT NULL   -- everything that the run was asked to do, as JSON
) STRICT;

CREATE TABLE epoch (
    -- The masters that led the run, one row each.
    number         INTEGER PRIMARY KEY,  -- 1, 2, ...
    began_ms       INTEGER NOT NULL,     -- when it took the run
    began          TEXT    GENERATED ALWAYS AS (strftime('%Y-%m-%dT%H:%M:%fZ', began_ms / 1000.0, 'unixepoch')),
    last_ms        INTEGER NOT NULL,     -- when it appended last
    last           TEXT    GENERATED ALWAYS AS (strftime('%Y-%m-%dT%H:%M:%fZ', last_ms / 1000.0, 'unixepoch'))
) STRICT;

CREATE TABLE phase (
    -- Every phase that the run entered, in order.
    number         INTEGER PRIMARY KEY,  -- 1, 2, ...
    epoch          INTEGER NOT NULL,     -- the master that led; 0 before the first
    phase          TEXT    NOT NULL,     -- INITIALIZED, WRITE, VALIDATE, ERROR_REPORT, SHUTDOWN
    entered_ms     INTEGER NOT NULL,     -- when
    entered        TEXT    GENERATED ALWAYS AS (strftime('%Y-%m-%dT%H:%M:%fZ', entered_ms / 1000.0, 'unixepoch'))
) STRICT;

CREATE TABLE walk (
    -- The walk through the source. One row.
    only           INTEGER PRIMARY KEY CHECK (only = 1),
    restarts       INTEGER NOT NULL DEFAULT 0,  -- how often it began anew, after a master that did not end it
    void_tasks_max INTEGER NOT NULL DEFAULT 0,  -- highest batch number that a new beginning made void
    findings       INTEGER NOT NULL DEFAULT 0,  -- findings of the walk so far; numbers the next
    is_closed      INTEGER NOT NULL DEFAULT 0,  -- 1 when it came to its end; what follows is null until then
    seen           INTEGER,  -- everything that a directory named: emitted + excluded + unreadable
    emitted        INTEGER,  -- entries of the TOC: files + directories + symlinks + specials
    excluded       INTEGER,  -- kept out by a filter
    unreadable     INTEGER,  -- could not be examined
    files          INTEGER,  -- regular files
    directories    INTEGER,  -- directories
    symlinks       INTEGER,  -- symbolic links
    specials       INTEGER,  -- FIFOs, sockets, devices
    bytes          INTEGER,  -- bytes of content of all entries
    tasks          INTEGER   -- highest batch number
) STRICT;

CREATE TABLE retry (
    -- Every time that failed entries were taken up again.
    number         INTEGER PRIMARY KEY,  -- 1, 2, ...
    began_ms       INTEGER NOT NULL,     -- when
    began          TEXT    GENERATED ALWAYS AS (strftime('%Y-%m-%dT%H:%M:%fZ', began_ms / 1000.0, 'unixepoch')),
    entries        INTEGER NOT NULL      -- entries that were taken out of their batches and put into new ones
) STRICT;

CREATE TABLE task (
    -- The table of contents: a row for each batch of entries. Written once; `retry` alone takes entries out.
    id             INTEGER PRIMARY KEY,  -- number of the batch, in the order of the crawl
    entries        INTEGER NOT NULL,     -- entries in it
    bytes          INTEGER NOT NULL,     -- sum of their sizes
    first_path     ANY     NOT NULL,     -- path of its first entry
    last_path      ANY     NOT NULL,     -- path of its last entry
    retry          INTEGER               -- retry.number of the retry that made it; null if the crawl did
) STRICT;

CREATE TABLE task_entries (
    -- The entries of each batch, packed; docs/FORMAT.md, "Packed entries".
    task           INTEGER PRIMARY KEY,  -- task.id
    packed         BLOB    NOT NULL,     -- path, kind, size and mtime of each entry
    packed_crc64   INTEGER NOT NULL
) STRICT;

CREATE TABLE write_result (
    -- The result of a batch in the pass WRITE: the first that came.
    task           INTEGER PRIMARY KEY,  -- task.id
    attempt        INTEGER NOT NULL,     -- which handing out of the batch
    worker         TEXT    NOT NULL,     -- who did it
    entries        INTEGER NOT NULL,     -- written + skipped + failed
    bytes          INTEGER NOT NULL,     -- written_bytes + skipped_bytes + failed_bytes
    written        INTEGER NOT NULL,     -- entries that are in the store
    written_bytes  INTEGER NOT NULL,
    skipped        INTEGER NOT NULL,     -- left out by policy
    skipped_bytes  INTEGER NOT NULL,
    failed         INTEGER NOT NULL,     -- could not be written
    failed_bytes   INTEGER NOT NULL,
    sent_bytes     INTEGER NOT NULL,     -- bytes that were sent; those of entries that were retried since included
    refreshed      INTEGER NOT NULL,     -- written entries that were newer than the TOC said
    unproven       INTEGER NOT NULL,     -- written entries whose store proved nothing
    retries        INTEGER NOT NULL,     -- requests that were repeated
    requests       TEXT    NOT NULL      -- requests by kind, as JSON, repeated ones included
) STRICT;

CREATE TABLE write_outcomes (
    -- What became of each entry of a batch in the pass WRITE: entity tags, checksums, sizes; docs/FORMAT.md, "Outcomes".
    task           INTEGER PRIMARY KEY,  -- task.id
    outcomes       BLOB    NOT NULL,     -- one outcome for each entry, in the order of the batch
    outcomes_crc64 INTEGER NOT NULL
) STRICT;

CREATE TABLE validate_result (
    -- The result of a batch in the pass VALIDATE: the first that came.
    task           INTEGER PRIMARY KEY,  -- task.id
    attempt        INTEGER NOT NULL,     -- which handing out of the batch
    worker         TEXT    NOT NULL,     -- who did it
    written        INTEGER NOT NULL,     -- validated + mismatched + missing + unknown
    validated      INTEGER NOT NULL,     -- entries whose object is the file: by_read + ... + by_size
    mismatched     INTEGER NOT NULL,     -- entries whose object is another
    missing        INTEGER NOT NULL,     -- entries without an object
    unknown        INTEGER NOT NULL,     -- entries that could not be checked
    by_read        INTEGER NOT NULL,     -- validated by reading the object and the file
    by_reread      INTEGER NOT NULL,     -- by reading the file again, against the object's checksum
    by_head        INTEGER NOT NULL,     -- by HEAD
    by_list        INTEGER NOT NULL,     -- by LIST
    by_size        INTEGER NOT NULL,     -- by size alone: weak
    requests       TEXT    NOT NULL      -- requests by kind, as JSON, repeated ones included
) STRICT;

CREATE TABLE finding (
    -- Every entry that did not come out well, a row each.
    phase          TEXT    NOT NULL,     -- walk, write, validate
    task           INTEGER NOT NULL,     -- task.id; 0 in the walk
    idx            INTEGER NOT NULL,     -- index of the entry in its batch, from 0; in the walk a running number
    retry          INTEGER NOT NULL,     -- 0 while the finding counts; else which retry took the entry up again
    path           ANY     NOT NULL,     -- where the entry lies
    class          TEXT    NOT NULL,     -- the kind of trouble: unreadable, etag-mismatch, ...
    verdict        TEXT    NOT NULL,     -- how it counts: skipped, failed, mismatched, missing, unknown
    message        TEXT    NOT NULL,     -- what was tried, and what the other side said
    attempts       INTEGER NOT NULL,     -- how often it was tried
    worker         TEXT,                 -- who found it; null in the walk
    PRIMARY KEY (phase, task, idx, retry)
) STRICT, WITHOUT ROWID;

CREATE TABLE upload (
    -- Multipart uploads that were begun; those that are not ended must be completed or aborted.
    id             INTEGER PRIMARY KEY,  -- 1, 2, ...
    key            TEXT    NOT NULL,     -- the object
    upload         TEXT    NOT NULL,     -- the store's name of the upload
    is_ended       INTEGER NOT NULL,     -- 1 when it was completed or aborted
    task           INTEGER,              -- task.id of a large file whose parts several workers send; null: one worker
                                         -- sends it, or it broke. What follows is null too, then
    size           INTEGER,              -- bytes of the version of the file that was begun
    mtime_s        INTEGER,              -- time of that version: seconds since 1970
    mtime_ns       INTEGER,              -- and nanoseconds
    part_size      INTEGER,              -- bytes of each part but the last
    parts          INTEGER,              -- number of parts
    first_step     INTEGER,              -- number of its first step, counted over all uploads from 0
    steps          INTEGER,              -- its steps: one for each range of parts, and the completion
    UNIQUE (key, upload)
) STRICT;

CREATE TABLE part (
    -- The parts that the store has of large files.
    upload         INTEGER NOT NULL,     -- upload.id
    number         INTEGER NOT NULL,     -- 1, 2, ...
    size           INTEGER NOT NULL,     -- bytes
    etag           TEXT    NOT NULL,     -- entity tag that the store answered
    crc64          INTEGER NOT NULL,     -- CRC64NVME of its bytes
    retries        INTEGER NOT NULL,     -- requests that were repeated on the way
    worker         TEXT    NOT NULL,     -- who sent it
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

CREATE VIEW summary AS
-- How does the run stand? One row.
SELECT run.run, run.source, run.destination, run.created,
       (SELECT phase FROM phase ORDER BY number DESC LIMIT 1) AS phase,
       (SELECT last FROM epoch ORDER BY number DESC LIMIT 1) AS last_sign_of_life,
       walk.is_closed AS is_toc_closed, walk.excluded, walk.unreadable,
       toc.entries AS toc_entries, toc.bytes AS toc_bytes,
       written.written, written.skipped, written.failed, toc.entries - written.entries AS unwritten,
       validated.validated, validated.mismatched, validated.missing, validated.unknown,
       written.written - validated.written AS unvalidated
FROM run, walk,
     (SELECT ifnull(sum(entries), 0) AS entries, ifnull(sum(bytes), 0) AS bytes FROM task) AS toc,
     (SELECT ifnull(sum(entries), 0) AS entries, ifnull(sum(written), 0) AS written,
             ifnull(sum(skipped), 0) AS skipped, ifnull(sum(failed), 0) AS failed FROM write_result) AS written,
     (SELECT ifnull(sum(written), 0) AS written, ifnull(sum(validated), 0) AS validated,
             ifnull(sum(mismatched), 0) AS mismatched, ifnull(sum(missing), 0) AS missing,
             ifnull(sum(unknown), 0) AS unknown FROM validate_result) AS validated;

CREATE VIEW progress AS
-- How far is each pass, in entries and in percent of what it has to do?
SELECT 'WRITE' AS pass, written + skipped + failed AS done, unwritten AS to_do,
       round(100.0 * (written + skipped + failed) / max(toc_entries, 1), 1) AS percent
FROM summary
UNION ALL
SELECT 'VALIDATE', written - unvalidated, unvalidated,
       round(100.0 * (written - unvalidated) / max(written, 1), 1)
FROM summary;

CREATE VIEW failures AS
-- What went wrong, as far as it counts now?
SELECT phase, class, verdict, path, message, attempts, worker, task, idx FROM finding WHERE retry = 0;

CREATE VIEW worker AS
-- What did each worker do?
SELECT worker, sum(written) AS written, sum(validated) AS validated, sum(failed) AS failed
FROM (SELECT worker, written, 0 AS validated, failed FROM write_result
      UNION ALL
      SELECT worker, 0, validated, mismatched + missing + unknown FROM validate_result)
GROUP BY worker;
