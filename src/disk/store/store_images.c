/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "disk/store/store.h"
#include "disk/store/store_parts.h"
#include "util/digest.h"

#define COLUMNS                                                                                    \
    "SELECT name, platform, config_digest, manifest_digest, snapshot, size_bytes, created_us"      \
    "  FROM images "

#define MIN_PREFIX 4 /* hex digits that stand for an image id */

void cob_store_image_free(struct cob_store_image *image)
{
    if (!image)
        return;
    g_free(image->name);
    g_free(image->platform);
    g_free(image->config_digest);
    g_free(image->manifest_digest);
    g_free(image->snapshot);
    g_free(image);
}

static struct cob_error *read_flag(void *arg, const struct cob_db_row *row)
{
    *(bool *)arg = cob_db_row_int(row, 0) != 0;
    return NULL;
}

/* An image without its config or its layers would be a record without its data. */
static struct cob_error *check_data(struct cob_store *store, const struct cob_store_image *image)
{
    bool has_config = false;
    bool has_snapshot = false;

    COB_TRY(cob_db_run(store->db, read_flag, &has_config,
        "SELECT EXISTS (SELECT 1 FROM blobs WHERE digest = ?1)", COB_DB_T(image->config_digest)));
    if (!has_config)
        return cob_fail(
            COB_PRECONDITION, "its config %s is not in the store", image->config_digest);
    COB_TRY(cob_db_run(store->db, read_flag, &has_snapshot,
        "SELECT ?1 IS NULL OR EXISTS (SELECT 1 FROM snapshots WHERE id = ?1)",
        COB_DB_T(image->snapshot)));
    if (!has_snapshot)
        return cob_fail(COB_PRECONDITION, "its snapshot %s is not in the store", image->snapshot);
    return NULL;
}

static struct cob_error *put(struct cob_store *store, const struct cob_store_image *image)
{
    COB_TRY(check_data(store, image));
    /* The image that has the name keeps its row without it, unless it is this one. */
    COB_TRY(cob_db_run(store->db, NULL, NULL,
        "UPDATE images SET name = NULL WHERE name = ?1 AND platform = ?2 AND config_digest <> ?3",
        COB_DB_T(image->name), COB_DB_T(image->platform), COB_DB_T(image->config_digest)));
    COB_TRY(cob_db_run(store->db, NULL, NULL,
        "DELETE FROM images WHERE name IS NULL AND platform = ?1 AND config_digest = ?2",
        COB_DB_T(image->platform), COB_DB_T(image->config_digest)));
    return cob_db_run(store->db, NULL, NULL,
        "INSERT INTO images (name, platform, config_digest, manifest_digest, snapshot, size_bytes,"
        "  created_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
        "  ON CONFLICT (name, platform) DO UPDATE SET"
        "  manifest_digest = coalesce(excluded.manifest_digest, manifest_digest),"
        "  snapshot = excluded.snapshot, size_bytes = excluded.size_bytes,"
        "  created_us = excluded.created_us",
        COB_DB_T(image->name), COB_DB_T(image->platform), COB_DB_T(image->config_digest),
        COB_DB_T(image->manifest_digest), COB_DB_T(image->snapshot), COB_DB_I(image->size_bytes),
        COB_DB_I(image->created_us ? image->created_us : g_get_real_time()));
}

struct cob_error *cob_store_image_put(struct cob_store *store, const struct cob_store_image *image)
{
    COB_TRY(cob_store_begin(store));
    struct cob_error *err = put(store, image);
    if (err) {
        cob_store_rollback(store);
        return cob_wrap(err, "put image %s", image->name);
    }
    return cob_wrap(cob_store_commit(store), "put image %s", image->name);
}

static struct cob_error *add_image(void *arg, const struct cob_db_row *row)
{
    struct cob_store_image *image = g_new(struct cob_store_image, 1);

    *image = (struct cob_store_image){
        .name = g_strdup(cob_db_row_text(row, 0)),
        .platform = g_strdup(cob_db_row_text(row, 1)),
        .config_digest = g_strdup(cob_db_row_text(row, 2)),
        .manifest_digest = g_strdup(cob_db_row_text(row, 3)),
        .snapshot = g_strdup(cob_db_row_text(row, 4)),
        .size_bytes = (uint64_t)cob_db_row_int(row, 5),
        .created_us = cob_db_row_int(row, 6),
    };
    g_ptr_array_add(arg, image);
    return NULL;
}

