/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An export, from the mounts to the document. Only its last step, putting the document, is seen by
 * others; when they were faster, all of it but the reading is done again on what is there now.
 *
 *     take mounts, scan --> get document, indexes --> read what no pack has, send packs
 *                               ^                          |
 *                               |                      merge, repack, send indexes
 *                               |                          |
 *                               +--- others were faster -- put document
 */
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "build/mountcache/mountcache_parts.h"
#include "util/limits.h"

#define MAX_TRIES 30
#define LOOK_AGAIN_MS 300 /* longer than another one needs from its last look to its put */

struct source {
    struct mount_source read; /* what mount_read() sees of it */
    struct mount_lease lease;
    struct mount_tree *tree;
    struct cob_mountdoc_mount *base; /* NULL: this mount was never in step with that place */
    GBytes *base_stored;
    GBytes *stored;                  /* its new index */
    struct cob_mountdoc_mount *made; /* and what the document says of it */
    bool is_merged;                  /* it may have files that are not here */
};

struct exporting {
    const struct cob_mountcache_request *request;
    struct cob_mountcache_result *result;
    char *place;
    GPtrArray *sources; /* struct source, owned */
    GPtrArray *reads;   /* struct mount_source, borrowed */

    /* Of one try. */
    struct cob_cachebackend_document *document;
    struct cob_mountdoc *there;
    GPtrArray *there_indexes; /* struct cob_mountindex, owned; NULL where one is damaged */
    struct mount_catalog *catalog;
    struct mount_packer *packer;
    GPtrArray *trees; /* struct mount_tree, owned: the result's */
};

static void source_free(gpointer data)
{
    struct source *source = data;

    mount_lease_done(&source->lease);
    mount_tree_free(source->tree);
    cob_mountdoc_mount_free(source->base);
    cob_mountdoc_mount_free(source->made);
    g_clear_pointer(&source->base_stored, g_bytes_unref);
    g_clear_pointer(&source->stored, g_bytes_unref);
    g_free(source);
}

static void free_index(gpointer index)
{
    cob_mountindex_free(index);
}

static void free_tree(gpointer tree)
{
    mount_tree_free(tree);
}

static void note(const struct exporting *exporting, const char *text)
{
    if (exporting->request->on_note)
        exporting->request->on_note(exporting->request->arg, text);
}

/* --- the mounts that are here --- */

static struct cob_error *scan_source(struct exporting *exporting, struct source *source)
{
    struct cob_store *store = exporting->request->store;
    g_autoptr(cob_statcache) known = NULL;
    g_autoptr(GBytes) cache = NULL;

    COB_TRY(memory_get_cache(store, &source->lease, &cache));
    COB_TRY(memory_get_base(
        store, &source->lease, exporting->place, &source->base, &source->base_stored));
    known = cob_statcache_new(cache);
    COB_TRY(mount_scan(source->lease.root_fd, known, &source->read.notes, source->tree));
    source->read.root_fd = source->lease.root_fd;
    source->read.tree = source->tree;
    return NULL;
}

static struct cob_error *add_source(
    struct exporting *exporting, struct cob_cachemount_pool *pool, const struct mount_name *name)
{
    struct source *source = g_new(struct source, 1);

    if (!g_utf8_validate(name->id, -1, NULL) || !g_utf8_validate(name->namespace, -1, NULL)) {
        g_free(source);
        return cob_fail(
            COB_INVALID, "cache mount %s: a name that is not UTF-8 cannot travel", name->id);
    }
    *source = (struct source){
        .lease = {.root_fd = -1}, .tree = mount_tree_new(name->namespace, name->id)};
    g_ptr_array_add(exporting->sources, source);
    source->read.notes = (struct mount_notes){.request = exporting->request,
        .row = mount_row_new(exporting->result, name->namespace, name->id)};
    COB_TRY(mount_lease_take(
        exporting->request, pool, name->namespace, name->id, NULL, &source->lease));
    COB_TRY(cob_wrap(scan_source(exporting, source), "cache mount %s", name->id));
    g_ptr_array_add(exporting->reads, &source->read);
    return NULL;
}

