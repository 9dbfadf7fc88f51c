/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An import of one mount after the other: the index, then what of it is missing here, pack by pack.
 *
 *     index --> judge each entry --> directories are made
 *                    |
 *                    +--> wants, by pack --> [fetch, unpack in a sealed process, hash, place] ...
 *                                                    |
 *     hard links, symlinks, times of directories <---+
 *
 * Nothing in the mount is half done at any time: a file has its name when it is whole and its
 * digest was checked. Files of several chunks grow in the staging directory meanwhile.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "build/mountcache/mount_import_parts.h"
#include "util/fs.h"
#include "util/limits.h"
#include "util/tree.h"

/* --- what is wanted --- */

static void want_chunks(struct importing *importing, guint number, enum mount_verdict verdict)
{
    const struct cob_mountindex *index = importing->index;
    const struct cob_mountindex_entry *entry = cob_mountindex_at(index, number);
    const struct cob_mountindex_content *content =
        &g_array_index(index->contents, struct cob_mountindex_content, entry->content);
    struct want want = {.entry = number, .verdict = verdict};

    if (content->n_refs > 1) {
        want.large = g_new(struct large, 1);
        *want.large = (struct large){.n_left = content->n_refs, .entry = number};
        g_ptr_array_add(importing->larges, want.large);
    }
    for (uint32_t i = 0; i < content->n_refs; i++) {
        want.chunk = g_array_index(index->refs, uint32_t, content->first_ref + i);
        g_array_append_val(importing->wants, want);
        want.offset += g_array_index(index->chunks, struct cob_mountindex_chunk, want.chunk).len;
    }
}

