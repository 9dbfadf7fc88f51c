/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "build/cachebackend/local_parts.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/log.h"

/* What the documents lead to. */
struct marking {
    int folder_fd;
    struct cob_cancel *cancel;
    GHashTable *kept; /* char *, owned: names below blobs/sha256 */
};

static struct cob_error *mark_children(
    struct marking *marking, const json_t *document, unsigned depth);

/* Could a blob of this type lead to others? Of an unknown type one is looked into. */
static bool is_document(const char *type, uint64_t size)
{
    enum cob_oci_kind kind = cob_oci_kind_of(type);

    if (kind == COB_OCI_LAYER || kind == COB_OCI_CONFIG || size > COB_LIMIT_MANIFEST_BYTES)
        return false;
    return true;
}

/* A descriptor: what it names stays, and what that leads to. Of a document that cannot be read
 * nothing is known, so nothing may be removed. */
static struct cob_error *mark(struct marking *marking, const json_t *descriptor, unsigned depth)
{
    const char *digest = NULL, *type = NULL;
    struct cob_sha256 sha;
    uint64_t size = 0;
    g_autoptr(GBytes) bytes = NULL;
    json_auto_t *json = NULL;

    COB_TRY(cob_cancel_check(marking->cancel));
    COB_TRY(cob_json_get_text(descriptor, "digest", &digest));
    COB_TRY(cob_json_get_text(descriptor, "mediaType", &type));
    COB_TRY(cob_json_get_size(descriptor, "size", &size));
    if (!digest || !cob_sha256_parse(digest, &sha))
        return NULL;
    if (!g_hash_table_add(marking->kept, g_strdup(digest + strlen(COB_DIGEST_PREFIX))))
        return NULL;
    if (g_hash_table_size(marking->kept) > COB_LIMIT_CACHE_BLOBS)
        return cob_fail(COB_EXHAUSTED, "it names more than %d blobs", COB_LIMIT_CACHE_BLOBS);
    if (!is_document(type, size))
        return NULL;
    COB_TRY(cob_local_read_blob(marking->folder_fd, digest, COB_LIMIT_MANIFEST_BYTES, &bytes));
    if (!bytes)
        return NULL;
    struct cob_error *err =
        cob_json_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), digest, &json);
    if (err && cob_oci_kind_of(type) == COB_OCI_OTHER) {
        cob_error_free(err);
        return NULL;
    }
    COB_TRY(err);
    return mark_children(marking, json, depth + 1);
}

static struct cob_error *mark_children(
    struct marking *marking, const json_t *document, unsigned depth)
{
    static const char *const lists[] = {"manifests", "layers", "blobs"};
    static const char *const singles[] = {"config", "subject"};
    const json_t *descriptor;
    size_t n;

    if (depth > COB_LIMIT_CACHE_DEPTH)
        return cob_fail(COB_EXHAUSTED, "indexes are nested deeper than %d", COB_LIMIT_CACHE_DEPTH);
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        json_array_foreach(json_object_get(document, lists[i]), n, descriptor)
            COB_TRY(mark(marking, descriptor, depth));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(singles); i++)
        COB_TRY(mark(marking, json_object_get(document, singles[i]), depth));
    return NULL;
}

static bool is_hex_name(const char *name)
{
    g_autofree char *digest = g_strconcat(COB_DIGEST_PREFIX, name, NULL);
    struct cob_sha256 sha;

    return cob_sha256_parse(digest, &sha);
}

static bool is_orphan(const char *name, GHashTable *kept)
{
    return is_hex_name(name) && !g_hash_table_contains(kept, name);
}

/* Drafts of those who died: no exporter is at work. */
static bool is_draft(const char *name, GHashTable *kept)
{
    (void)kept;
    return g_str_has_prefix(name, "cob-");
}

static bool is_index_draft(const char *name, GHashTable *kept)
{
    (void)kept;
    return g_str_has_prefix(name, "index.json.") && strlen(name) == strlen("index.json.") + 16;
}

