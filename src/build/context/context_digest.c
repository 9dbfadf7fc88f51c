/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "build/context/context_private.h"

#define BUFFER_BYTES (256 * 1024)

/* Is the digest of a file known, from before or from now? */
static bool find_sha(struct cob_context *context, size_t index, struct cob_sha256 *ret_sha)
{
    bool is_found = false;

    g_mutex_lock(&context->lock);
    if (!context->shas) {
        context->shas = g_new(struct cob_sha256, context->entries->len);
        context->has_sha = g_new0(uint8_t, context->entries->len);
    }
    is_found = context->has_sha[index];
    if (!is_found) {
        const struct cob_statcache_file file = context_stat_of(context_at(context, index));

        is_found = cob_statcache_find(context->known, &file, &context->shas[index], NULL);
    }
    context->has_sha[index] = is_found;
    if (is_found)
        *ret_sha = context->shas[index];
    g_mutex_unlock(&context->lock);
    return is_found;
}

static void keep_sha(struct cob_context *context, size_t index, const struct cob_sha256 *sha)
{
    const struct context_entry *entry = context_at(context, index);
    const struct cob_statcache_file file = context_stat_of(entry);

    g_mutex_lock(&context->lock);
    context->shas[index] = *sha;
    context->has_sha[index] = true;
    context->effort.n_files_read++;
    context->effort.bytes_read += entry->size;
    if (!context->is_image && !cob_statcache_is_racy(&file, context->start_ns))
        context->n_new++;
    g_mutex_unlock(&context->lock);
}

static struct cob_error *hash_fd(int fd, struct cob_cancel *cancel, struct cob_sha256 *ret_sha)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    g_autofree char *buffer = g_malloc(BUFFER_BYTES);

    for (;;) {
        ssize_t n = TEMP_FAILURE_RETRY(read(fd, buffer, BUFFER_BYTES));

        if (n < 0)
            return cob_fail_errno(errno, "read");
        if (n == 0)
            break;
        cob_hasher_update(hasher, buffer, (size_t)n);
        COB_TRY(cob_cancel_check(cancel));
    }
    *ret_sha = cob_hasher_finish(hasher);
    return NULL;
}

static struct cob_error *add_xattr(void *arg, const char *name, const void *value, size_t len)
{
    struct cob_hasher *hasher = arg;

    cob_hasher_update_text(hasher, name);
    cob_hasher_update_number(hasher, len);
    cob_hasher_update(hasher, value, len);
    return NULL;
}

struct digest_with_xattrs {
    struct cob_sha256 *sha;
    struct cob_hasher *hasher; /* NULL: it has none */
};

static struct cob_error *fold_xattr(void *arg, const char *name, const void *value, size_t len)
{
    struct digest_with_xattrs *both = arg;

    if (!both->hasher) {
        both->hasher = cob_hasher_new();
        cob_hasher_update(both->hasher, both->sha->bytes, sizeof(both->sha->bytes));
    }
    return add_xattr(both->hasher, name, value, len);
}

/* A file of the user's own has its xattrs in its digest, so that the stat cache knows them, too:
 * who changes them changes the ctime. */
static struct cob_error *fold_xattrs(int fd, struct cob_sha256 *sha)
{
    struct digest_with_xattrs both = {.sha = sha};
    struct cob_error *err = cob_context_file_xattrs(fd, fold_xattr, &both);

    if (both.hasher)
        *sha = cob_hasher_finish(both.hasher);
    cob_hasher_free(both.hasher);
    return err;
}

/* The digest of what a regular file holds. */
static struct cob_error *digest_file(struct cob_context *context, size_t index,
    struct cob_cancel *cancel, struct cob_sha256 *ret_sha)
{
    cob_autoclose int fd = -1;
    struct cob_sha256 sha;

    if (find_sha(context, index, ret_sha))
        return NULL;
    COB_TRY(cob_context_open_file(context, index, &fd));
    COB_TRY(cob_wrap(hash_fd(fd, cancel, &sha), "%s", context_path(context, index)));
    if (!context->is_image)
        COB_TRY(cob_wrap(fold_xattrs(fd, &sha), "%s", context_path(context, index)));
    COB_TRY(context_check(context, index, fd));
    keep_sha(context, index, &sha);
    *ret_sha = sha;
    return NULL;
}

/* What one entry adds to a digest: numbers and lengths first, so that no two trees read alike. */
static struct cob_error *add_entry(struct cob_context *context, size_t index, const char *path,
    struct cob_cancel *cancel, struct cob_hasher *hasher)
{
    struct cob_context_entry entry = cob_context_get(context, index);
    struct cob_sha256 sha = {0};
    const char *target = entry.target ? entry.target : "";