static struct cob_error *list_here(struct cob_cachemount_pool *pool, GPtrArray **ret_names)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(mount_name_free);
    g_autoptr(GPtrArray) entries = NULL;

    COB_TRY(cob_cachemount_list(pool, &entries));
    for (guint i = 0; i < entries->len; i++) {
        const struct cob_cachemount_entry *entry = entries->pdata[i];
        struct mount_name *name = g_new(struct mount_name, 1);

        *name =
            (struct mount_name){.namespace = g_strdup(entry->namespace), .id = g_strdup(entry->id)};
        g_ptr_array_add(names, name);
    }
    *ret_names = g_steal_pointer(&names);
    return NULL;
}

/* In the order of their names, so that two who take several never wait for each other. */
static struct cob_error *take_sources(struct exporting *exporting, struct cob_cachemount_pool *pool)
{
    g_autoptr(GPtrArray) known = NULL;
    g_autoptr(GPtrArray) chosen = NULL;

    COB_TRY(list_here(pool, &known));
    COB_TRY(mount_choose(exporting->request, known, "on this machine", &chosen));
    for (guint i = 0; i < known->len; i++) {
        for (guint n = 0; n < chosen->len; n++) {
            const struct mount_name *a = known->pdata[i], *b = chosen->pdata[n];

            if (strcmp(a->namespace, b->namespace) == 0 && strcmp(a->id, b->id) == 0)
                COB_TRY(add_source(exporting, pool, a));
        }
    }
    return NULL;
}

/* --- what is there --- */

static struct source *find_source(
    const struct exporting *exporting, const char *namespace, const char *id)
{
    for (guint i = 0; i < exporting->sources->len; i++) {
        struct source *source = exporting->sources->pdata[i];

        if (strcmp(source->tree->index->namespace, namespace) == 0 &&
            strcmp(source->tree->index->id, id) == 0)
            return source;
    }
    return NULL;
}

/* From memory, when it is the one that was seen last. */
static struct cob_error *get_index(const struct exporting *exporting,
    const struct cob_mountdoc_mount *mount, struct cob_mountindex **ret_index)
{
    const struct source *source = find_source(exporting, mount->namespace, mount->id);
    g_autoptr(GBytes) stored = NULL;

    if (source && source->base && strcmp(source->base->digest, mount->digest) == 0)
        return remote_read_index(exporting->request, mount, source->base_stored, ret_index);
    return remote_get_index(exporting->request, mount, &stored, ret_index);
}

/* One that is damaged is not merged with: what is here replaces it. */
static struct cob_error *add_there(
    struct exporting *exporting, const struct cob_mountdoc_mount *mount)
{
    g_autoptr(cob_mountindex) index = NULL;
    struct cob_error *err = get_index(exporting, mount, &index);

    if (err && cob_error_code(err) != COB_INVALID && cob_error_code(err) != COB_DATA_LOSS &&
        cob_error_code(err) != COB_NOT_FOUND && cob_error_code(err) != COB_EXHAUSTED)
        return cob_wrap(err, "cache mount %s", mount->id);
    if (err) {
        g_autofree char *message = cob_error_message(err);
        g_autofree char *text = g_strdup_printf(
            "cache mount %s: what is there is damaged and dropped: %s", mount->id, message);

        cob_error_free(err);
        note(exporting, text);
    } else {
        catalog_add_index(exporting->catalog, index);
    }
    g_ptr_array_add(exporting->there_indexes, g_steal_pointer(&index));
    return NULL;
}

static struct cob_error *get_there(struct exporting *exporting)
{
    COB_TRY(remote_get_doc(exporting->request, &exporting->document, &exporting->there));
    if (!exporting->there)
        exporting->there = cob_mountdoc_new();
    for (guint i = 0; i < exporting->there->mounts->len; i++)
        COB_TRY(add_there(exporting, exporting->there->mounts->pdata[i]));
    return NULL;
}

/* --- the result --- */

static struct cob_error *read_base(
    const struct exporting *exporting, const struct source *source, struct mount_tree **ret_base)
{
    g_autoptr(cob_mountindex) index = NULL;
    struct cob_mountdoc_mount mount;

    *ret_base = NULL;
    if (!source->base)
        return NULL;
    mount = *source->base;
    mount.namespace = source->tree->index->namespace;
    mount.id = source->tree->index->id;
    COB_TRY(remote_read_index(exporting->request, &mount, source->base_stored, &index));
    *ret_base = mount_tree_of_index(index);
    return NULL;
}