static GPtrArray *images_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))cob_store_image_free);
}

static bool is_hex(const char *text)
{
    return strspn(text, "0123456789abcdef") == strlen(text);
}

/* The same image under two names is one image. */
static bool is_one_image(const GPtrArray *images)
{
    for (guint i = 1; i < images->len; i++) {
        const struct cob_store_image *a = g_ptr_array_index(images, 0);
        const struct cob_store_image *b = g_ptr_array_index(images, i);

        if (strcmp(a->config_digest, b->config_digest) != 0)
            return false;
    }
    return true;
}

/* By a config digest, or the beginning of one. */
static struct cob_error *find_by_id(
    struct cob_store *store, const char *name, const char *platform, GPtrArray *images)
{
    const char *hex =
        g_str_has_prefix(name, COB_DIGEST_PREFIX) ? name + strlen(COB_DIGEST_PREFIX) : name;

    if (!is_hex(hex) || strlen(hex) < MIN_PREFIX || strlen(hex) > COB_SHA256_HEX)
        return NULL;
    g_autofree char *low = g_strconcat(COB_DIGEST_PREFIX, hex, NULL);
    g_autofree char *high = g_strconcat(low, "g", NULL); /* behind every hex digit */
    COB_TRY(cob_db_run(store->db, add_image, images,
        COLUMNS "WHERE config_digest >= ?1 AND config_digest < ?2 AND (?3 IS NULL OR platform = ?3)"
                "  ORDER BY name IS NULL, created_us DESC, seq DESC",
        COB_DB_T(low), COB_DB_T(high), COB_DB_T(platform)));
    if (!is_one_image(images))
        return cob_fail(COB_INVALID, "%s is the beginning of several image ids", name);
    return NULL;
}

struct cob_error *cob_store_image_find(struct cob_store *store, const char *name,
    const char *platform, struct cob_store_image **ret_image)
{
    g_autoptr(GPtrArray) images = images_new();

    COB_TRY(cob_db_run(store->db, add_image, images,
        COLUMNS "WHERE name = ?1 AND (?2 IS NULL OR platform = ?2)"
                "  ORDER BY created_us DESC, seq DESC",
        COB_DB_T(name), COB_DB_T(platform)));
    if (images->len == 0)
        COB_TRY(find_by_id(store, name, platform, images));
    *ret_image = images->len ? g_ptr_array_steal_index(images, 0) : NULL;
    return NULL;
}

struct cob_error *cob_store_image_list(struct cob_store *store, GPtrArray **ret_images)
{
    g_autoptr(GPtrArray) images = images_new();

    COB_TRY(cob_db_run(store->db, add_image, images, COLUMNS "ORDER BY created_us DESC, seq DESC"));
    *ret_images = g_steal_pointer(&images);
    return NULL;
}

static struct cob_error *run_and_count(
    struct cob_store *store, const char *name, const char *config_digest, bool *ret_was_there)
{
    COB_TRY(cob_db_run(store->db, NULL, NULL,
        "DELETE FROM images WHERE name IS ?1 AND (?2 IS NULL OR config_digest = ?2)",
        COB_DB_T(name), COB_DB_T(config_digest)));
    *ret_was_there = cob_db_n_changed(store->db) > 0;
    return NULL;
}

static struct cob_error *remove_rows(
    struct cob_store *store, const char *name, const char *config_digest, bool *ret_was_there)
{
    bool was_there = false;

    COB_TRY(cob_db_begin(store->db));
    struct cob_error *err = run_and_count(store, name, config_digest, &was_there);
    if (err) {
        cob_db_rollback(store->db);
        return cob_wrap(err, "remove image %s", name ? name : config_digest);
    }
    COB_TRY(cob_db_commit(store->db));
    *ret_was_there = was_there;
    return NULL;
}

struct cob_error *cob_store_image_remove(
    struct cob_store *store, const char *name, const char *config_digest, bool *ret_was_there)
{
    return remove_rows(store, name, config_digest, ret_was_there);
}

struct cob_error *cob_store_image_remove_unnamed(
    struct cob_store *store, const char *config_digest, bool *ret_was_there)
{
    return remove_rows(store, NULL, config_digest, ret_was_there);
}
