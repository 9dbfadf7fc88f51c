/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "disk/store/store.h"
#include "disk/store/store_parts.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/log.h"

struct cob_store_blob {
    struct cob_store *store;
    char *draft; /* its name in the lease's folder; NULL once it is in place */
    char *expect_digest;
    struct cob_hasher *hasher;
    uint64_t size;
    int fd;
};

static struct cob_error *check_digest(const char *digest)
{
    struct cob_sha256 sha;

    if (!cob_sha256_parse(digest, &sha))
        return cob_fail(COB_INVALID, "digest %s: not of the form sha256:<64 hex digits>", digest);
    return NULL;
}

/* The file's name in blobs/sha256/. */
static const char *hex_of(const char *digest)
{
    return digest + strlen(COB_DIGEST_PREFIX);
}

struct cob_error *cob_store_blob_create(
    struct cob_store *store, const char *expect_digest, struct cob_store_blob **ret_blob)
{
    if (expect_digest)
        COB_TRY(check_digest(expect_digest));
    g_autofree char *draft = g_strdup_printf("b%d", g_atomic_int_add(&store->n_drafts, 1));
    int fd =
        openat(store->tmp_fd, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cob_fail_errno(errno, "create %s/%s", store->tmp_path, draft);
    *ret_blob = g_new(struct cob_store_blob, 1);
    **ret_blob = (struct cob_store_blob){
        .store = store,
        .draft = g_steal_pointer(&draft),
        .expect_digest = g_strdup(expect_digest),
        .hasher = cob_hasher_new(),
        .fd = fd,
    };
    return NULL;
}

struct cob_error *cob_store_blob_write(struct cob_store_blob *blob, const void *data, size_t len)
{
    COB_TRY(cob_wrap(
        cob_fs_write_fd(blob->fd, data, len), "blob %s/%s", blob->store->tmp_path, blob->draft));
    cob_hasher_update(blob->hasher, data, len);
    blob->size += len;
    return NULL;
}

/* What the database knows of a blob. */
struct known {
    int64_t size;    /* -1: nothing */
    bool is_suspect; /* written in another boot, and not known to have reached the disk */
};

static struct cob_error *read_known(void *arg, const struct cob_db_row *row)
{
    *(struct known *)arg = (struct known){cob_db_row_int(row, 0), cob_db_row_int(row, 1) != 0};
    return NULL;
}

static struct cob_error *find_row(
    struct cob_store *store, const char *digest, struct known *ret_known)
{
    *ret_known = (struct known){.size = -1};
    return cob_db_run(store->db, read_known, ret_known,
        "SELECT size_bytes, coalesce(boot <> ?2, 0) FROM blobs WHERE digest = ?1", COB_DB_T(digest),
        COB_DB_T(store->boot));
}

static bool is_in_place(const struct cob_store *store, const char *digest, uint64_t size)
{
    struct stat st;

    return fstatat(store->blobs_fd, hex_of(digest), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

/* Between begin and commit. A file without a row, a crash's leaving, is replaced, and so is one
 * that a restart may have torn; another one is kept, with its place in the order of flushing. */
static struct cob_error *publish(struct cob_store_blob *blob, const char *digest)
{
    struct cob_store *store = blob->store;
    struct known known;

    COB_TRY(find_row(store, digest, &known));
    if (known.size >= 0 && !known.is_suspect && is_in_place(store, digest, blob->size))
        return cob_db_run(store->db, NULL, NULL,
            "UPDATE blobs SET last_used_us = ?2 WHERE digest = ?1", COB_DB_T(digest),
            COB_DB_I(g_get_real_time()));
    COB_TRY(cob_db_run(store->db, NULL, NULL,
        "INSERT OR REPLACE INTO blobs (digest, size_bytes, created_us, last_used_us, boot)"
        "  VALUES (?1, ?2, ?3, ?3, ?4)",
        COB_DB_T(digest), COB_DB_I(blob->size), COB_DB_I(g_get_real_time()),
        COB_DB_T(store->boot)));
    if (renameat(store->tmp_fd, blob->draft, store->blobs_fd, hex_of(digest)) < 0)
        return cob_fail_errno(errno, "rename %s to %s/blobs/sha256", blob->draft, store->path);
    g_clear_pointer(&blob->draft, g_free);
    return NULL;
}

/* The file is in place, but its row could not be committed: on a full disk it would only be in the
 * way. Another process may have recorded it meanwhile; then it stays. */
void cob_store_blob_withdraw(struct cob_store *store, const char *digest)
{
    struct known known;
    struct cob_error *err = cob_store_begin(store);

    if (!err) {
        err = find_row(store, digest, &known);
        if (!err && known.size < 0)
            unlinkat(store->blobs_fd, hex_of(digest), 0);
        cob_store_rollback(store);
    }
    if (err)
        cob_trace(1, "blob %s stays without a row until the next sweep", digest);
    cob_error_free(err);
}

/* Rename and row together, or neither. */
static struct cob_error *publish_whole(struct cob_store_blob *blob, const char *digest)
{
    struct cob_store *store = blob->store;

    COB_TRY(cob_store_begin(store));
    struct cob_error *err = publish(blob, digest);
    if (err) {
        cob_store_rollback(store);
        return err;
    }
    err = cob_store_commit(store);
    if (err && !blob->draft)
        cob_store_blob_withdraw(store, digest);
    return err;
}

struct cob_error *cob_store_blob_commit(
    struct cob_store_blob *blob, char **ret_digest, uint64_t *ret_size)
{
    struct cob_sha256 sha = cob_hasher_finish(blob->hasher);
    g_autofree char *digest = cob_sha256_text(&sha);

    if (blob->expect_digest && strcmp(blob->expect_digest, digest) != 0)
        return cob_fail(COB_DATA_LOSS, "the content has digest %s, but %s was expected", digest,
            blob->expect_digest);
    if (close(g_steal_fd(&blob->fd)) < 0)
        return cob_fail_errno(errno, "close %s/%s", blob->store->tmp_path, blob->draft);
    COB_TRY(cob_wrap(publish_whole(blob, digest), "store blob %s", digest));
    if (ret_size)
        *ret_size = blob->size;
    if (ret_digest)
        *ret_digest = g_steal_pointer(&digest);
    return NULL;
}

void cob_store_blob_free(struct cob_store_blob *blob)
{
    if (!blob)
        return;
    if (blob->fd >= 0)
        close(blob->fd);
    if (blob->draft)
        unlinkat(blob->store->tmp_fd, blob->draft, 0);
    cob_hasher_free(blob->hasher);
    g_free(blob->expect_digest);
    g_free(blob->draft);
    g_free(blob);
}

struct cob_error *cob_store_blob_put(struct cob_store *store, GBytes *bytes, char **ret_digest)
{
    g_autoptr(cob_store_blob) blob = NULL;
    gsize len;
    const void *data = g_bytes_get_data(bytes, &len);

    COB_TRY(cob_store_blob_create(store, NULL, &blob));
    COB_TRY(cob_store_blob_write(blob, data, len));
    return cob_store_blob_commit(blob, ret_digest, NULL);
}

/* Drop the row of a blob, and what cannot be without it. */
static struct cob_error *forget_rows(struct cob_store *store, const char *digest)
{
    static const char *const statements[] = {
        "DELETE FROM blobs WHERE digest = ?1",
        "DELETE FROM archives WHERE digest = ?1",
        "DELETE FROM images WHERE config_digest = ?1",
        "UPDATE images SET manifest_digest = NULL WHERE manifest_digest = ?1",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(statements); i++)
        COB_TRY(cob_db_run(store->db, NULL, NULL, statements[i], COB_DB_T(digest)));
    return NULL;
}

/* Rows first, then the data. The file that was found bad is moved only while it is still the one in
 * place: somebody may have put a good one there. */
static struct cob_error *forget_gated(
    struct cob_store *store, const char *digest, const struct stat *bad)
{
    g_autofree char *to = g_strconcat("corrupt/", hex_of(digest), NULL);
    struct stat now;
    bool is_there = fstatat(store->blobs_fd, hex_of(digest), &now, AT_SYMLINK_NOFOLLOW) == 0;

    if (is_there != (bad != NULL))
        return NULL;
    if (bad && (bad->st_ino != now.st_ino || bad->st_dev != now.st_dev))
        return NULL;
    COB_TRY(forget_rows(store, digest));
    if (!bad)
        return NULL;
    if (mkdirat(store->root_fd, "corrupt", 0700) < 0 && errno != EEXIST)
        return cob_fail_errno(errno, "make directory %s/corrupt", store->path);
    if (renameat(store->blobs_fd, hex_of(digest), store->root_fd, to) < 0)
        return cob_fail_errno(errno, "rename blob %s to %s", digest, to);
    return NULL;
}

/* bad: the file that is wrong; NULL: there is none. */
static struct cob_error *forget(struct cob_store *store, const char *digest, const struct stat *bad)
{
    COB_TRY(cob_store_begin(store));
    struct cob_error *err = forget_gated(store, digest, bad);
    if (err) {
        cob_store_rollback(store);
        return err;
    }
    return cob_store_commit(store);
}

/* Digest what a restart may have torn, once.  fd: stands at the beginning again. */
static struct cob_error *verify(
    struct cob_store *store, const char *digest, int fd, bool *ret_is_good)
{
    g_autofree char *got = NULL;
    uint64_t size = 0;

    COB_TRY(cob_wrap(cob_store_digest_fd(fd, &got, &size), "blob %s", digest));
    if (lseek(fd, 0, SEEK_SET) < 0)
        return cob_fail_errno(errno, "blob %s: seek", digest);
    *ret_is_good = strcmp(got, digest) == 0;
    if (!*ret_is_good)
        return NULL;
    return cob_db_run(store->db, NULL, NULL,
        "UPDATE blobs SET boot = NULL WHERE digest = ?1 AND boot <> ?2", COB_DB_T(digest),
        COB_DB_T(store->boot));
}

struct cob_error *cob_store_blob_open(
    struct cob_store *store, const char *digest, int *ret_fd, uint64_t *ret_size)
{
    struct known known;
    struct stat st = {0};
    bool is_good = true;

    COB_TRY(check_digest(digest));
    COB_TRY(find_row(store, digest, &known));
    cob_autoclose int fd = known.size < 0 ? -1
                                          : openat(store->blobs_fd, hex_of(digest),
                                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (known.size >= 0 && fd < 0 && errno != ENOENT)
        return cob_fail_errno(errno, "open blob %s", digest);
    if (known.size >= 0 && fd < 0)
        COB_TRY(forget(store, digest, NULL));
    if (fd >= 0)
        is_good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == known.size;
    if (fd >= 0 && is_good && known.is_suspect)
        COB_TRY(verify(store, digest, fd, &is_good));
    if (!is_good) {
        COB_TRY(forget(store, digest, &st));
        close(g_steal_fd(&fd));
    }
    if (fd >= 0 && ret_size)
        *ret_size = (uint64_t)st.st_size;
    *ret_fd = g_steal_fd(&fd);
    return NULL;
}

struct cob_error *cob_store_blob_read(
    struct cob_store *store, const char *digest, uint64_t max_bytes, GBytes **ret_bytes)
{
    cob_autoclose int fd = -1;
    g_autoptr(GBytes) bytes = NULL;
    struct stat st;
    gsize len;

    COB_TRY(cob_store_blob_open(store, digest, &fd, NULL));
    if (fd < 0) {
        *ret_bytes = NULL;
        return NULL;
    }
    COB_TRY(cob_wrap(cob_fs_read_fd(fd, max_bytes, &bytes), "blob %s", digest));
    const void *data = g_bytes_get_data(bytes, &len);
    g_autofree char *got = cob_digest_of(data, len);
    if (strcmp(got, digest) != 0) {
        if (fstat(fd, &st) < 0)
            return cob_fail_errno(errno, "stat blob %s", digest);
        COB_TRY(forget(store, digest, &st));
        return cob_fail(COB_DATA_LOSS,
            "blob %s changed on disk: its content now has digest %s; it was moved to %s/corrupt",
            digest, got, store->path);
    }
    *ret_bytes = g_steal_pointer(&bytes);
    return NULL;
}
