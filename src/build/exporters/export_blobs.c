/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "build/exporters/export_parts.h"
#include "util/fs.h"

/* What the table `archives` knows: the blob that a layer was compressed to. */
struct known_blob {
    char *digest; /* NULL: none */
    uint64_t size;
};

static struct cob_error *read_known(void *arg, const struct cob_db_row *row)
{
    struct known_blob *known = arg;

    known->digest = g_strdup(cob_db_row_text(row, 0));
    known->size = (uint64_t)cob_db_row_int(row, 1);
    return NULL;
}

/* digest stays NULL when there is none, or its file is gone. */
static struct cob_error *find_blob(
    struct cob_store *store, const char *diff_id, const char *media_type, struct known_blob *known)
{
    bool is_there = false;
    uint64_t size = 0;
    int fd = -1;

    COB_TRY(cob_db_run(cob_store_db(store), read_known, known,
        "SELECT digest, size FROM archives WHERE diff_id = ?1 AND media_type = ?2",
        COB_DB_T(diff_id), COB_DB_T(media_type)));
    if (!known->digest)
        return NULL;
    COB_TRY(cob_store_blob_touch(store, known->digest, &is_there));
    COB_TRY(cob_store_blob_open(store, known->digest, &fd, &size));
    if (fd >= 0)
        close(fd);
    if (fd < 0 || size != known->size)
        g_clear_pointer(&known->digest, g_free);
    return NULL;
}

static struct cob_error *write_blob(void *arg, const void *data, size_t len)
{
    return cob_store_blob_write(arg, data, len);
}

/* Pack and compress in one pass; it must be the layer that its diff id says, where that is known.
 * ret_packed: what it was; the caller's. */
static struct cob_error *fill_blob(const struct cob_exporter_packing *packing,
    struct cob_snapshot *layer, const char *diff_id, struct cob_layer_compressor *compressor,
    struct cob_layer_pack_result *ret_packed)
{
    cob_autoclose int fd = -1;
    struct cob_layer_pack_result packed;
    struct cob_layer_compressed compressed;

    COB_TRY(cob_open_beneath(cob_snapshot_layer_fd(layer), ".", O_RDONLY | O_DIRECTORY, 0, &fd));
    const struct cob_layer_pack_request request = {.dir_fd = fd,
        .opaque_xattr = cob_snapshot_opaque_xattr(packing->store),
        .cancel = packing->cancel};
    COB_TRY(cob_layer_pack(&request, cob_layer_compressor_write, compressor, &packed));
    struct cob_error *err = NULL;
    if (diff_id && strcmp(packed.diff_id, diff_id) != 0)
        err = cob_fail(COB_DATA_LOSS, "its files are not those of %s any more", diff_id);
    if (!err)
        err = cob_layer_compressor_finish(compressor, &compressed);
    if (err) {
        cob_layer_pack_result_done(&packed);
        return err;
    }
    g_free(compressed.digest); /* the store has it, too */
    *ret_packed = packed;
    return NULL;
}

static struct cob_error *note_blob(
    const struct cob_exporter_packing *packing, const char *diff_id, const struct known_blob *known)
{
    return cob_db_run(cob_store_db(packing->store), NULL, NULL,
        "INSERT OR REPLACE INTO archives (diff_id, media_type, digest, size)"
        " VALUES (?1, ?2, ?3, ?4)",
        COB_DB_T(diff_id), COB_DB_T(cob_layer_media_type(packing->compression)),
        COB_DB_T(known->digest), COB_DB_I(known->size));
}

/* diff_id: NULL: not known yet: then it is, here and in the database. */
static struct cob_error *make_blob(const struct cob_exporter_packing *packing,
    struct cob_snapshot *layer, char **diff_id, struct known_blob *known)
{
    g_autoptr(cob_store_blob) blob = NULL;
    struct cob_layer_pack_result packed;
    struct cob_error *err = NULL;

    COB_TRY(cob_store_blob_create(packing->store, NULL, &blob));
    g_autoptr(cob_layer_compressor) compressor =
        cob_layer_compressor_new(packing->compression, write_blob, blob);
    if (packing->has_level)
        cob_layer_compressor_set_level(compressor, packing->level);
    COB_TRY(fill_blob(packing, layer, *diff_id, compressor, &packed));
    if (!*diff_id) {
        err = cob_snapshot_set_archive(layer, packed.diff_id, packed.tar_bytes);
        *diff_id = g_strdup(packed.diff_id);
    }
    cob_layer_pack_result_done(&packed);
    COB_TRY(err);
    COB_TRY(cob_store_blob_commit(blob, &known->digest, &known->size));
    return note_blob(packing, *diff_id, known);
}

/* How often a lock that somebody else holds is asked for. */
#define LOCK_POLL_MS 25

/* Outputs and caches of one build, and other builds, want the same layers: each is made once. */
static struct cob_error *lock_layer(const struct cob_exporter_packing *packing,
    const struct cob_snapshot *layer, struct cob_store_lock **ret_lock)
{
    g_autofree char *key = g_strdup_printf(
        "archive of %s as %s", cob_snapshot_id(layer), cob_layer_media_type(packing->compression));

    COB_TRY(cob_store_try_lock(packing->store, key, ret_lock));
    while (!*ret_lock) {
        struct pollfd stop = {
            .fd = packing->cancel ? cob_cancel_fd(packing->cancel) : -1, .events = POLLIN};

        poll(&stop, 1, LOCK_POLL_MS);
        COB_TRY(cob_cancel_check(packing->cancel));
        COB_TRY(cob_store_try_lock(packing->store, key, ret_lock));
    }
    return NULL;
}

static struct cob_error *find_or_make(const struct cob_exporter_packing *packing,
    struct cob_snapshot *layer, char **diff_id, struct known_blob *known)
{
    g_autoptr(cob_store_lock) lock = NULL;

    if (*diff_id && !packing->is_forced)
        COB_TRY(
            find_blob(packing->store, *diff_id, cob_layer_media_type(packing->compression), known));
    if (known->digest)
        return NULL;
    COB_TRY(lock_layer(packing, layer, &lock));
    if (*diff_id && !packing->is_forced)
        COB_TRY(
            find_blob(packing->store, *diff_id, cob_layer_media_type(packing->compression), known));
    return known->digest ? NULL : make_blob(packing, layer, diff_id, known);
}

struct cob_error *cob_exporter_layer_blob(const struct cob_exporter_packing *packing,
    struct cob_snapshot *layer, struct cob_exporter_blob *ret_blob)
{
    struct cob_snapshot_archive archive;
    struct known_blob known = {0};

    COB_TRY(cob_snapshot_archive(layer, &archive));
    struct cob_error *err = find_or_make(packing, layer, &archive.diff_id, &known);
    if (!err)
        *ret_blob = (struct cob_exporter_blob){.digest = g_steal_pointer(&known.digest),
            .size = known.size,
            .diff_id = g_steal_pointer(&archive.diff_id)};
    cob_snapshot_archive_done(&archive);
    g_free(known.digest);
    return cob_wrap(err, "layer %s", cob_snapshot_id(layer));
}

struct cob_error *export_layer_blob(const struct export_job *job, struct cob_snapshot *layer,
    enum cob_layer_compression compression, char **ret_digest, uint64_t *ret_size)
{
    const struct cob_exporter_packing packing = {
        .store = job->result->store, .compression = compression, .cancel = job->cancel};
    struct cob_exporter_blob blob;

    COB_TRY(cob_exporter_layer_blob(&packing, layer, &blob));
    g_free(blob.diff_id);
    *ret_digest = blob.digest;
    *ret_size = blob.size;
    return NULL;
}
