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
    g_autoptr(GBytes) cache = open->root ? cob_context_cache(open->context) : NULL;

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

static struct cob_error *open_tree(const struct op_run *run, const Pb__SourceOp *source,
    const struct cob_ops_local *local, const char *root, struct cob_context **ret_context)
{
    struct cob_context_request request = {
        .dir_fd = local->dir_fd, .ignore = local->ignore, .is_image = local->keeps_owners};
    g_autoptr(GPtrArray) paths = NULL;
    g_autoptr(GBytes) cache = NULL;

    COB_TRY(parse_paths(cob_llb_source_attr(source, "local.followpaths"), &paths));
    if (!local->is_transient)
        COB_TRY(load_cache(run->ops, root, &cache));
    request.paths = paths ? (const char *const *)paths->pdata : NULL;
    request.cache = cache;
    return cob_context_open(&request, run->cancel, ret_context);
}

static struct cob_error *run_local(
    const struct op_run *run, const Pb__SourceOp *source, struct cob_solver_result **ret_result)
{
    const struct cob_ops_client *client = run->ops->config.client;
    const char *name = source->identifier + strlen("local://");
    struct cob_ops_local local = {.dir_fd = -1};
    g_autofree char *root = NULL;
    struct cob_context *context = NULL;

    COB_TRY(client->open_local(client->arg, name, &local));
    cob_autoclose int dir_fd = local.dir_fd;
    COB_TRY(root_name(dir_fd, &root));
    COB_TRY(open_tree(run, source, &local, root, &context));
    tell_size(run, context);
    cob_ops_keep_context(run->ops, local.is_transient ? NULL : g_steal_pointer(&root), context);
    *ret_result = cob_ops_result_of_context(context);
    return NULL;
}

/* --- images --- */

static struct cob_error *run_image(
    const struct op_run *run, const Pb__SourceOp *source, struct cob_solver_result **ret_result)
{
    const char *name = source->identifier; /* of a layout all of it */
    g_autofree char *text = cob_ops_platform(run->vertex->op);
    g_autoptr(cob_snapshot) snapshot = NULL;
    const struct cob_image_watcher watcher = {
        .observer = run->ops->config.observer, .vertex = run->vertex->digest};

    if (g_str_has_prefix(name, "docker-image://"))
        name += strlen("docker-image://");
    COB_TRY(cob_image_fetch(run->ops->config.images, name, text, &watcher, run->cancel, &snapshot));
    *ret_result = snapshot ? cob_ops_result_of(snapshot) : NULL;
    return NULL;
}

/* --- other people's servers --- */

static struct cob_error *get_secret(void *arg, const char *id, GBytes **ret_secret)
{
    const struct cob_ops_client *client = arg;

    return client->get_secret(client->arg, id, ret_secret);
}

static struct cob_error *get_ssh(void *arg, const char *id, char **ret_path)
{
    const struct cob_ops_client *client = arg;

    *ret_path = NULL;
    const struct cob_sshagent *agent = client->find_ssh ? client->find_ssh(client->arg, id) : NULL;

    *ret_path = agent ? g_strdup(cob_sshagent_socket(agent)) : NULL;
    return NULL;
}

static struct cob_remote_client remote_client(const struct op_run *run)
{
    return (struct cob_remote_client){.arg = (void *)(uintptr_t)run->ops->config.client,
        .get_secret = get_secret,
        .get_ssh = get_ssh,
        .observer = run->ops->config.observer,
        .vertex = run->vertex->digest};
}

static struct cob_error *get_number(
    const Pb__SourceOp *source, const char *key, unsigned base, uint64_t max, uint64_t *ret_number)
{
    const char *text = cob_llb_source_attr(source, key);

    if (text && !g_ascii_string_to_unsigned(text, base, 0, max, ret_number, NULL))
        return cob_fail(COB_INVALID, "%s: \"%.100s\" is not a number in its bounds", key, text);
    return NULL;
}

/* "http.header.accept" -> "accept: ...". The names that there are come from BuildKit's client. */
static struct cob_error *get_headers(const Pb__SourceOp *source, GPtrArray *lines)
{
    static const char *const known[][2] = {
        {"http.header.accept", "Accept"}, {"http.header.user-agent", "User-Agent"}};

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        const char *value = cob_llb_source_attr(source, known[i][0]);

        if (value && strpbrk(value, "\r\n"))
            return cob_fail(COB_INVALID, "%s: more than one line", known[i][0]);
        if (value)
            g_ptr_array_add(lines, g_strdup_printf("%s: %s", known[i][1], value));
    }
    g_ptr_array_add(lines, NULL);
    return NULL;
}