    if (S_ISREG(entry.mode))
        COB_TRY(digest_file(context, index, cancel, &sha));
    const uint64_t numbers[] = {GUINT64_TO_LE(entry.mode), GUINT64_TO_LE(entry.uid),
        GUINT64_TO_LE(entry.gid), GUINT64_TO_LE(entry.size), GUINT64_TO_LE(entry.rdev),
        GUINT64_TO_LE(strlen(path)), GUINT64_TO_LE(strlen(target))};
    cob_hasher_update(hasher, numbers, sizeof(numbers));
    cob_hasher_update(hasher, path, strlen(path));
    cob_hasher_update(hasher, target, strlen(target));
    if (S_ISREG(entry.mode))
        cob_hasher_update(hasher, sha.bytes, sizeof(sha.bytes));
    if (!context->is_image && !S_ISDIR(entry.mode))
        return NULL;
    struct cob_error *err = cob_context_xattrs(context, index, add_xattr, hasher);
    cob_hasher_update_text(hasher, NULL);
    return err;
}

/* A digest on its way. */
struct digest {
    struct cob_context *context;
    size_t root;
    cob_context_filter filter;
    void *arg;
    GArray *passed; /* size_t: directories around here that take part if something in them does */
    struct cob_cancel *cancel;
    struct cob_hasher *hasher; /* NULL: nothing is digested: */
    cob_context_visit visit;   /* the entries are shown */
    void *visit_arg;
};

static const char *path_from_root(const struct digest *digest, size_t index)
{
    size_t root_len = strlen(context_path(digest->context, digest->root));
    const struct context_entry *entry = context_at(digest->context, index);

    if (index == digest->root)
        return S_ISDIR(entry->mode) ? "" : context_path(digest->context, index) + entry->name;
    return context_path(digest->context, index) + root_len + (root_len > 0);
}

static struct cob_error *take_one(struct digest *digest, size_t index)
{
    if (digest->hasher)
        return add_entry(
            digest->context, index, path_from_root(digest, index), digest->cancel, digest->hasher);
    digest->visit(digest->visit_arg, index);
    return NULL;
}

static struct cob_error *take(struct digest *digest, size_t index)
{
    struct cob_context *context = digest->context;

    for (unsigned i = 0; i < digest->passed->len; i++) {
        size_t dir = g_array_index(digest->passed, size_t, i);

        if (index < context_at(context, dir)->end)
            COB_TRY(take_one(digest, dir));
    }
    g_array_set_size(digest->passed, 0);
    return take_one(digest, index);
}

/* Returns the next entry to look at. */
static size_t pass_over(struct digest *digest, size_t index, enum cob_context_verdict verdict)
{
    if (verdict == COB_CONTEXT_LEAVE)
        return context_at(digest->context, index)->end;
    g_array_append_val(digest->passed, index);
    return index + 1;
}

static struct cob_error *digest_all(struct digest *digest)
{
    const size_t end = context_at(digest->context, digest->root)->end;

    for (size_t i = digest->root, n = 0; i < end; n++) {
        bool is_dir = S_ISDIR(context_at(digest->context, i)->mode);
        bool is_asked = digest->filter && i != digest->root;
        enum cob_context_verdict verdict =
            is_asked ? digest->filter(digest->arg, path_from_root(digest, i), is_dir)
                     : COB_CONTEXT_TAKE;

        if (digest->cancel && n % 256 == 0)
            COB_TRY(cob_cancel_check(digest->cancel));
        if (verdict != COB_CONTEXT_TAKE) {
            i = pass_over(digest, i, verdict);
            continue;
        }
        COB_TRY(take(digest, i));
        i++;
    }
    return NULL;
}

struct cob_error *cob_context_digest(struct cob_context *context, size_t index,
    cob_context_filter filter, void *arg, struct cob_cancel *cancel, struct cob_sha256 *ret_sha)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    g_autoptr(GArray) passed = g_array_new(false, false, sizeof(size_t));
    struct digest digest = {.context = context,
        .root = index,
        .filter = filter,
        .arg = arg,
        .passed = passed,
        .cancel = cancel,
        .hasher = hasher};

    COB_TRY(digest_all(&digest));
    *ret_sha = cob_hasher_finish(hasher);
    return NULL;
}

struct cob_error *cob_context_each(struct cob_context *context, size_t index,
    cob_context_filter filter, void *filter_arg, cob_context_visit visit, void *visit_arg)
{
    g_autoptr(GArray) passed = g_array_new(false, false, sizeof(size_t));
    struct digest digest = {.context = context,
        .root = index,
        .filter = filter,
        .arg = filter_arg,
        .passed = passed,
        .visit = visit,
        .visit_arg = visit_arg};

    return digest_all(&digest);
}

bool cob_context_known_digest(struct cob_context *context, size_t index, struct cob_sha256 *ret_sha)
{
    bool is_known;

    g_mutex_lock(&context->lock);
    is_known = context->has_sha && context->has_sha[index];
    if (is_known)
        *ret_sha = context->shas[index];
    g_mutex_unlock(&context->lock);
    return is_known;
}