/* there: NULL: the document does not have this mount. */
static struct cob_error *merge_source(struct exporting *exporting, struct source *source,
    const struct cob_mountdoc_mount *mount, const struct cob_mountindex *index)
{
    const bool is_in_step =
        mount && source->base && strcmp(mount->digest, source->base->digest) == 0;
    g_autoptr(mount_tree) there = NULL;
    g_autoptr(mount_tree) base = NULL;

    if (index && !is_in_step && !exporting->request->is_replacing) {
        there = mount_tree_of_index(index);
        COB_TRY(read_base(exporting, source, &base));
    }
    source->is_merged = there != NULL;
    g_ptr_array_add(exporting->trees, mount_tree_merge(source->tree, there, base));
    return NULL;
}

static struct cob_error *merge_all(struct exporting *exporting)
{
    const bool is_reset = cob_cachebackend_options_of(exporting->request->backend)->is_reset;

    for (guint i = 0; i < exporting->sources->len; i++) {
        struct source *source = exporting->sources->pdata[i];
        const struct cob_mountdoc_mount *mount = NULL;
        const struct cob_mountindex *index = NULL;

        for (guint n = 0; n < exporting->there->mounts->len; n++) {
            const struct cob_mountdoc_mount *row = exporting->there->mounts->pdata[n];

            if (find_source(exporting, row->namespace, row->id) == source) {
                mount = row;
                index = exporting->there_indexes->pdata[n];
            }
        }
        COB_TRY(merge_source(exporting, source, mount, index));
    }
    for (guint n = 0; n < exporting->there->mounts->len && !is_reset; n++) {
        const struct cob_mountdoc_mount *row = exporting->there->mounts->pdata[n];
        const struct cob_mountindex *index = exporting->there_indexes->pdata[n];

        if (index && !find_source(exporting, row->namespace, row->id))
            g_ptr_array_add(exporting->trees, mount_tree_of_index(index));
    }
    return NULL;
}

/* --- putting it there --- */

static gint by_name(gconstpointer a, gconstpointer b)
{
    const struct cob_mountdoc_mount *x = *(const struct cob_mountdoc_mount *const *)a;
    const struct cob_mountdoc_mount *y = *(const struct cob_mountdoc_mount *const *)b;
    int order = strcmp(x->namespace, y->namespace);

    return order ? order : strcmp(x->id, y->id);
}

static gint by_digest(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, sizeof(struct cob_sha256));
}

/* The packs of an index that the document does not list yet. */
static void list_packs(
    struct cob_mountdoc *doc, const struct cob_mountindex *index, GHashTable *listed)
{
    for (guint i = 0; i < index->packs->len; i++) {
        const struct cob_mountindex_pack *pack =
            &g_array_index(index->packs, struct cob_mountindex_pack, i);
        char *digest = cob_sha256_text(&pack->sha);

        if (g_hash_table_add(listed, digest))
            g_array_append_val(doc->packs, *pack);
    }
}

static struct cob_error *send(struct exporting *exporting, GBytes *bytes, const char *digest)
{
    bool has = false;

    COB_TRY(cob_cachebackend_has_blob(
        exporting->request->backend, digest, g_bytes_get_size(bytes), &has));
    if (has)
        return NULL;
    exporting->result->moved_bytes += g_bytes_get_size(bytes);
    return cob_cachebackend_put_bytes(exporting->request->backend, bytes, NULL);
}

static struct cob_error *add_tree(struct exporting *exporting, const struct mount_tree *tree,
    struct cob_mountdoc *doc, GHashTable *listed)
{
    struct source *source = find_source(exporting, tree->index->namespace, tree->index->id);
    g_autoptr(cob_mountindex) index = NULL;
    g_autoptr(GBytes) stored = NULL;
    struct cob_mountdoc_mount *mount = NULL;

    catalog_build_index(exporting->catalog, tree, &index);
    COB_TRY(remote_pack_index(index, &stored, &mount));
    g_ptr_array_add(doc->mounts, mount);
    list_packs(doc, index, listed);
    COB_TRY(cob_wrap(send(exporting, stored, mount->digest), "send the index"));
    if (!source)
        return NULL;
    g_clear_pointer(&source->stored, g_bytes_unref);
    source->stored = g_steal_pointer(&stored);
    cob_mountdoc_mount_free(source->made);
    source->made = g_new(struct cob_mountdoc_mount, 1);
    *source->made = *mount;
    source->made->namespace = g_strdup(mount->namespace);
    source->made->id = g_strdup(mount->id);
    source->made->digest = g_strdup(mount->digest);
    return NULL;
}

