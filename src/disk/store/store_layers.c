/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a layer says of itself, for the day when the database is lost.
 *
 *     snapshots/<id>/record    "sha256:<64 hex digits>\n" of all that follows, then
 *                              {"chain_id": .., "parent": .., "fingerprint": .., ...}\n
 *
 * It is written before the layer is put in place and never changed, so whoever sees the layer sees
 * its record. It is believed when
 * (1) its digest is right: it was not torn;
 * (2) the layer's files have its fingerprint: they were not, see store_verify.c;
 * (3) a store of the same kind wrote it: the two kinds of overlay attributes are never mixed;
 * (4) its parent is believed. Numbers of snapshots are never given out again: its name is enough.
 * What is not believed is swept.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "disk/store/store_parts.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/limits.h"
#include "util/log.h"

#define RECORD "record"
#define ID_BASE 36
#define ID_DIGITS "0123456789abcdefghijklmnopqrstuvwxyz"
#define DIGEST_LEN (sizeof(COB_DIGEST_PREFIX) - 1 + 64)

struct cob_error *cob_store_layer_insert(
    struct cob_store *store, const struct cob_store_layer *layer)
{
    return cob_db_run(store->db, NULL, NULL,
        "INSERT INTO snapshots (id, parent, depth, description, chain_id, diff_id, tar_bytes,"
        "  size_bytes, n_entries, fingerprint, created_us, last_used_us, boot, origin, "
        "linked_bytes)"
        "  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        COB_DB_T(layer->id), COB_DB_T(layer->parent), COB_DB_I(layer->depth),
        COB_DB_T(layer->description), COB_DB_T(layer->chain_id), COB_DB_T(layer->diff_id),
        COB_DB_I(layer->tar_bytes), COB_DB_I(layer->size_bytes), COB_DB_I(layer->n_entries),
        COB_DB_I(layer->fingerprint), COB_DB_I(layer->created_us),
        COB_DB_I(layer->used_us ? layer->used_us : layer->created_us), COB_DB_T(store->boot),
        COB_DB_T(layer->origin), COB_DB_I(layer->linked_bytes));
}

static const char *kind_of(const struct cob_store *store)
{
    return store->is_userxattr ? "user" : "trusted";
}

/* A text that is NULL, or no UTF-8, is left out. */
static json_t *record_of(const struct cob_store *store, const struct cob_store_layer *layer)
{
    g_autofree char *fingerprint = g_strdup_printf("%016" PRIx64, layer->fingerprint);
    const struct {
        const char *key;
        json_t *value; /* taken */
    } members[] = {
        {"id", json_string(layer->id)},
        {"parent", json_string(layer->parent)},
        {"depth", json_integer(layer->depth)},
        {"description", json_string(layer->description)},
        {"chain_id", json_string(layer->chain_id)},
        {"diff_id", json_string(layer->diff_id)},
        {"tar_bytes", json_integer((json_int_t)layer->tar_bytes)},
        {"size_bytes", json_integer((json_int_t)layer->size_bytes)},
        {"n_entries", json_integer((json_int_t)layer->n_entries)},
        {"fingerprint", json_string(fingerprint)},
        {"origin", json_string(layer->origin)},
        {"linked_bytes", json_integer((json_int_t)layer->linked_bytes)},
        {"created_us", json_integer(layer->created_us)},
        {"overlay", json_string(kind_of(store))},
    };
    json_t *record = json_object();

    for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
        json_object_set_new(record, members[i].key, members[i].value);
    return record;
}