/* Has the quota room for it? */
static bool fits(struct importing *importing, const struct cob_mountindex_entry *entry)
{
    const uint64_t need = (entry->size + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;

    if (!importing->has_quota)
        return true;
    if (need > importing->quota_left) {
        importing->n_over_quota++;
        return false;
    }
    importing->quota_left -= need;
    return true;
}

static struct cob_error *plan_file(
    struct importing *importing, guint number, enum mount_verdict verdict, bool is_same)
{
    const struct cob_mountindex_entry *entry = cob_mountindex_at(importing->index, number);
    gpointer leader = NULL;

    if (verdict == MOUNT_OLDER && entry->content != COB_MOUNTINDEX_NONE) {
        const struct cob_mountindex_content *content = &g_array_index(
            importing->index->contents, struct cob_mountindex_content, entry->content);

        COB_TRY(placer_refresh(importing->placer, entry, &content->sha, &is_same));
        verdict = is_same ? MOUNT_KEPT : verdict;
    }
    const bool is_wanted = verdict == MOUNT_MISSING || verdict == MOUNT_OLDER;
    if (entry->group > 0)
        leader = g_hash_table_lookup(importing->leaders, GUINT_TO_POINTER(entry->group));
    if (entry->group > 0 && !leader && (is_wanted || is_same))
        g_hash_table_insert(
            importing->leaders, GUINT_TO_POINTER(entry->group), GUINT_TO_POINTER(number + 1));
    if (!is_wanted) {
        importing->row->n_kept += verdict == MOUNT_KEPT;
        return NULL;
    }
    if (leader) {
        const struct link link = {
            .first = GPOINTER_TO_UINT(leader) - 1, .entry = number, .verdict = verdict};
        g_array_append_val(importing->links, link);
        return NULL;
    }
    if (!fits(importing, entry))
        return NULL;
    if (entry->content != COB_MOUNTINDEX_NONE) {
        want_chunks(importing, number, verdict);
        return NULL;
    }
    COB_TRY(placer_make_file(importing->placer, importing->index, entry, "", 0, &verdict));
    import_count(importing, entry, verdict);
    return NULL;
}

static struct cob_error *plan_dir(
    struct importing *importing, guint number, enum mount_verdict verdict)
{
    if (verdict != MOUNT_MISSING)
        return NULL;
    COB_TRY(placer_make_dir(
        importing->placer, importing->index, cob_mountindex_at(importing->index, number)));
    g_array_append_val(importing->made_dirs, number);
    return NULL;
}

static struct cob_error *plan_entry(struct importing *importing, guint number)
{
    const struct cob_mountindex_entry *entry = cob_mountindex_at(importing->index, number);
    enum mount_verdict verdict;
    bool is_same;

    COB_TRY(placer_judge(importing->placer, entry, &verdict, &is_same));
    if (verdict == MOUNT_BLOCKED)
        mount_note(&importing->notes, entry->path, "something else is in the way: it is left out");
    switch (entry->kind) {
    case COB_MOUNTINDEX_DIR:
        return plan_dir(importing, number, verdict);
    case COB_MOUNTINDEX_FILE:
        return plan_file(importing, number, verdict, is_same);
    case COB_MOUNTINDEX_SYMLINK:
        break;
    }
    if (verdict == MOUNT_KEPT)
        importing->row->n_kept++;
    if (verdict != MOUNT_MISSING && verdict != MOUNT_OLDER)
        return NULL;
    COB_TRY(placer_make_symlink(importing->placer, entry, &verdict));
    import_count(importing, entry, verdict);
    return NULL;
}

static struct cob_error *plan(struct importing *importing)
{
    for (guint i = 1; i < importing->index->entries->len; i++) {
        COB_TRY(cob_cancel_check(importing->request->cancel));
        COB_TRY(
            cob_wrap(plan_entry(importing, i), "%s", cob_mountindex_at(importing->index, i)->path));
    }
    return NULL;
}

void import_count(struct importing *importing, const struct cob_mountindex_entry *entry,
    enum mount_verdict verdict)
{
    const bool is_placed = verdict == MOUNT_MISSING || verdict == MOUNT_OLDER;

    g_mutex_lock(&importing->lock);
    importing->row->n_placed += is_placed;
    importing->row->placed_bytes += is_placed ? entry->size : 0;
    importing->row->n_kept += verdict == MOUNT_KEPT;
    if (verdict == MOUNT_BLOCKED)
        mount_note(&importing->notes, entry->path, "something else is in the way: it is left out");
    g_mutex_unlock(&importing->lock);
}

/* --- after the packs --- */

static struct cob_error *make_links(struct importing *importing)
{
    for (guint i = 0; i < importing->links->len; i++) {
        struct link *link = &g_array_index(importing->links, struct link, i);
        const struct cob_mountindex_entry *first = cob_mountindex_at(importing->index, link->first);
        const struct cob_mountindex_entry *entry = cob_mountindex_at(importing->index, link->entry);

        COB_TRY(cob_wrap(
            placer_link(importing->placer, first, entry, &link->verdict), "%s", entry->path));
        import_count(importing, entry, link->verdict);
    }
    return NULL;
}

/* Those deep down first: what is put into a directory changes its time. */
static struct cob_error *end_dirs(struct importing *importing)
{
    for (guint i = importing->made_dirs->len; i-- > 0;) {
        const struct cob_mountindex_entry *entry =
            cob_mountindex_at(importing->index, g_array_index(importing->made_dirs, guint, i));

        COB_TRY(cob_wrap(placer_end_dir(importing->placer, entry), "%s", entry->path));
    }
    return NULL;
}

static void tell_quota(struct importing *importing)
{
    if (importing->n_over_quota == 0)
        return;
    g_autofree char *text =
        g_strdup_printf("cache mount %s: its quota is reached: %" PRIu64 " files are left out",
            importing->row->id, importing->n_over_quota);

    importing->row->n_left_out += importing->n_over_quota;
    if (importing->request->on_note)
        importing->request->on_note(importing->request->arg, text);
}

static struct cob_error *place_all(struct importing *importing)
{
    COB_TRY(plan(importing));
    COB_TRY(import_packs(importing));
    COB_TRY(make_links(importing));
    COB_TRY(end_dirs(importing));
    tell_quota(importing);
    return NULL;
}

/* --- one mount --- */

static struct cob_error *measure_quota(struct importing *importing, uint64_t quota_bytes)
{
    struct cob_tree_usage usage = {0};

    if (quota_bytes == 0)
        return NULL;
    COB_TRY(cob_tree_measure(importing->lease.root_fd, ".", &usage));
    importing->has_quota = true;
    importing->quota_left = quota_bytes > usage.size_bytes ? quota_bytes - usage.size_bytes : 0;
    return NULL;
}

/* In a namespace with a single id there is nobody else to give a file to. */
static bool has_one_id(void)
{
    g_autoptr(GBytes) bytes = NULL;
    gsize len = 0;

    struct cob_error *err = cob_fs_read_file(AT_FDCWD, "/proc/self/uid_map", COB_KIB * 64, &bytes);
    cob_error_free(err);
    const char *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;
    g_autofree char *text = g_strndup(data ? data : "", len);
    g_auto(GStrv) words = g_strsplit_set(g_strstrip(text), " \n", -1);
    g_autoptr(GPtrArray) numbers = g_ptr_array_new();
    for (size_t i = 0; words[i]; i++) {
        if (words[i][0])
            g_ptr_array_add(numbers, words[i]);
    }
    return numbers->len == 3 && strcmp(numbers->pdata[2], "1") == 0;
}

static struct cob_error *open_staging(struct importing *importing)
{
    const int tmp_fd = cob_store_tmp_fd(importing->request->store);

    importing->staging = cob_fs_draft_name("import-");
    if (mkdirat(tmp_fd, importing->staging, 0700) < 0)
        return cob_fail_errno(errno, "make directory %s", importing->staging);
    COB_TRY(cob_open_beneath(
        tmp_fd, importing->staging, O_RDONLY | O_DIRECTORY, 0, &importing->staging_fd));
    importing->ignore_owners = has_one_id();
    importing->placer =
        placer_new(importing->lease.root_fd, importing->staging_fd, importing->ignore_owners);
    return NULL;
}

/* In step with the place is who has all that is there. */
static struct cob_error *remember(struct importing *importing)
{
    g_autofree char *place = remote_place(importing->request);
    const bool is_whole = importing->row->n_left_out == 0;

    return memory_put_base(importing->request->store, &importing->lease, place, importing->mount,
        is_whole ? importing->stored : NULL);
}

static struct cob_error *import_mount(
    struct importing *importing, struct cob_cachemount_pool *pool, const struct mount_name *name)
{
    const struct cob_mountcache_request *request = importing->request;

    COB_TRY(remote_get_index(request, importing->mount, &importing->stored, &importing->index));
    COB_TRY(mount_lease_take(request, pool, name->namespace, name->id,
        cob_mountindex_at(importing->index, 0), &importing->lease));
    COB_TRY(measure_quota(importing, name->quota_bytes));
    COB_TRY(open_staging(importing));
    COB_TRY(place_all(importing));
    importing->row->n_files = importing->mount->n_files;
    importing->row->n_bytes = importing->mount->n_bytes;
    return remember(importing);
}

static void importing_done(struct importing *importing)
{
    placer_free(importing->placer);
    cob_closep(&importing->staging_fd);
    if (importing->staging)
        cob_error_free(
            cob_tree_remove(cob_store_tmp_fd(importing->request->store), importing->staging));
    g_free(importing->staging);
    mount_lease_done(&importing->lease);
    g_clear_pointer(&importing->stored, g_bytes_unref);
    cob_mountindex_free(importing->index);
    g_array_unref(importing->wants);
    g_array_unref(importing->links);
    g_array_unref(importing->made_dirs);
    g_ptr_array_unref(importing->larges);
    g_hash_table_unref(importing->leaders);
    g_mutex_clear(&importing->lock);
}

static struct cob_error *import_one(const struct cob_mountcache_request *request,
    struct cob_cachemount_pool *pool, const struct mount_name *name,
    const struct cob_mountdoc_mount *mount, struct cob_mountcache_result *result)
{
    struct importing importing = {.request = request,
        .result = result,
        .row = mount_row_new(result, name->namespace, name->id),
        .mount = mount,
        .lease = {.root_fd = -1},
        .staging_fd = -1,
        .wants = g_array_new(false, false, sizeof(struct want)),
        .links = g_array_new(false, false, sizeof(struct link)),
        .made_dirs = g_array_new(false, false, sizeof(guint)),
        .larges = g_ptr_array_new_with_free_func(g_free),
        .leaders = g_hash_table_new(NULL, NULL)};

    g_mutex_init(&importing.lock);
    importing.notes = (struct mount_notes){.request = request, .row = importing.row};
    struct cob_error *err = import_mount(&importing, pool, name);
    importing_done(&importing);
    return cob_wrap(err, "cache mount %s", name->id);
}

/* --- all of them --- */

/* What is there, with the quotas that such mounts have here. */
static struct cob_error *list_there(
    const struct cob_mountdoc *doc, struct cob_cachemount_pool *pool, GPtrArray **ret_names)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(mount_name_free);
    g_autoptr(GPtrArray) here = NULL;

    COB_TRY(cob_cachemount_list(pool, &here));
    for (guint i = 0; i < doc->mounts->len; i++) {
        const struct cob_mountdoc_mount *mount = doc->mounts->pdata[i];
        struct mount_name *name = g_new(struct mount_name, 1);

        *name =
            (struct mount_name){.namespace = g_strdup(mount->namespace), .id = g_strdup(mount->id)};
        for (guint n = 0; n < here->len; n++) {
            const struct cob_cachemount_entry *entry = here->pdata[n];

            if (g_strcmp0(entry->namespace, name->namespace) == 0 &&
                g_strcmp0(entry->id, name->id) == 0 && entry->number == 0)
                name->quota_bytes = entry->quota_bytes;
        }
        g_ptr_array_add(names, name);
    }
    *ret_names = g_steal_pointer(&names);
    return NULL;
}

