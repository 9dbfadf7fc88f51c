/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "build/ops/ops_private.h"
#include "util/json.h"

/* --- the build context --- */

/* The stat cache of a directory is kept under its device and inode. */
static struct cob_error *root_name(int dir_fd, char **ret_name)
{
    struct stat st;

    if (fstat(dir_fd, &st) < 0)
        return cob_fail_errno(errno, "stat the directory");
    *ret_name = g_strdup_printf("%" PRIu64 ":%" PRIu64, (uint64_t)st.st_dev, (uint64_t)st.st_ino);
    return NULL;
}

static struct cob_error *take_bytes(void *arg, const struct cob_db_row *row)
{
    GBytes **bytes = arg;

    *bytes = cob_db_row_bytes(row, 0);
    return NULL;
}

static struct cob_error *load_cache(struct cob_ops *ops, const char *root, GBytes **ret_cache)
{
    return cob_db_run(cob_store_db(ops->config.store), take_bytes, ret_cache,
        "SELECT cache FROM contexts WHERE root = ?1", COB_DB_T(root));
}

static struct cob_error *save_cache(struct cob_ops *ops, const struct open_context *open)
{
    g_autoptr(GBytes) cache = cob_context_cache(open->context);

    if (!cache)
        return NULL;
    return cob_db_run(cob_store_db(ops->config.store), NULL, NULL,
        "INSERT OR REPLACE INTO contexts(root, cache, used_us) VALUES(?1, ?2, ?3)",
        COB_DB_T(open->root), COB_DB_B(cache), COB_DB_I(g_get_real_time()));
}

struct cob_error *cob_ops_finish(struct cob_ops *ops)
{
    for (guint i = 0; i < ops->contexts->len; i++)
        COB_TRY(save_cache(ops, &g_array_index(ops->contexts, struct open_context, i)));
    return NULL;
}

/* The list of paths in an attribute: a JSON array of text. NULL: the attribute is not there. */
static struct cob_error *parse_paths(const char *text, GPtrArray **ret_paths)
{
    json_auto_t *json = NULL;
    const json_t *item;
    size_t i;

    *ret_paths = NULL;
    if (!text)
        return NULL;
    COB_TRY(cob_json_parse(text, strlen(text), "local.followpaths", &json));
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    json_array_foreach(json, i, item)
    {
        if (!json_is_string(item))
            return cob_fail(COB_INVALID, "local.followpaths: not a list of text");
        g_ptr_array_add(paths, g_strdup(json_string_value(item)));
    }
    g_ptr_array_add(paths, NULL);
    *ret_paths = g_steal_pointer(&paths);
    return NULL;
}

/* What BuildKit sends over the wire is here what was walked. */
static void tell_size(const struct op_run *run, const struct cob_context *context)
{
    const struct cob_observer *observer = run->ops->config.observer;
    uint64_t size = 0;

    for (size_t i = 0; i < cob_context_n_entries(context); i++) {
        struct cob_context_entry entry = cob_context_get(context, i);

        if (S_ISREG(entry.mode))
            size += entry.size;
    }
    const int64_t now = g_get_real_time();
    const struct cob_event_status event = {.vertex = run->vertex->digest,
        .id = "transferring context:",
        .current = size,
        .started_us = now,
        .completed_us = now};
    observer->status(observer->arg, &event);
}

static struct cob_error *run_local(
    const struct op_run *run, const Pb__SourceOp *source, struct cob_solver_result **ret_result)
{
    const struct cob_ops_client *client = run->ops->config.client;
    const char *name = source->identifier + strlen("local://");
    struct cob_context_request request = {.dir_fd = -1};
    cob_autoclose int dir_fd = -1;
    g_autofree char *root = NULL;
    g_autoptr(GPtrArray) paths = NULL;
    g_autoptr(GBytes) cache = NULL;
    struct cob_context *context = NULL;

    COB_TRY(client->open_local(client->arg, name, &dir_fd, &request.ignore));
    COB_TRY(root_name(dir_fd, &root));
    COB_TRY(parse_paths(cob_llb_source_attr(source, "local.followpaths"), &paths));
    COB_TRY(load_cache(run->ops, root, &cache));
    request.dir_fd = dir_fd;
    request.paths = paths ? (const char *const *)paths->pdata : NULL;
    request.cache = cache;
    COB_TRY(cob_context_open(&request, run->cancel, &context));
    tell_size(run, context);
    cob_ops_keep_context(run->ops, g_steal_pointer(&root), context);
    *ret_result = cob_ops_result_of_context(context);
    return NULL;
}

/* --- images --- */

static struct cob_error *run_image(
    const struct op_run *run, const Pb__SourceOp *source, struct cob_solver_result **ret_result)
{
    const char *name = source->identifier + strlen("docker-image://");
    g_autofree char *text = cob_ops_platform(run->vertex->op);
    g_autoptr(cob_snapshot) snapshot = NULL;
    const struct cob_image_watcher watcher = {
        .observer = run->ops->config.observer, .vertex = run->vertex->digest};

    COB_TRY(cob_image_fetch(run->ops->config.images, name, text, &watcher, run->cancel, &snapshot));
    *ret_result = snapshot ? cob_ops_result_of(snapshot) : NULL;
    return NULL;
}

struct cob_error *cob_ops_run_source(
    const struct op_run *run, struct cob_solver_result **ret_result)
{
    const Pb__SourceOp *source = run->vertex->op->source;

    if (g_str_has_prefix(source->identifier, "docker-image://"))
        return run_image(run, source, ret_result);
    if (g_str_has_prefix(source->identifier, "local://"))
        return run_local(run, source, ret_result);
    return cob_fail(
        COB_UNIMPLEMENTED, "%s: this kind of source is not supported yet", source->identifier);
}