static struct cob_error *make_doc(struct exporting *exporting, struct cob_mountdoc *doc)
{
    g_autoptr(GHashTable) listed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < exporting->trees->len; i++)
        COB_TRY(add_tree(exporting, exporting->trees->pdata[i], doc, listed));
    g_ptr_array_sort(doc->mounts, by_name);
    g_array_sort(doc->packs, by_digest);
    exporting->result->n_packs = doc->packs->len;
    return NULL;
}

/* Of a registry the last one who writes wins, unseen: look whether ours is still there, a while
 * after. What replaced it is merged with like any other. */
static struct cob_error *look_again(
    const struct exporting *exporting, const char *digest, bool *ret_is_there)
{
    const struct cob_mountcache_request *request = exporting->request;
    g_autoptr(cob_cachebackend_document) document = NULL;
    struct pollfd stop = {.fd = cob_cancel_fd(request->cancel), .events = POLLIN};

    *ret_is_there = true;
    if (cob_cachebackend_options_of(request->backend)->type != COB_CACHEBACKEND_REGISTRY)
        return NULL;
    poll(&stop, 1, LOOK_AGAIN_MS);
    COB_TRY(cob_cancel_check(request->cancel));
    COB_TRY(cob_cachebackend_get_document(request->backend, request->document, &document));
    *ret_is_there = document && strcmp(document->digest, digest) == 0;
    return NULL;
}

static struct cob_error *put_doc(struct exporting *exporting, GBytes *bytes, bool *ret_is_put)
{
    const struct cob_mountcache_request *request = exporting->request;
    g_autoptr(GBytes) empty =
        g_bytes_new_static(COB_MOUNTINDEX_EMPTY, strlen(COB_MOUNTINDEX_EMPTY));
    g_autofree char *digest = cob_digest_of(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_autofree char *empty_digest =
        cob_digest_of(COB_MOUNTINDEX_EMPTY, strlen(COB_MOUNTINDEX_EMPTY));

    COB_TRY(send(exporting, empty, empty_digest));
    COB_TRY(cob_cachebackend_put_document(request->backend, request->document,
        COB_MOUNTINDEX_MANIFEST_TYPE, bytes, exporting->document, ret_is_put));
    exporting->result->moved_bytes += *ret_is_put ? g_bytes_get_size(bytes) : 0;
    return *ret_is_put ? look_again(exporting, digest, ret_is_put) : NULL;
}

static struct cob_error *put(struct exporting *exporting, bool *ret_is_put)
{
    g_autoptr(cob_mountdoc) doc = cob_mountdoc_new();
    g_autoptr(GBytes) bytes = NULL;

    COB_TRY(make_doc(exporting, doc));
    bytes = cob_mountdoc_encode(doc);
    if (g_bytes_get_size(bytes) > COB_LIMIT_MANIFEST_BYTES)
        return cob_fail(COB_EXHAUSTED,
            "the document would be larger than the limit of %" PRIu64
            " bytes: it has too many packs",
            COB_LIMIT_MANIFEST_BYTES);
    *ret_is_put = true;
    if (exporting->document && g_bytes_equal(bytes, exporting->document->bytes))
        return NULL;
    return put_doc(exporting, bytes, ret_is_put);
}

/* --- one try --- */

static void end_try(struct exporting *exporting)
{
    g_clear_pointer(&exporting->packer, packer_free);
    g_clear_pointer(&exporting->catalog, catalog_free);
    g_clear_pointer(&exporting->document, cob_cachebackend_document_free);
    g_clear_pointer(&exporting->there, cob_mountdoc_free);
    g_ptr_array_set_size(exporting->there_indexes, 0);
    g_ptr_array_set_size(exporting->trees, 0);
}

static struct cob_error *pack_and_put(struct exporting *exporting, bool *ret_is_put)
{
    const struct cob_mountcache_request *request = exporting->request;
    uint64_t n_packs, n_bytes, n_fetched = 0;

