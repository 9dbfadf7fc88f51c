/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_contexts.h"
#include "lang/dockerfile/dockerfile_remote.h"
#include "util/limits.h"

/* An ADD or COPY on its way: its words expanded, its actions so far. */
struct copy_job {
    struct dockerfile_job *job;
    const struct dockerfile_files *files;
    GPtrArray *arena;                      /* char *: what the actions borrow */
    GPtrArray *lists;                      /* char **: lists of theirs */
    GPtrArray *sources;                    /* char *: expanded */
    char *dest, *chown, *chmod, *checksum; /* expanded; dest as written */
    const char *dest_path;                 /* absolute */
    const char *shown, *name;              /* of the step */
    int mode;
    bool has_mode_text;
    GArray *actions; /* struct cob_llb_action */
};

static const char *keep(struct copy_job *copy, char *text)
{
    g_ptr_array_add(copy->arena, text);
    return text;
}

/* A list of one text. text: taken. */
static const char *const *keep_list(struct copy_job *copy, char *text)
{
    char **list = g_new(char *, 2);

    list[0] = text;
    list[1] = NULL;
    g_ptr_array_add(copy->lists, list);
    return (const char *const *)list;
}

static bool is_set(const char *text)
{
    return text && *text;
}

/* One of "u+rwX", "go=", "a-x+r".
 * spec: POSIX chmod, symbolic_mode. */
static bool is_mode_clause(const char *text, size_t len)
{
    size_t at = strspn(text, "ugoa");

    if (at >= len || !strchr("+-=", text[at]))
        return false;
    return at + strspn(text + at, "+-=rwxXstugo") >= len;
}

static bool is_symbolic_mode(const char *text)
{
    while (*text) {
        size_t len = strcspn(text, ",");

        if (!is_mode_clause(text, len))
            return false;
        text += len;
        if (*text == ',' && !*++text)
            return false;
    }
    return true;
}

static struct cob_error *read_mode(struct copy_job *copy)
{
    guint64 mode;

    copy->mode = COB_LLB_MODE_KEEP;
    if (!is_set(copy->chmod))
        return NULL;
    if (g_ascii_string_to_unsigned(copy->chmod, 8, 0, 07777, &mode, NULL))
        copy->mode = (int)mode;
    else if (is_symbolic_mode(copy->chmod))
        copy->has_mode_text = true;
    else if (!g_ascii_isdigit(*copy->chmod))
        return cob_fail(COB_INVALID, "invalid chmod parameter: '%s': invalid syntax", copy->chmod);
    else
        return cob_fail(COB_INVALID,
            "invalid chmod parameter: '%s'. it should be octal string and between 0 and 07777",
            copy->chmod);
    return NULL;
}

static struct cob_error *check_checksum(const struct copy_job *copy)
{
    struct dockerfile_remote remote;

    if (!is_set(copy->checksum))
        return NULL;
    if (copy->sources->len != 1)
        return cob_fail(COB_INVALID, "checksum can't be specified for multiple sources");
    COB_TRY(dockerfile_remote_parse(g_ptr_array_index(copy->sources, 0), &remote));
    bool is_remote = remote.is_http || remote.git;
    dockerfile_remote_done(&remote);
    if (!is_remote)
        return cob_fail(COB_INVALID, "checksum requires HTTP(S) or Git sources");
    return NULL;
}

static struct cob_error *expand_flag(struct copy_job *copy, const char *text, char **ret_text)
{
    if (!text)
        return NULL;
    return dockerfile_job_expand(copy->job, text, ret_text);
}

/* Everything that has variables, with the values from before this step. */
static struct cob_error *expand_all(struct copy_job *copy)
{
    const struct dockerfile_files *files = copy->files;
    const char *dir = copy->job->build->config->working_dir;

    COB_TRY(expand_flag(copy, files->chown, &copy->chown));
    COB_TRY(expand_flag(copy, files->chmod, &copy->chmod));
    COB_TRY(expand_flag(copy, files->checksum, &copy->checksum));
    for (guint i = 0; i < files->sources->len; i++) {
        char *source = NULL;

        COB_TRY(dockerfile_job_expand(copy->job, g_ptr_array_index(files->sources, i), &source));
        g_ptr_array_add(copy->sources, source);
    }
    COB_TRY(dockerfile_job_expand(copy->job, files->dest, &copy->dest));
    const char *dest = copy->dest;
    if (!*dest || strcmp(dest, ".") == 0)
        dest = "./";
    copy->dest_path = keep(copy, dockerfile_join_path(is_set(dir) ? dir : "/", dest, true));
    return NULL;
}

