/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "build/engine/engine_private.h"
#include "util/fs.h"
#include "util/limits.h"

#define IGNORE ".dockerignore"

static void tree_free(void *data)
{
    struct context_tree *tree = data;

    if (tree->dir_fd >= 0)
        close(tree->dir_fd);
    cob_snapshot_unref(tree->snapshot);
    cob_snapshot_draft_free(tree->draft);
    cob_ignore_free(tree->ignore);
    g_free(tree->name);
    g_free(tree);
}

void cob_engine_contexts_close(struct contexts *contexts)
{
    if (!contexts->trees)
        return;
    g_clear_pointer(&contexts->trees, g_ptr_array_unref);
    g_clear_pointer(&contexts->named, g_hash_table_unref);
    g_clear_pointer(&contexts->dockerfile, g_bytes_unref);
    if (contexts->file_dir_fd >= 0)
        close(contexts->file_dir_fd);
    g_clear_pointer(&contexts->file_name, g_free);
    g_clear_pointer(&contexts->file_path, g_free);
}

struct context_tree *cob_engine_contexts_add(struct contexts *contexts, const char *name)
{
    struct context_tree *tree = g_new(struct context_tree, 1);

    *tree = (struct context_tree){.name = g_strdup(name), .dir_fd = -1};
    g_ptr_array_add(contexts->trees, tree);
    return tree;
}

struct context_tree *cob_engine_contexts_find(const struct contexts *contexts, const char *name)
{
    for (guint i = 0; i < contexts->trees->len; i++) {
        struct context_tree *tree = g_ptr_array_index(contexts->trees, i);

        if (strcmp(tree->name, name) == 0)
            return tree;
    }
    return NULL;
}

/* --- named ones --- */

static struct cob_error *read_ignore(struct context_tree *tree)
{
    g_autoptr(GBytes) bytes = NULL;

    COB_TRY(cob_fs_read_in_root(tree->dir_fd, IGNORE, COB_LIMIT_IGNORE_BYTES, &bytes));
    if (!bytes)
        return NULL;
    g_autoptr(cob_srcfile) file = cob_srcfile_new(IGNORE, bytes);
    return cob_ignore_parse(file, &tree->ignore);
}

/* A directory, with an ignore file of its own. */
static struct cob_error *open_directory(const struct frontend_call *call, struct contexts *contexts,
    const struct cob_contextref *ref, char **ret_input)
{
    g_autofree char *title = g_strdup_printf("[context %s] load %s", ref->key, IGNORE);
    bool is_taken = strcmp(ref->key, "context") == 0; /* nobody can ask for it, but it is there */
    g_autofree char *name = g_strconcat(is_taken ? "_" : "", ref->key, NULL);
    struct context_tree *tree = cob_engine_contexts_add(contexts, name);

    tree->dir_fd = open(ref->value, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tree->dir_fd < 0)
        return cob_fail_errno(
            errno, "failed to get build context %s: open %s", ref->key, ref->value);
    struct internal_step step = cob_engine_step_begin(call->observer, title);
    COB_TRY(cob_engine_step_end(&step, read_ignore(tree)));
    *ret_input = g_strconcat("local:", name, NULL);
    return NULL;
}

