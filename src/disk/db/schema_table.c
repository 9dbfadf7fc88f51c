/* SPDX-License-Identifier: Apache-2.0 */
#include <glib.h>

#include "disk/db/db_schema.h"

/* `boot`: the boot a row was written in, until its data is known to be on disk; NULL from then on.
 * `seq` grows and is never used twice, so that "all rows up to here" can be said. */
static const char first[] =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"

    "CREATE TABLE blobs ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  digest TEXT NOT NULL UNIQUE,"
    "  size_bytes INT NOT NULL,"
    "  created_us INT NOT NULL,"
    "  last_used_us INT NOT NULL,"
    "  boot TEXT);"
    "CREATE INDEX blobs_unsafe ON blobs (boot) WHERE boot IS NOT NULL;"

    "CREATE TABLE snapshots ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  parent TEXT,"
    "  depth INT NOT NULL,"
    "  description TEXT,"
    "  chain_id TEXT UNIQUE,"
    "  diff_id TEXT,"
    "  tar_bytes INT,"
    "  size_bytes INT NOT NULL,"
    "  created_us INT NOT NULL,"
    "  last_used_us INT NOT NULL,"
    "  n_uses INT NOT NULL DEFAULT 0,"
    "  boot TEXT);"
    "CREATE INDEX snapshots_parent ON snapshots (parent);"
    "CREATE INDEX snapshots_unsafe ON snapshots (boot) WHERE boot IS NOT NULL;"

    "CREATE TABLE images ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT," /* NULL: it had one, and another image took it */
    "  platform TEXT NOT NULL,"
    "  config_digest TEXT NOT NULL,"
    "  manifest_digest TEXT,"
    "  snapshot TEXT,"
    "  size_bytes INT NOT NULL,"
    "  created_us INT NOT NULL,"
    "  UNIQUE (name, platform));"
    "CREATE INDEX images_config ON images (config_digest);"
    "CREATE INDEX images_snapshot ON images (snapshot);"

    "CREATE TABLE archives (" /* the compressed blob that was made for a layer */
    "  diff_id TEXT NOT NULL,"
    "  media_type TEXT NOT NULL,"
    "  digest TEXT NOT NULL,"
    "  size INT NOT NULL,"
    "  PRIMARY KEY (diff_id, media_type));"
    "CREATE INDEX archives_digest ON archives (digest);"

    "CREATE TABLE cache ("
    "  key TEXT PRIMARY KEY,"
    "  kind INT,"
    "  snapshot TEXT,"
    "  ingredients TEXT,"
    "  description TEXT,"
    "  created_us INT,"
    "  last_used_us INT,"
    "  n_uses INT,"
    "  boot TEXT);"
    "CREATE INDEX cache_snapshot ON cache (snapshot);"
    "CREATE INDEX cache_unsafe ON cache (boot) WHERE boot IS NOT NULL;"

    "CREATE TABLE cachemounts ("
    "  namespace TEXT NOT NULL,"
    "  id TEXT NOT NULL,"
    "  dir TEXT NOT NULL,"
    "  created_us INT NOT NULL,"
    "  last_used_us INT NOT NULL,"
    "  last_step TEXT,"
    "  n_uses INT NOT NULL DEFAULT 0,"
    "  size_bytes INT NOT NULL DEFAULT 0,"
    "  pin INT NOT NULL DEFAULT 0,"
    "  quota INT NOT NULL DEFAULT 0,"
    "  PRIMARY KEY (namespace, id, dir));"
    "CREATE INDEX cachemounts_dir ON cachemounts (dir);"

    "CREATE TABLE contexts ("  /* the stat cache of a build context */
    "  root TEXT PRIMARY KEY," /* \"dev:ino\" */
    "  cache BLOB,"
    "  used_us INT);";

/* What a snapshot's layer looked like when it was committed, see cob_tree_measure(). NULL: that was
 * not looked at yet. */
static const char second[] = "ALTER TABLE snapshots ADD COLUMN n_entries INT;"
                             "ALTER TABLE snapshots ADD COLUMN fingerprint INT;";

/* What was brought from other people's servers: the last answer for a URL, by a hash of it, and the
 * snapshots that were made of files and commits. */
static const char third[] = "CREATE TABLE downloads ("
                            "  key TEXT PRIMARY KEY,"
                            "  etag TEXT,"
                            "  last_modified TEXT,"
                            "  filename TEXT,"
                            "  digest TEXT NOT NULL,"
                            "  mtime_s INT NOT NULL,"
                            "  used_us INT NOT NULL);"
                            "CREATE TABLE remotes ("
                            "  key TEXT PRIMARY KEY,"
                            "  snapshot TEXT NOT NULL,"
                            "  used_us INT NOT NULL);";

