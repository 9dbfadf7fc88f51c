/* SPDX-License-Identifier: Apache-2.0 */
#include "build/mountcache/mountcache.h"

#include <inttypes.h>
#include <string.h>

#include "build/mountcache/mountcache_parts.h"
#include "util/text.h"

/* --- results --- */

static void row_free(gpointer data)
{
    struct cob_mountcache_row *row = data;

    g_free(row->namespace);
    g_free(row->id);
    g_free(row);
}

struct cob_mountcache_result *mount_result_new(void)
{
    struct cob_mountcache_result *result = g_new0(struct cob_mountcache_result, 1);

    result->rows = g_ptr_array_new_with_free_func(row_free);
    return result;
}

void cob_mountcache_result_free(struct cob_mountcache_result *result)
{
    if (!result)
        return;
    g_ptr_array_unref(result->rows);
    g_free(result);
}

struct cob_mountcache_row *mount_row_new(
    struct cob_mountcache_result *result, const char *namespace, const char *id)
{
    struct cob_mountcache_row *row = g_new(struct cob_mountcache_row, 1);

    *row = (struct cob_mountcache_row){.namespace = g_strdup(namespace), .id = g_strdup(id)};
    g_ptr_array_add(result->rows, row);
    return row;
}

static void append_files(GString *out, const char *verb, uint64_t n, uint64_t n_bytes)
{
    g_autofree char *size = cob_text_size(n_bytes);

    g_string_append_printf(out, "%s%" PRIu64 " file%s, %s", verb, n, n == 1 ? "" : "s", size);
}

char *cob_mountcache_row_text(const struct cob_mountcache_row *row, enum cob_cachebackend_way way)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *id = cob_text_visible(row->id);
    g_autofree char *namespace = cob_text_visible(row->namespace);

    if (namespace[0])
        g_string_append_printf(out, "%s/", namespace);
    g_string_append_printf(out, "%s: ", id);
    append_files(out, "", row->n_files, row->n_bytes);
    if (way == COB_CACHEBACKEND_IMPORT) {
        append_files(out, ": new or newer ", row->n_placed, row->placed_bytes);
        g_string_append_printf(out, "; kept %" PRIu64, row->n_kept);
    } else if (row->is_unchanged) {
        g_string_append(out, ": nothing new");
    } else {
        append_files(out, ": read ", row->n_read, row->read_bytes);
    }
    if (row->n_left_out > 0)
        g_string_append_printf(out, "; left out %" PRIu64, row->n_left_out);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

/* --- names --- */

void mount_name_free(gpointer data)
{
    struct mount_name *name = data;

    g_free(name->namespace);
    g_free(name->id);
    g_free(name);
}

static void add_copy(GPtrArray *names, const struct mount_name *name)
{
    struct mount_name *copy = g_new(struct mount_name, 1);

    *copy = (struct mount_name){.namespace = g_strdup(name->namespace),
        .id = g_strdup(name->id),
        .quota_bytes = name->quota_bytes};
    g_ptr_array_add(names, copy);
}

static const struct mount_name *find_name(
    const GPtrArray *names, const char *namespace, const char *id)
{
    for (guint i = 0; i < names->len; i++) {
        const struct mount_name *name = names->pdata[i];

        if (strcmp(name->namespace, namespace) == 0 && strcmp(name->id, id) == 0)
            return name;
    }
    return NULL;
}

/* By its id in the namespace that was given; where none was, also by both: "ci/npm". */
static const struct mount_name *find_given(
    const GPtrArray *names, const char *namespace, const char *given)
{
    const struct mount_name *found = find_name(names, namespace ? namespace : "", given);

    for (guint i = 0; i < names->len && !found && !namespace; i++) {
        const struct mount_name *name = names->pdata[i];
        g_autofree char *both = g_strconcat(name->namespace, "/", name->id, NULL);

        if (name->namespace[0] && strcmp(both, given) == 0)
            found = name;
    }
    return found;
}

/* "no cache mount go-biuld on this machine (did you mean ...?); there are: a, b" */
static struct cob_error *not_there(
    const GPtrArray *known, const char *namespace, const char *id, const char *where)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    g_autoptr(GString) list = g_string_new(NULL);

    for (guint i = 0; i < known->len; i++) {
        const struct mount_name *name = known->pdata[i];

        if (strcmp(name->namespace, namespace) == 0)
            g_ptr_array_add(ids, name->id);
        g_string_append_printf(list, "%s%s%s%s", i ? ", " : "; there are: ", name->namespace,
            name->namespace[0] ? "/" : "", name->id);
    }
    g_ptr_array_add(ids, NULL);
    const char *near = cob_text_suggest(id, (const char *const *)ids->pdata);
    if (near)
        return cob_fail(
            COB_NOT_FOUND, "no cache mount %s %s: did you mean %s?%s", id, where, near, list->str);
    return cob_fail(COB_NOT_FOUND, "no cache mount %s %s%s", id, where,
        known->len > 0 ? list->str : "; there are none");
}

static struct cob_error *choose_one(const struct cob_mountcache_request *request,
    const GPtrArray *known, const char *id, const char *where, GPtrArray *chosen)
{
    const struct mount_name *name = find_given(known, request->namespace, id);

    if (name && !find_name(chosen, name->namespace, name->id))
        add_copy(chosen, name);
    if (name)
        return NULL;
    struct cob_error *err =
        not_there(known, request->namespace ? request->namespace : "", id, where);
    if (!request->is_lenient)
        return err;
    g_autofree char *text = cob_error_message(err);
    cob_error_free(err);
    if (request->on_note)
        request->on_note(request->arg, text);
    return NULL;
}

struct cob_error *mount_choose(const struct cob_mountcache_request *request, const GPtrArray *known,
    const char *where, GPtrArray **ret_chosen)
{
    g_autoptr(GPtrArray) chosen = g_ptr_array_new_with_free_func(mount_name_free);

    for (guint i = 0; i < known->len && !request->ids; i++)
        add_copy(chosen, known->pdata[i]);
    for (size_t i = 0; request->ids && request->ids[i]; i++)
        COB_TRY(choose_one(request, known, request->ids[i], where, chosen));
    *ret_chosen = g_steal_pointer(&chosen);
    return NULL;
}

/* --- beside a build cache --- */

typedef struct cob_error *(*way)(
    const struct cob_mountcache_request *request, struct cob_mountcache_result **ret_result);

static struct cob_error *go_beside(
    const struct cob_mountcache_request *request, way go, struct cob_mountcache_result **ret_result)
{
    g_autofree char *name =
        cob_mountcache_name_beside(cob_cachebackend_options_of(request->backend));
    struct cob_mountcache_request beside = *request;

    beside.document = name;
    beside.is_lenient = true;
    return go(&beside, ret_result);
}

struct cob_error *cob_mountcache_import_beside(
    const struct cob_mountcache_request *request, struct cob_mountcache_result **ret_result)
{
    return go_beside(request, cob_mountcache_import, ret_result);
}

struct cob_error *cob_mountcache_export_beside(
    const struct cob_mountcache_request *request, struct cob_mountcache_result **ret_result)
{
    return go_beside(request, cob_mountcache_export, ret_result);
}