/* Each directory with images is a store of its own. */
static struct cob_error *open_layout(
    const struct frontend_call *call, const struct cob_contextref *ref, char **ret_input)
{
    struct cob_layoutref layout;
    cob_autoclose int dir_fd = -1;
    g_autofree char *store = NULL;
    struct cob_error *err = NULL;

    COB_TRY(cob_layoutref_parse(ref->value + strlen("oci-layout://"), &layout));
    g_autofree char *sha = cob_digest_of(layout.path, strlen(layout.path));
    store = g_strdup_printf("%.12s", sha + strlen(COB_DIGEST_PREFIX));
    dir_fd = open(layout.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        err = cob_fail_errno(errno, "invalid store at %s", layout.path);
    if (!err && !layout.digest)
        err = cob_wrap(cob_image_layout_find(dir_fd, layout.tag, &layout.digest),
            "oci-layout reference \"%s\" could not be resolved", ref->value);
    if (!err) {
        cob_image_source_add_layout(call->engine->images, store, dir_fd);
        *ret_input = g_strdup_printf("oci-layout://%s@%s", store, layout.digest);
    }
    cob_layoutref_done(&layout);
    return err;
}

static struct cob_error *open_named(const struct frontend_call *call, struct contexts *contexts,
    const struct cob_contextref *ref, char **ret_input)
{
    switch (ref->kind) {
    case COB_CONTEXTREF_PATH:
    case COB_CONTEXTREF_STDIN:
        return open_directory(call, contexts, ref, ret_input);
    case COB_CONTEXTREF_MAYBE_GIT:
        if (g_file_test(ref->value, G_FILE_TEST_IS_DIR))
            return open_directory(call, contexts, ref, ret_input);
        break;
    case COB_CONTEXTREF_LAYOUT:
        return open_layout(call, ref, ret_input);
    case COB_CONTEXTREF_OTHER:
        return cob_fail(COB_INVALID,
            "context %s: %s is the result of another build, and only \"bake\" knows of it: build "
            "it first, and write docker-image://NAME",
            ref->key, ref->value);
    case COB_CONTEXTREF_HTTP:
    case COB_CONTEXTREF_GIT:
    case COB_CONTEXTREF_IMAGE:
        break;
    }
    *ret_input = g_strdup(ref->value);
    return NULL;
}

static struct cob_error *open_all_named(const struct frontend_call *call, struct contexts *contexts)
{
    for (const char *const *text = call->request->build_contexts; text && *text; text++) {
        g_autoptr(cob_contextref) ref = NULL;
        char *input = NULL;

        if (!**text)
            continue;
        COB_TRY(cob_contextref_parse(*text, &ref));
        COB_TRY(open_named(call, contexts, ref, &input));
        g_hash_table_replace(contexts->named, g_strdup(ref->key), input);
    }
    return NULL;
}

/* --- the Dockerfile --- */

/* In a context that has no Dockerfile a dockerfile will do, as for buildx. The caller frees it. */
static char *usual_name(int dir_fd)
{
    bool has_usual = faccessat(dir_fd, "Dockerfile", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    bool has_lower = faccessat(dir_fd, "dockerfile", F_OK, AT_SYMLINK_NOFOLLOW) == 0;

    return g_strdup(!has_usual && has_lower ? "dockerfile" : "Dockerfile");
}

bool cob_engine_contexts_is_remote(const struct contexts *contexts)
{
    const struct context_tree *tree = g_ptr_array_index(contexts->trees, 0);

    return tree->snapshot || tree->draft;
}

static bool is_url(const char *path)
{
    return path && (g_str_has_prefix(path, "http://") || g_str_has_prefix(path, "https://"));
}

/* A file of the user's own, wherever the context comes from. */
static struct cob_error *open_own_dir(struct contexts *contexts, const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);

    contexts->file_name = g_path_get_basename(path);
    contexts->file_path = g_strdup(path);
    contexts->file_dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (contexts->file_dir_fd >= 0)
        return NULL;
    if (errno == ENOENT)
        return cob_fail(
            COB_NOT_FOUND, "failed to read dockerfile: open %s: no such file or directory", path);
    return cob_fail_errno(errno, "failed to read dockerfile: open %s", dir);
}

/* A path is the user's, unless it is relative and the context is none of the user's directories. */
static struct cob_error *find_dockerfile(
    const struct frontend_call *call, struct contexts *contexts)
{
    const struct cob_engine_request *request = call->request;
    const struct context_tree *tree = g_ptr_array_index(contexts->trees, 0);
    const char *path = request->dockerfile;

    if (request->dockerfile_bytes || is_url(path)) {
        contexts->file_name = g_strdup("Dockerfile");
        if (!request->dockerfile_bytes)
            return cob_engine_contexts_get_dockerfile(call, path, &contexts->dockerfile);
        contexts->dockerfile = g_bytes_ref(request->dockerfile_bytes);
        return NULL;
    }
    if (path && (*path == '/' || !cob_engine_contexts_is_remote(contexts)))
        return open_own_dir(contexts, path);
    if (path)
        contexts->file_name = g_strdup(path);
    else if (contexts->is_one_file)
        contexts->file_name = g_strdup(COB_ENGINE_ONE_FILE);
    else
        contexts->file_name = usual_name(tree->dir_fd);
    contexts->file_path = cob_engine_contexts_is_remote(contexts)
                              ? g_strdup(contexts->file_name)
                              : g_build_filename(request->context, contexts->file_name, NULL);
    return NULL;
}

static int dir_of_dockerfile(const struct contexts *contexts)
{
    const struct context_tree *tree = g_ptr_array_index(contexts->trees, 0);

    return contexts->file_dir_fd >= 0 ? contexts->file_dir_fd : tree->dir_fd;
}

struct cob_error *cob_engine_contexts_dockerfile(
    const struct contexts *contexts, GBytes **ret_bytes)
{
    cob_autoclose int fd = -1;

    if (contexts->dockerfile) {
        *ret_bytes = g_bytes_ref(contexts->dockerfile);
        return NULL;
    }
    struct cob_error *err =
        cob_fs_open_in_root(dir_of_dockerfile(contexts), contexts->file_name, &fd);
    if (err && cob_error_code(err) == COB_INVALID) {
        cob_error_free(err);
        err = cob_fail(COB_INVALID, "open %s: not a regular file", contexts->file_path);
    }
    COB_TRY(cob_wrap(err, "failed to read dockerfile"));
    if (fd < 0)
        return cob_fail(COB_NOT_FOUND,
            "failed to read dockerfile: open %s: no such file or directory", contexts->file_path);
    return cob_wrap(cob_fs_read_fd(fd, COB_LIMIT_DOCKERFILE_BYTES, ret_bytes),
        "failed to read dockerfile: read %s", contexts->file_path);
}

struct cob_error *cob_engine_contexts_ignore(
    const struct contexts *contexts, struct cob_srcfile **ret_file)
{
    const struct context_tree *tree = g_ptr_array_index(contexts->trees, 0);
    g_autofree char *own = g_strconcat(contexts->file_name, IGNORE, NULL);
    g_autoptr(GBytes) bytes = NULL;

    *ret_file = NULL;
    if (!contexts->dockerfile)
        COB_TRY(
            cob_fs_read_in_root(dir_of_dockerfile(contexts), own, COB_LIMIT_IGNORE_BYTES, &bytes));
    const bool is_own = bytes != NULL;
    if (!is_own)
        COB_TRY(cob_fs_read_in_root(tree->dir_fd, IGNORE, COB_LIMIT_IGNORE_BYTES, &bytes));
    if (bytes)
        *ret_file = cob_srcfile_new(is_own ? own : IGNORE, bytes);
    return NULL;
}

struct cob_error *cob_engine_contexts_open(
    const struct frontend_call *call, struct contexts *contexts)
{
    *contexts = (struct contexts){.trees = g_ptr_array_new_with_free_func(tree_free),
        .named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .file_dir_fd = -1};
    COB_TRY(cob_engine_contexts_open_main(call, contexts));
    COB_TRY(cob_wrap(find_dockerfile(call, contexts), "failed to solve"));
    return open_all_named(call, contexts);
}