/* Cache keys that were removed, and by which rule, so that a step that runs again can say why. */
static const char fourth[] = "CREATE TABLE evictions ("
                             "  key TEXT PRIMARY KEY,"
                             "  description TEXT,"
                             "  rule TEXT NOT NULL,"
                             "  at_us INT NOT NULL) WITHOUT ROWID;"
                             "CREATE INDEX evictions_at ON evictions (at_us);";

/* For budgets. `origin`: the snapshot whose files this one's are hard links to, for all of one file
 * the same; linked_bytes: how much of size_bytes that is. Mirrors are folders below git/. */
static const char budgets[] = "ALTER TABLE snapshots ADD COLUMN origin TEXT;"
                              "ALTER TABLE snapshots ADD COLUMN linked_bytes INT DEFAULT 0;"
                              "CREATE TABLE mirrors ("
                              "  name TEXT PRIMARY KEY," /* of its folder */
                              "  remote TEXT NOT NULL,"
                              "  size_bytes INT NOT NULL,"
                              "  created_us INT NOT NULL,"
                              "  used_us INT NOT NULL,"
                              "  n_uses INT NOT NULL) WITHOUT ROWID;"
                              "CREATE INDEX remotes_snapshot ON remotes (snapshot);";

/* Cache mounts: how large they were when that was looked at, and which steps used them. */
static const char cachemounts[] =
    "ALTER TABLE cachemounts ADD COLUMN n_files INT NOT NULL DEFAULT 0;"
    "ALTER TABLE cachemounts ADD COLUMN measured_us INT NOT NULL DEFAULT 0;"
    "CREATE TABLE cachemount_uses ("
    "  namespace TEXT NOT NULL,"
    "  id TEXT NOT NULL,"
    "  step TEXT NOT NULL,"
    "  project TEXT NOT NULL,"
    "  first_us INT NOT NULL,"
    "  last_us INT NOT NULL,"
    "  n_uses INT NOT NULL,"
    "  PRIMARY KEY (namespace, id, step, project)) WITHOUT ROWID;";

/* What ran, so that a step that runs again can say what is different: its facts, and lists of the
 * files that it took, each kept as long as a step has it. */
static const char steps[] =
    "CREATE TABLE steps ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  project TEXT NOT NULL,"
    "  stage TEXT NOT NULL,"
    "  place INT NOT NULL,"
    "  text TEXT NOT NULL," /* a digest of it */
    "  facts TEXT NOT NULL,"
    "  is_well INT NOT NULL,"
    "  at_us INT NOT NULL);"
    "CREATE INDEX steps_place ON steps (project, stage);"
    "CREATE INDEX steps_text ON steps (text);"
    "CREATE INDEX steps_at ON steps (at_us);"
    "CREATE TABLE step_files ("
    "  step INT NOT NULL,"
    "  content TEXT NOT NULL,"
    "  PRIMARY KEY (step, content)) WITHOUT ROWID;"
    "CREATE INDEX step_files_content ON step_files (content);"
    "CREATE TABLE file_lists ("
    "  content TEXT PRIMARY KEY,"
    "  files BLOB NOT NULL);"
    "CREATE TRIGGER steps_drop AFTER DELETE ON steps BEGIN"
    "  DELETE FROM step_files WHERE step = OLD.seq;"
    " END;"
    "CREATE TRIGGER step_files_drop AFTER DELETE ON step_files BEGIN"
    "  DELETE FROM file_lists WHERE content = OLD.content"
    "   AND NOT EXISTS (SELECT 1 FROM step_files WHERE content = OLD.content);"
    " END;";

/* Cache mounts that travel: digests of their files, and the index that each place had when a mount
 * was last in step with it. `mount` says which directory it is, see build/mountcache. */
static const char mounts_travel[] = "CREATE TABLE mount_stats ("
                                    "  mount TEXT PRIMARY KEY,"
                                    "  cache BLOB NOT NULL,"
                                    "  used_us INT NOT NULL);"
                                    "CREATE TABLE mount_places ("
                                    "  mount TEXT NOT NULL,"
                                    "  place TEXT NOT NULL,"
                                    "  digest TEXT NOT NULL,"
                                    "  plain_len INT NOT NULL,"
                                    "  stored BLOB NOT NULL,"
                                    "  used_us INT NOT NULL,"
                                    "  PRIMARY KEY (mount, place));";

const char *const cob_db_schema[] = {
    first, second, third, fourth, cachemounts, budgets, steps, mounts_travel};
const int cob_db_schema_version = G_N_ELEMENTS(cob_db_schema);