static struct cob_error *run_http(
    const struct op_run *run, const Pb__SourceOp *source, struct cob_solver_result **ret_result)
{
    const struct cob_remote_client client = remote_client(run);
    g_autoptr(GPtrArray) headers = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(cob_snapshot) snapshot = NULL;
    uint64_t mode = 0, uid = 0, gid = 0;

    COB_TRY(get_number(source, "http.perm", 8, 0777, &mode));
    COB_TRY(get_number(source, "http.uid", 10, G_MAXINT32, &uid));
    COB_TRY(get_number(source, "http.gid", 10, G_MAXINT32, &gid));
    COB_TRY(get_headers(source, headers));
    const struct cob_remote_file file = {.url = source->identifier,
        .checksum = cob_llb_source_attr(source, "http.checksum"),
        .auth_secret = cob_llb_source_attr(source, "http.authheadersecret"),
        .headers = (const char *const *)headers->pdata,
        .filename = cob_llb_source_attr(source, "http.filename"),
        .mode = (mode_t)mode,
        .uid = (uid_t)uid,
        .gid = (gid_t)gid};
    COB_TRY(
        cob_remote_file_fetch(run->ops->config.remotes, &file, &client, run->cancel, &snapshot));
    *ret_result = cob_ops_result_of(snapshot);
    return NULL;
}

static bool is_true(const Pb__SourceOp *source, const char *key)
{
    return g_strcmp0(cob_llb_source_attr(source, key), "true") == 0;
}

/* The identifier has the ref and the subdirectory, git.fullurl how to get there. */
static struct cob_error *read_place(const Pb__SourceOp *source, struct cob_gitref **ret_place)
{
    const char *url = cob_llb_source_attr(source, "git.fullurl");
    const char *checksum = cob_llb_source_attr(source, "git.checksum");
    g_autoptr(cob_gitref) place = NULL;
    g_autoptr(cob_gitref) said = NULL;
    g_autofree char *plain = g_strconcat("https://", source->identifier + strlen("git://"), NULL);

    plain[strcspn(plain, "#?")] = '\0';
    COB_TRY(cob_gitref_parse(source->identifier, &said));
    COB_TRY(cob_gitref_of_url(NULL, url ? url : plain, &place));
    place->ref = g_strdup(said->ref);
    place->subdir = g_strdup(said->subdir);
    place->checksum = g_strdup(checksum);
    place->is_by_commit = is_true(source, "git.fetchbycommit");
    place->is_mtime_of_commit = g_strcmp0(cob_llb_source_attr(source, "git.mtime"), "commit") == 0;
    *ret_place = g_steal_pointer(&place);
    return NULL;
}

static struct cob_error *run_git(
    const struct op_run *run, const Pb__SourceOp *source, struct cob_solver_result **ret_result)
{
    const struct cob_remote_client client = remote_client(run);
    g_autoptr(cob_gitref) place = NULL;
    g_autoptr(cob_snapshot) snapshot = NULL;

    COB_TRY(read_place(source, &place));
    const struct cob_remote_git git = {.place = place,
        .keeps_git_dir = is_true(source, "git.keepgitdir"),
        .skips_submodules = is_true(source, "git.skipsubmodules"),
        .token_secret = cob_llb_source_attr(source, "git.authtokensecret"),
        .header_secret = cob_llb_source_attr(source, "git.authheadersecret"),
        .ssh_id = cob_llb_source_attr(source, "git.mountsshsock")};
    COB_TRY(cob_remote_git_fetch(run->ops->config.remotes, &git, &client, run->cancel, &snapshot));
    *ret_result = cob_ops_result_of(snapshot);
    return NULL;
}

struct cob_error *cob_ops_run_source(
    const struct op_run *run, struct cob_solver_result **ret_result)
{
    const Pb__SourceOp *source = run->vertex->op->source;

    if (g_str_has_prefix(source->identifier, "docker-image://") ||
        g_str_has_prefix(source->identifier, "oci-layout://"))
        return run_image(run, source, ret_result);
    if (g_str_has_prefix(source->identifier, "local://"))
        return run_local(run, source, ret_result);
    if (g_str_has_prefix(source->identifier, "http://") ||
        g_str_has_prefix(source->identifier, "https://"))
        return run_http(run, source, ret_result);
    if (g_str_has_prefix(source->identifier, "git://"))
        return run_git(run, source, ret_result);
    return cob_fail(
        COB_UNIMPLEMENTED, "%s: this kind of source is not supported yet", source->identifier);
}