struct cob_error *cob_store_layer_write(
    const struct cob_store *store, int dir_fd, const struct cob_store_layer *layer)
{
    json_auto_t *record = record_of(store, layer);
    g_autoptr(GBytes) body = cob_json_bytes(record);
    gsize len;
    const char *data = g_bytes_get_data(body, &len);
    g_autofree char *digest = cob_digest_of(data, len);
    g_autofree char *text = g_strdup_printf("%s\n%.*s", digest, (int)len, data);
    cob_autoclose int fd =
        openat(dir_fd, RECORD, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return cob_fail_errno(errno, "create %s", RECORD);
    COB_TRY(cob_wrap(cob_fs_write_fd(fd, text, strlen(text)), "%s", RECORD));
    if (close(g_steal_fd(&fd)) < 0)
        return cob_fail_errno(errno, "close %s", RECORD);
    return NULL;
}

/* ret: the record in these bytes; NULL when its digest is not what it says. */
static json_t *parse_record(GBytes *bytes)
{
    gsize len;
    const char *data = g_bytes_get_data(bytes, &len);
    json_t *record = NULL;

    if (len <= DIGEST_LEN || data[DIGEST_LEN] != '\n')
        return NULL;
    g_autofree char *digest = cob_digest_of(data + DIGEST_LEN + 1, len - DIGEST_LEN - 1);
    if (strncmp(data, digest, DIGEST_LEN) != 0)
        return NULL;
    cob_error_free(cob_json_parse(data + DIGEST_LEN + 1, len - DIGEST_LEN - 1, RECORD, &record));
    return record;
}

/* What is absent, or of another type, is NULL or 0: our own digest is on it. */
static const char *text_in(const json_t *record, const char *key)
{
    return json_string_value(json_object_get(record, key));
}

static int64_t number_in(const json_t *record, const char *key)
{
    return json_integer_value(json_object_get(record, key));
}

/* ret: NULL when there is no record of this layer that can be believed. */
static struct cob_store_look *read_record(const struct cob_store *store, const char *id)
{
    g_autofree char *path = g_strdup_printf("snapshots/%s/" RECORD, id);
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(cob_error) err =
        cob_fs_read_file(store->root_fd, path, COB_LIMIT_LAYER_RECORD_BYTES, &bytes);
    json_auto_t *record = err || !bytes ? NULL : parse_record(bytes);
    const char *fingerprint = text_in(record, "fingerprint");

    if (!fingerprint || g_strcmp0(text_in(record, "id"), id) != 0 ||
        g_strcmp0(text_in(record, "overlay"), kind_of(store)) != 0)
        return NULL;
    struct cob_store_look *look = g_new(struct cob_store_look, 1);
    *look = (struct cob_store_look){
        .id = g_strdup(id),
        .n_entries = (uint64_t)number_in(record, "n_entries"),
        .fingerprint = g_ascii_strtoull(fingerprint, NULL, 16),
        .record = json_incref(record),
    };
    return look;
}

static struct cob_error *insert(struct cob_store *store, const struct cob_store_look *look)
{
    const json_t *record = look->record;
    const struct cob_store_layer layer = {
        .id = look->id,
        .parent = text_in(record, "parent"),
        .depth = (unsigned)number_in(record, "depth"),
        .description = text_in(record, "description"),
        .chain_id = text_in(record, "chain_id"),
        .diff_id = text_in(record, "diff_id"),
        .tar_bytes = (uint64_t)number_in(record, "tar_bytes"),
        .size_bytes = (uint64_t)number_in(record, "size_bytes"),
        .n_entries = look->n_entries,
        .fingerprint = look->fingerprint,
        .origin = text_in(record, "origin"),
        .linked_bytes = (uint64_t)number_in(record, "linked_bytes"),
        .created_us = number_in(record, "created_us"),
    };

    return cob_store_layer_insert(store, &layer);
}

static int by_depth(const void *a, const void *b)
{
    const struct cob_store_look *const *left = a, *const *right = b;
    int64_t difference = number_in((*left)->record, "depth") - number_in((*right)->record, "depth");

    return difference < 0 ? -1 : difference > 0;
}

/* Is what it stands on there already? Parents come first; one chain is adopted once. */
static bool is_based(const struct cob_store_look *look, GHashTable *depths, GHashTable *chains)
{
    const char *parent = text_in(look->record, "parent");
    const char *chain_id = text_in(look->record, "chain_id");
    int64_t below = parent ? GPOINTER_TO_INT(g_hash_table_lookup(depths, parent)) : 0;

    return (below > 0) == (parent != NULL) && number_in(look->record, "depth") == below + 1 &&
           !(chain_id && g_hash_table_contains(chains, chain_id));
}

static struct cob_error *insert_all(struct cob_store *store, GPtrArray *looks)
{
    g_autoptr(GHashTable) depths = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) chains = g_hash_table_new(g_str_hash, g_str_equal);

    g_ptr_array_sort(looks, by_depth);
    for (guint i = 0; i < looks->len; i++) {
        const struct cob_store_look *look = g_ptr_array_index(looks, i);
        const char *chain_id = text_in(look->record, "chain_id");

        if (!look->is_good || !is_based(look, depths, chains)) {
            cob_trace(1, "snapshot %s is not taken up again", look->id);
            continue;
        }
        COB_TRY(insert(store, look));
        g_hash_table_insert(
            depths, look->id, GINT_TO_POINTER((int)number_in(look->record, "depth")));
        if (chain_id)
            g_hash_table_add(chains, (void *)(uintptr_t)chain_id);
    }
    return NULL;
}

struct cob_error *cob_store_adopt_layers(struct cob_store *store, int64_t *ret_next_id)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) looks = cob_store_looks_new();
    int64_t last_id = 0;

    COB_TRY(cob_store_list_names(store->root_fd, "snapshots", &names));
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);

        if (strlen(name) > COB_STORE_ID_CHARS || strspn(name, ID_DIGITS) != strlen(name))
            continue;
        struct cob_store_look *look = read_record(store, name);
        last_id = MAX(last_id, g_ascii_strtoll(name, NULL, ID_BASE));
        if (look)
            g_ptr_array_add(looks, look);
    }
    cob_store_look_at_all(store, looks);
    COB_TRY(insert_all(store, looks));
    *ret_next_id = last_id + 1;
    return NULL;
}