static struct cob_error *import_all(
    const struct cob_mountcache_request *request, struct cob_mountcache_result *result)
{
    g_autoptr(cob_cachemount_pool) pool = NULL;
    g_autoptr(cob_cachebackend_document) document = NULL;
    g_autoptr(cob_mountdoc) doc = NULL;
    g_autoptr(GPtrArray) known = NULL;
    g_autoptr(GPtrArray) chosen = NULL;

    COB_TRY(cob_cachemount_pool_open(request->store, NULL, NULL, &pool));
    COB_TRY(remote_get_doc(request, &document, &doc));
    if (!document)
        return cob_fail(COB_NOT_FOUND, "there is none of that name");
    COB_TRY(list_there(doc, pool, &known));
    COB_TRY(mount_choose(request, known, "in the cache", &chosen));
    for (guint i = 0; i < chosen->len; i++) {
        const struct mount_name *name = chosen->pdata[i];

        COB_TRY(import_one(
            request, pool, name, cob_mountdoc_find(doc, name->namespace, name->id), result));
    }
    return NULL;
}

struct cob_error *cob_mountcache_import(
    const struct cob_mountcache_request *request, struct cob_mountcache_result **ret_result)
{
    g_autoptr(cob_mountcache_result) result = mount_result_new();

    COB_TRY(cob_wrap(import_all(request, result), "import cache mounts"));
    *ret_result = g_steal_pointer(&result);
    return NULL;
}
