/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
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

/* Pack and compress in one pass; it must be the layer that its diff id says. */
static struct cob_error *fill_blob(const struct export_job *job, struct cob_snapshot *layer,
    const char *diff_id, struct cob_layer_compressor *compressor)
{
    cob_autoclose int fd = -1;
    struct cob_layer_pack_result packed;
    struct cob_layer_compressed compressed;

    COB_TRY(cob_open_beneath(cob_snapshot_layer_fd(layer), ".", O_RDONLY | O_DIRECTORY, 0, &fd));
    const struct cob_layer_pack_request request = {.dir_fd = fd,
        .opaque_xattr = cob_snapshot_opaque_xattr(job->result->store),
        .cancel = job->cancel};
    COB_TRY(cob_layer_pack(&request, cob_layer_compressor_write, compressor, &packed));
    bool is_same = strcmp(packed.diff_id, diff_id) == 0;
    cob_layer_pack_result_done(&packed);
    if (!is_same)
        return cob_fail(COB_DATA_LOSS, "its files are not those of %s any more", diff_id);
    COB_TRY(cob_layer_compressor_finish(compressor, &compressed));
    g_free(compressed.digest); /* the store has it, too */
    return NULL;
}

static struct cob_error *make_blob(const struct export_job *job, struct cob_snapshot *layer,
    const char *diff_id, enum cob_layer_compression compression, struct known_blob *known)
{
    struct cob_store *store = job->result->store;
    g_autoptr(cob_store_blob) blob = NULL;

    COB_TRY(cob_store_blob_create(store, NULL, &blob));
    g_autoptr(cob_layer_compressor) compressor =
        cob_layer_compressor_new(compression, write_blob, blob);
    COB_TRY(fill_blob(job, layer, diff_id, compressor));
    COB_TRY(cob_store_blob_commit(blob, &known->digest, &known->size));
    return cob_db_run(cob_store_db(store), NULL, NULL,
        "INSERT OR REPLACE INTO archives (diff_id, media_type, digest, size)"
        " VALUES (?1, ?2, ?3, ?4)",
        COB_DB_T(diff_id), COB_DB_T(cob_layer_media_type(compression)), COB_DB_T(known->digest),
        COB_DB_I(known->size));
}

struct cob_error *export_layer_blob(const struct export_job *job, struct cob_snapshot *layer,
    enum cob_layer_compression compression, char **ret_digest, uint64_t *ret_size)
{
    struct cob_snapshot_archive archive;
    struct known_blob known = {0};

    COB_TRY(cob_snapshot_archive(layer, &archive));
    struct cob_error *err =
        find_blob(job->result->store, archive.diff_id, cob_layer_media_type(compression), &known);
    if (!err && !known.digest)
        err = make_blob(job, layer, archive.diff_id, compression, &known);
    cob_snapshot_archive_done(&archive);
    if (err) {
        g_free(known.digest);
        return cob_wrap(err, "layer %s", cob_snapshot_id(layer));
    }
    *ret_digest = known.digest;
    *ret_size = known.size;
    return NULL;
}