/* The root file system that the files come from. */
static struct cob_error *find_root(struct copy_job *copy, struct cob_llb_ref *ret_root)
{
    struct dockerfile_convert *convert = copy->job->convert;
    const GPtrArray *sources = copy->job->step->sources;

    if (sources->len == 0) {
        *ret_root = convert->context;
        return NULL;
    }
    const struct dockerfile_node *node = g_ptr_array_index(sources, 0);
    if (!dockerfile_is_done(convert, node))
        return cob_fail(COB_INVALID,
            "cannot copy from stage \"%s\", it needs to be defined before current stage \"%s\"",
            copy->files->from, copy->job->build->node->name);
    *ret_root = dockerfile_root_of(convert, node);
    return NULL;
}

static struct cob_llb_action new_action(struct copy_job *copy, struct cob_llb_ref from)
{
    const GPtrArray *excludes = copy->files->excludes;
    struct cob_llb_action action = {
        .kind = COB_LLB_COPY,
        .flags = COB_LLB_MAKE_PARENTS,
        .path = copy->dest_path,
        .from = from,
        .mode = copy->mode,
        .mode_text = copy->has_mode_text ? copy->chmod : NULL,
        .owner = is_set(copy->chown) ? copy->chown : NULL,
        .time_ns = COB_LLB_TIME_KEEP,
    };

    if (excludes->len > 0) {
        char **list = g_new0(char *, excludes->len + 1);

        for (guint i = 0; i < excludes->len; i++)
            list[i] = g_strdup(g_ptr_array_index(excludes, i));
        g_ptr_array_add(copy->lists, list);
        action.exclude = (const char *const *)list;
    }
    return action;
}

static bool has_wildcard(const char *text)
{
    for (; *text; text++) {
        if (strchr("*?[", *text))
            return true;
        if (*text == '\\' && text[1])
            text++;
    }
    return false;
}

/* --parents: what stands before "/./" is where to start, the rest a pattern whose folders stay.
 * spec: BuildKit dockerfile2llb/convert_copy.go, dispatchCopy. */
static void set_parents(struct copy_job *copy, struct cob_llb_action *action, const char *source)
{
    const char *pivot = strstr(source, "/./");
    g_autofree char *start = pivot ? g_strndup(source, (size_t)(pivot - source)) : g_strdup("/");
    g_autofree char *pattern = dockerfile_clean_path(pivot ? pivot + 3 : source);

    action->source = keep(copy, dockerfile_clean_path(start));
    action->include = keep_list(copy, g_strdup(pattern + 1));
    if (!has_wildcard(start) && !has_wildcard(pattern)) {
        g_autofree char *required = g_strconcat(start, "/", pattern, NULL);

        action->required = keep_list(copy, dockerfile_clean_path(required));
    }
}

static void add_path(struct copy_job *copy, struct cob_llb_ref from, const char *source)
{
    bool is_add = copy->job->instruction->kind == DOCKERFILE_ADD;
    enum dockerfile_choice unpack = copy->files->unpack;
    struct cob_llb_action action = new_action(copy, from);

    dockerfile_lint_copy(copy->job, source);
    action.flags |=
        COB_LLB_FOLLOW_LINKS | COB_LLB_CONTENTS_ONLY | COB_LLB_WILDCARD | COB_LLB_ALLOW_NOTHING;
    if (unpack == DOCKERFILE_YES || (is_add && unpack == DOCKERFILE_UNSAID))
        action.flags |= COB_LLB_UNPACK;
    if (copy->files->is_parents)
        set_parents(copy, &action, source);
    else
        action.source = keep(copy, dockerfile_clean_path(source));
    g_array_append_val(copy->actions, action);
    const GPtrArray *nodes = copy->job->step->sources;
    if (nodes->len == 0)
        dockerfile_use_context(copy->job->convert, source);
    else
        dockerfile_context_use(copy->job->convert, g_ptr_array_index(nodes, 0), source);
}

/* From another server: one file, unpacked only when that is said, or a checkout. */
static struct cob_error *add_remote(
    struct copy_job *copy, const struct dockerfile_remote *remote, const char *source)
{
    const struct dockerfile_remote_wish wish = {.source = source,
        .checksum = is_set(copy->checksum) ? copy->checksum : NULL,
        .keep_git_dir = copy->files->keep_git_dir};
    const struct cob_llb_about about = dockerfile_about(copy->job, copy->name);
    struct cob_llb_ref from = COB_LLB_SCRATCH;
    char *path = NULL;