static struct cob_error *clear_folder(const struct marking *marking, const char *path,
    bool (*is_waste)(const char *name, GHashTable *kept))
{
    int fd = -1;

    COB_TRY(cob_wrap(cob_open_beneath(marking->folder_fd, path, O_RDONLY | O_DIRECTORY, 0, &fd),
        "directory %s", path));
    DIR *listing = fdopendir(fd);
    if (!listing) {
        close(fd);
        return cob_fail_errno(ENOMEM, "list %s", path);
    }
    struct cob_error *err = NULL;
    const struct dirent *entry;
    while (!err && (entry = readdir(listing))) {
        err = cob_cancel_check(marking->cancel);
        if (!err && is_waste(entry->d_name, marking->kept) &&
            unlinkat(dirfd(listing), entry->d_name, 0) < 0 && errno != ENOENT && errno != EISDIR)
            err = cob_fail_errno(errno, "remove %s/%s", path, entry->d_name);
    }
    closedir(listing);
    return err;
}

static struct cob_error *remove_orphans(
    int folder_fd, const json_t *index, struct cob_cancel *cancel)
{
    g_autoptr(GHashTable) kept = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct marking marking = {.folder_fd = folder_fd, .cancel = cancel, .kept = kept};

    COB_TRY(mark_children(&marking, index, 0));
    COB_TRY(clear_folder(&marking, "blobs/sha256", is_orphan));
    COB_TRY(clear_folder(&marking, "ingest", is_draft));
    return clear_folder(&marking, ".", is_index_draft);
}

/* Of reset=true: forget the documents that are not from here. */
static void keep_own_entries(struct cob_cachebackend_puts *puts, json_t *index)
{
    json_t *manifests = json_object_get(index, "manifests");

    for (size_t i = json_array_size(manifests); i-- > 0;) {
        const char *name = cob_local_name_of(json_array_get(manifests, i));

        if (!name || !cob_backend_puts_has(puts, name))
            json_array_remove(manifests, i);
    }
}

static struct cob_error *sweep_alone(struct cob_cachebackend *backend)
{
    struct layout_folder *local = backend->own;
    cob_autoclose int lock_fd = -1;
    json_auto_t *index = NULL;

    COB_TRY(cob_local_lock_index(local->folder_fd, backend->cancel, &lock_fd));
    COB_TRY(cob_local_read_index(local->folder_fd, &index));
    size_t n_before = json_array_size(json_object_get(index, "manifests"));
    if (backend->options->is_reset)
        keep_own_entries(backend->options->puts, index);
    if (json_array_size(json_object_get(index, "manifests")) < n_before)
        COB_TRY(cob_local_write_index(local->folder_fd, index));
    return remove_orphans(local->folder_fd, index, backend->cancel);
}

/*
 * An exporter's blobs are orphans until its document is there, so nothing is removed beside one:
 * exporters hold a shared lock from open to close, and this needs it alone. flock() gives the old
 * lock up before it asks for the new one; of exporters that end at the same time the last one gets
 * it, and removes what all of them left.
 */
struct cob_error *cob_local_sweep(struct cob_cachebackend *backend)
{
    struct layout_folder *local = backend->own;

    if (local->layout_fd < 0)
        return NULL;
    if (TEMP_FAILURE_RETRY(flock(local->layout_fd, LOCK_EX | LOCK_NB)) < 0) {
        if (errno != EWOULDBLOCK)
            return cob_fail_errno(errno, "lock oci-layout");
        cob_trace(1, "cache: %s is not swept: another export is at work", backend->options->folder);
        flock(local->layout_fd, LOCK_UN);
        g_atomic_int_set(&local->is_locked, 0);
        return NULL;
    }
    struct cob_error *err = sweep_alone(backend);
    flock(local->layout_fd, LOCK_UN);
    g_atomic_int_set(&local->is_locked, 0);
    return err;
}