    COB_TRY(mount_read(exporting->reads, exporting->catalog, exporting->packer, request->cancel));
    COB_TRY(packer_finish(exporting->packer));
    COB_TRY(merge_all(exporting));
    COB_TRY(
        mount_repack(exporting->trees, exporting->catalog, exporting->packer, request, &n_fetched));
    packer_count(exporting->packer, &n_packs, &n_bytes);
    exporting->result->n_new_packs += n_packs;
    exporting->result->moved_bytes += n_bytes;
    return put(exporting, ret_is_put);
}

static struct cob_error *try_once(struct exporting *exporting, bool *ret_is_put)
{
    exporting->catalog = catalog_new();
    exporting->packer = packer_new(exporting->catalog, exporting->request);
    exporting->result->n_tries++;
    COB_TRY(get_there(exporting));
    return pack_and_put(exporting, ret_is_put);
}

/* --- the end --- */

/* What is here is what this machine is in step with; of a merged index only that part: what others
 * have put there is not missed here. */
static struct cob_error *remember_base(struct exporting *exporting, const struct source *source)
{
    struct cob_store *store = exporting->request->store;
    g_autoptr(cob_mountindex) index = NULL;
    g_autoptr(GBytes) stored = NULL;
    g_autoptr(cob_mountdoc_mount) mount = NULL;

    if (!source->is_merged)
        return memory_put_base(
            store, &source->lease, exporting->place, source->made, source->stored);
    catalog_build_index(exporting->catalog, source->tree, &index);
    COB_TRY(remote_pack_index(index, &stored, &mount));
    return memory_put_base(store, &source->lease, exporting->place, mount, stored);
}

static struct cob_error *remember(struct exporting *exporting, const struct source *source)
{
    struct cob_mountcache_row *row = source->read.notes.row;
    const struct cob_mountdoc_mount *before = cob_mountdoc_find(
        exporting->there, source->tree->index->namespace, source->tree->index->id);

    row->n_files = source->made->n_files;
    row->n_bytes = source->made->n_bytes;
    row->is_unchanged = before && strcmp(before->digest, source->made->digest) == 0;
    if (row->n_read > 0) {
        g_autoptr(GBytes) cache = mount_scan_cache(source->tree);

        COB_TRY(memory_put_cache(exporting->request->store, &source->lease, cache));
    }
    if (row->is_unchanged && source->base &&
        strcmp(source->base->digest, source->made->digest) == 0)
        return NULL;
    return remember_base(exporting, source);
}

static struct cob_error *export_all(struct exporting *exporting)
{
    g_autoptr(cob_cachemount_pool) pool = NULL;
    bool is_put = false;

    COB_TRY(cob_cachemount_pool_open(exporting->request->store, NULL, NULL, &pool));
    struct cob_error *err = take_sources(exporting, pool);
    for (unsigned n = 0; !err && !is_put && exporting->sources->len > 0; n++) {
        end_try(exporting);
        err = n < MAX_TRIES ? try_once(exporting, &is_put)
                            : cob_fail(COB_UNAVAILABLE, "others put the document again and again");
    }
    for (guint i = 0; !err && i < exporting->sources->len; i++)
        err = remember(exporting, exporting->sources->pdata[i]);
    if (!err && exporting->sources->len > 0)
        err = cob_cachebackend_sweep(exporting->request->backend);
    g_ptr_array_set_size(exporting->sources, 0); /* their leases, before the pool */
    return err;
}

struct cob_error *cob_mountcache_export(
    const struct cob_mountcache_request *request, struct cob_mountcache_result **ret_result)
{
    g_autoptr(cob_mountcache_result) result = mount_result_new();
    struct exporting exporting = {.request = request,
        .result = result,
        .place = remote_place(request),
        .sources = g_ptr_array_new_with_free_func(source_free),
        .reads = g_ptr_array_new(),
        .there_indexes = g_ptr_array_new_with_free_func(free_index),
        .trees = g_ptr_array_new_with_free_func(free_tree)};
    struct cob_error *err = export_all(&exporting);

    end_try(&exporting);
    g_free(exporting.place);
    g_ptr_array_unref(exporting.sources);
    g_ptr_array_unref(exporting.reads);
    g_ptr_array_unref(exporting.there_indexes);
    g_ptr_array_unref(exporting.trees);
    if (!err)
        *ret_result = g_steal_pointer(&result);
    return cob_wrap(err, "export cache mounts");
}