    if (copy->job->instruction->kind != DOCKERFILE_ADD)
        return cob_fail(
            COB_INVALID, "source can't be a %s for COPY", remote->git ? "git ref" : "URL");
    COB_TRY(
        dockerfile_remote_add(copy->job->convert->builder, remote, &wish, &about, &from, &path));
    struct cob_llb_action action = new_action(copy, from);
    action.source = keep(copy, path);
    if (remote->is_http && copy->files->unpack == DOCKERFILE_YES)
        action.flags |= COB_LLB_UNPACK;
    g_array_append_val(copy->actions, action);
    return NULL;
}

static struct cob_error *add_source(
    struct copy_job *copy, struct cob_llb_ref from, const char *source)
{
    struct dockerfile_remote remote;
    struct cob_error *err = NULL;

    COB_TRY(dockerfile_remote_parse(source, &remote));
    if (remote.is_http || remote.git)
        err = add_remote(copy, &remote, source);
    else
        add_path(copy, from, source);
    dockerfile_remote_done(&remote);
    return err;
}

/* A here-document is a file of its own file system, copied as any other. */
static struct cob_error *add_document(
    struct copy_job *copy, const struct dockerfile_heredoc *heredoc)
{
    struct dockerfile_expander expander = {
        .env = dockerfile_vars_env(copy->job->build->vars),
        .escape = '\\',
        .flags = DOCKERFILE_EXPAND_NO_QUOTES,
        .unmatched = dockerfile_lint_names(copy->job),
        .max_bytes = COB_LIMIT_DOCKERFILE_BYTES,
    };
    g_autofree char *text = dockerfile_heredoc_text(heredoc);

    if (heredoc->is_expanded) {
        char *expanded = NULL;

        COB_TRY(dockerfile_expand(&expander, text, &expanded));
        g_free(text);
        text = expanded;
    }
    COB_TRY(dockerfile_spend(copy->job->convert, strlen(text)));
    g_autoptr(GBytes) data = g_bytes_new(text, strlen(text));
    const char *path = keep(copy, dockerfile_join_path("/", heredoc->name, false));
    struct cob_llb_action file = {.kind = COB_LLB_MKFILE,
        .path = path,
        .data = data,
        .mode = 0644,
        .time_ns = COB_LLB_TIME_KEEP};
    struct cob_llb_about about =
        dockerfile_about(copy->job, "[internal] preparing inline document");
    struct cob_llb_ref from =
        cob_llb_add_file(copy->job->convert->builder, COB_LLB_SCRATCH, &file, 1, &about);
    struct cob_llb_action action = new_action(copy, from);

    action.source = path;
    g_array_append_val(copy->actions, action);
    return NULL;
}

static void add_history(const struct copy_job *copy)
{
    const struct dockerfile_files *files = copy->files;
    GString *text = g_string_new(copy->job->instruction->kind == DOCKERFILE_ADD ? "ADD" : "COPY");

    if (files->is_parents)
        g_string_append(text, " --parents");
    if (is_set(copy->chown))
        g_string_append_printf(text, " --chown=%s", copy->chown);
    if (is_set(copy->chmod))
        g_string_append_printf(text, " --chmod=%s", copy->chmod);
    for (guint i = 0; i < copy->sources->len; i++)
        g_string_append_printf(text, " %s", (char *)g_ptr_array_index(copy->sources, i));
    for (guint i = 0; i < files->documents->len; i++) {
        const struct dockerfile_heredoc *heredoc = g_ptr_array_index(files->documents, i);

        g_string_append_printf(text, " <<%s", heredoc->name);
    }
    g_string_append_printf(text, " %s # buildkit", copy->dest);
    dockerfile_add_history(
        copy->job->build, g_string_free(text, FALSE), /* is_empty_layer= */ false);
}

/* The copy on scratch, whatever the base will be, and laid over the base.
 * spec: BuildKit dockerfile2llb/convert_copy.go: with --chmod, --link is passed over. */
static bool is_linked(const struct copy_job *copy)
{
    return copy->files->is_link && !is_set(copy->chmod);
}

static void add_link(struct copy_job *copy, struct cob_llb_ref files)
{
    struct dockerfile_job *job = copy->job;
    const struct cob_llb_ref both[] = {job->build->root, files};
    g_autofree char *text = g_strconcat("LINK ", copy->shown, NULL);

    job->build->n_numbered--; /* it is the same step */
    g_autofree char *name = dockerfile_step_name(job, text);
    struct cob_llb_about about = dockerfile_about(job, name);
    about.is_ignoring_cache = job->build->node->is_ignoring_cache;
    job->build->root = cob_llb_add_merge(job->convert->builder, both, G_N_ELEMENTS(both), &about);
}

static void add_vertices(struct copy_job *copy)
{
    struct dockerfile_job *job = copy->job;
    struct cob_llb_about about = dockerfile_about(job, copy->name);
    struct cob_llb_ref base = is_linked(copy) ? COB_LLB_SCRATCH : job->build->root;

    about.is_ignoring_cache = job->build->node->is_ignoring_cache;
    struct cob_llb_ref files = cob_llb_add_file(job->convert->builder, base,
        (const struct cob_llb_action *)(const void *)copy->actions->data, copy->actions->len,
        &about);
    if (is_linked(copy))
        add_link(copy, files);
    else
        job->build->root = files;
}

static struct cob_error *convert(struct copy_job *copy)
{
    struct cob_llb_ref root;

    COB_TRY(expand_all(copy));
    COB_TRY(read_mode(copy));
    COB_TRY(check_checksum(copy));
    COB_TRY(find_root(copy, &root));
    copy->shown =
        keep(copy, dockerfile_shown_text(copy->job, copy->job->instruction->text, 0, NULL));
    copy->name = keep(copy, dockerfile_step_name(copy->job, copy->shown));
    for (guint i = 0; i < copy->sources->len; i++)
        COB_TRY(add_source(copy, root, g_ptr_array_index(copy->sources, i)));
    for (guint i = 0; i < copy->files->documents->len; i++)
        COB_TRY(add_document(copy, g_ptr_array_index(copy->files->documents, i)));

    add_vertices(copy);
    add_history(copy);
    return NULL;
}

struct cob_error *dockerfile_convert_copy(struct dockerfile_job *job)
{
    struct copy_job copy = {
        .job = job,
        .files = &job->instruction->files,
        .arena = g_ptr_array_new_with_free_func(g_free),
        .lists = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev),
        .sources = g_ptr_array_new_with_free_func(g_free),
        .actions = g_array_new(FALSE, TRUE, sizeof(struct cob_llb_action)),
    };
    struct cob_error *err = convert(&copy);

    g_ptr_array_unref(copy.arena);
    g_ptr_array_unref(copy.lists);
    g_ptr_array_unref(copy.sources);
    g_array_unref(copy.actions);
    g_free(copy.dest);
    g_free(copy.chown);
    g_free(copy.chmod);
    g_free(copy.checksum);
    return err;
}

/* Directories that WORKDIR makes have the time that was asked for; what is copied keeps its own. */
static int64_t time_of_workdir(const struct dockerfile_job *job)
{
    const char *epoch = job->convert->plan->request->epoch;
    guint64 seconds;

    if (!epoch ||
        !g_ascii_string_to_unsigned(epoch, 10, 0, G_MAXINT64 / 1000000000, &seconds, NULL))
        return COB_LLB_TIME_KEEP;
    return (int64_t)seconds * 1000000000;
}

struct cob_error *dockerfile_convert_workdir(struct dockerfile_job *job)
{
    struct dockerfile_build *build = job->build;
    struct cob_oci_config *config = build->config;
    g_autofree char *path = NULL;

    COB_TRY(dockerfile_job_expand(job, g_ptr_array_index(job->instruction->words, 0), &path));
    dockerfile_lint_workdir(job, path);
    char *dir = dockerfile_join_path(
        is_set(config->working_dir) ? config->working_dir : "/", path, /* keeps_slash= */ false);
    g_free(config->working_dir);
    config->working_dir = dir;
    if (strcmp(dir, "/") != 0) {
        g_autofree char *shown = dockerfile_shown_text(job, job->instruction->text, 0, NULL);
        g_autofree char *name = dockerfile_step_name(job, shown);
        struct cob_llb_about about = dockerfile_about(job, name);
        struct cob_llb_action action = {
            .kind = COB_LLB_MKDIR,
            .flags = COB_LLB_MAKE_PARENTS,
            .path = dir,
            .mode = 0755,
            .owner = is_set(config->user) ? config->user : NULL,
            .time_ns = time_of_workdir(job),
        };

        build->root = cob_llb_add_file(job->convert->builder, build->root, &action, 1, &about);
    }
    dockerfile_add_history(
        build, g_strconcat("WORKDIR ", dir, NULL), /* is_empty_layer= */ strcmp(dir, "/") == 0);
    return NULL;
}
