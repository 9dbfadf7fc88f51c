/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lang/dockerfile/dockerfile_contexts.h"
#include "lang/dockerfile/dockerfile_convert.h"

/* One mount on its way: what is written, and what it becomes. */
struct mount_job {
    struct dockerfile_job *job;
    GPtrArray *arena;                     /* keeps what `out` borrows */
    const struct dockerfile_mount *mount; /* expanded */
    const struct dockerfile_node *from;   /* NULL: the context, or nothing */
    struct cob_llb_mount *out;
};

/* Keep a text for as long as the mounts are needed. text: taken. */
static const char *keep(struct mount_job *mount, char *text)
{
    g_ptr_array_add(mount->arena, text);
    return text;
}

static bool is_set(const char *text)
{
    return text && *text;
}

static const char *directory_of(const struct dockerfile_build *build)
{
    return is_set(build->config->working_dir) ? build->config->working_dir : "/";
}

/* Go's path.Clean(), which leaves a relative path relative: ids of caches depend on it. */
static char *clean_id(const char *target)
{
    g_autofree char *clean = dockerfile_clean_path(target);

    if (*target == '/')
        return g_steal_pointer(&clean);
    return g_strdup(clean[1] ? clean + 1 : ".");
}

static Pb__CacheSharingOpt sharing_of(enum dockerfile_sharing sharing)
{
    switch (sharing) {
    case DOCKERFILE_SHARING_PRIVATE:
        return PB__CACHE_SHARING_OPT__PRIVATE;
    case DOCKERFILE_SHARING_LOCKED:
        return PB__CACHE_SHARING_OPT__LOCKED;
    case DOCKERFILE_SHARING_UNSAID:
    case DOCKERFILE_SHARING_SHARED:
        return PB__CACHE_SHARING_OPT__SHARED;
    }
    g_assert_not_reached();
}

/* Owner and mode of a cache's directory are those of a directory below it.
 * spec: BuildKit dockerfile2llb/convert_runmount.go, setCacheUIDGID. */
static void set_cache_owner(struct mount_job *mount)
{
    const struct dockerfile_mount *from = mount->mount;
    g_autofree char *owner = g_strdup_printf("%u:%u", from->uid, from->gid);
    struct cob_llb_action action = {
        .kind = COB_LLB_MKDIR,
        .path = "/cache",
        .mode = from->has_mode ? (int)(from->mode & 07777) : 0755,
        .owner = owner,
        .time_ns = COB_LLB_TIME_KEEP,
    };
    struct cob_llb_about about =
        dockerfile_about(mount->job, "[internal] setting cache mount permissions");

    mount->out->source =
        cob_llb_add_file(mount->job->convert->builder, mount->out->source, &action, 1, &about);
    mount->out->selector = "/cache";
}

char *dockerfile_cache_id(const struct cob_dockerfile_request *request, const char *id)
{
    const char *namespace = request->cache_mount_namespace;

    if (!namespace)
    namespace = dockerfile_build_arg(request, "BUILDKIT_CACHE_MOUNT_NS");
    return g_strconcat(namespace ? namespace : "", "/", id, NULL);
}

static struct cob_error *fill_cache(struct mount_job *mount)
{
    const struct cob_dockerfile_request *request = mount->job->convert->plan->request;
    g_autofree char *id = is_set(mount->mount->id)
                              ? g_strdup(mount->mount->id)
                              : clean_id(mount->mount->target ? mount->mount->target : "");

    mount->out->type = PB__MOUNT_TYPE__CACHE;
    mount->out->id = keep(mount, dockerfile_cache_id(request, id));
    mount->out->sharing = sharing_of(mount->mount->sharing);
    return NULL;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* spec: BuildKit dockerfile2llb/convert_secrets.go. */
static void fill_secret(struct mount_job *mount, GPtrArray *masked)
{
    const struct dockerfile_mount *from = mount->mount;
    g_autofree char *target = dockerfile_clean_path(from->target ? from->target : "");
    const char *id = is_set(from->source) ? from->source
                     : is_set(from->id)   ? from->id
                                          : last_part(target);

    *mount->out = (struct cob_llb_mount){
        .type = PB__MOUNT_TYPE__SECRET,
        .id = keep(mount, g_strdup(id)),
        .env = from->env ? keep(mount, g_strdup(from->env)) : NULL,
        .is_optional = !from->is_required,
        .uid = from->uid,
        .gid = from->gid,
        .mode = from->has_mode ? from->mode : 0400,
    };
    if (is_set(from->target))
        mount->out->dest =
            keep(mount, dockerfile_join_path(directory_of(mount->job->build), from->target, false));
    else if (!from->env)
        mount->out->dest = keep(mount, g_strconcat("/run/secrets/", last_part(id), NULL));
    if (from->env)
        g_ptr_array_add(masked, g_strdup(from->env));
}

/* Of a cache, it is what lies below. */
static struct cob_llb_ref mount_node(const struct mount_job *mount)
{
    struct dockerfile_convert *convert = mount->job->convert;
    const char *path = mount->mount->source;

    if (mount->mount->type == DOCKERFILE_MOUNT_CACHE)
        return dockerfile_context_base(convert, &convert->builds[mount->from->index]);
    dockerfile_context_use(convert, mount->from, path ? path : "/");
    return dockerfile_root_of(convert, mount->from);
}

/* n_agents: how many come before it.
 * spec: BuildKit dockerfile2llb/convert_ssh.go; client/llb/exec.go, Marshal. */
static struct cob_error *fill_ssh(struct mount_job *mount, unsigned n_agents)
{
    const struct dockerfile_mount *from = mount->mount;
    char *target = is_set(from->target) ? dockerfile_join_path("/", from->target, false)
                                        : g_strdup_printf("/run/buildkit/ssh_agent.%u", n_agents);

    *mount->out = (struct cob_llb_mount){
        .type = PB__MOUNT_TYPE__SSH,
        .dest = keep(mount, target),
        .id = from->id ? keep(mount, g_strdup(from->id)) : NULL,
        .is_optional = !from->is_required,
        .uid = from->uid,
        .gid = from->gid,
        .mode = from->has_mode ? from->mode : 0600,
    };
    if (is_set(from->source))
        return cob_fail(COB_INVALID, "ssh does not support source");
    return NULL;
}

/* What is mounted: the root of a stage or an image, the context, or nothing. */
static struct cob_error *find_root(struct mount_job *mount)
{
    struct dockerfile_convert *convert = mount->job->convert;
    const struct dockerfile_mount *from = mount->mount;

    mount->out->source = COB_LLB_SCRATCH;
    if (mount->from && !dockerfile_is_done(convert, mount->from))
        return cob_fail(COB_INVALID,
            "cannot mount from stage \"%s\" to \"%s\", stage needs to be defined before current "
            "command",
            from->from, from->target ? from->target : "");
    if (mount->from)
        mount->out->source = mount_node(mount);
    else if (from->type == DOCKERFILE_MOUNT_BIND) {
        mount->out->source = convert->context;
        dockerfile_use_context(convert, from->source ? from->source : "/");
    }
    return NULL;
}

static struct cob_error *fill_files(struct mount_job *mount)
{
    const struct dockerfile_mount *from = mount->mount;
    const char *target = from->target ? from->target : "";
    bool has_owner = from->has_uid || from->has_gid || from->has_mode;
    g_autofree char *selector = dockerfile_clean_path(from->source ? from->source : "");

    mount->out->dest = keep(mount,
        *target == '/' ? g_strdup(target)
                       : dockerfile_join_path(directory_of(mount->job->build), target, false));
    g_autofree char *clean = dockerfile_clean_path(mount->out->dest);
    if (strcmp(clean, "/") == 0)
        return cob_fail(COB_INVALID, "invalid mount target \"%s\"", mount->out->dest);
    COB_TRY(find_root(mount));
    mount->out->is_readonly = from->is_readonly;
    if (from->type == DOCKERFILE_MOUNT_TMPFS) {
        mount->out->type = PB__MOUNT_TYPE__TMPFS;
        mount->out->source = COB_LLB_SCRATCH;
        mount->out->size_bytes = from->size_bytes;
        return NULL;
    }
    mount->out->type = PB__MOUNT_TYPE__BIND;
    mount->out->is_without_output = !from->is_readonly && from->type == DOCKERFILE_MOUNT_BIND;
    if (from->type == DOCKERFILE_MOUNT_CACHE)
        COB_TRY(fill_cache(mount));
    if (strcmp(selector, "/") != 0)
        mount->out->selector = keep(mount, g_steal_pointer(&selector));
    else if (has_owner)
        set_cache_owner(mount);
    return NULL;
}

static struct cob_error *convert_mount(
    struct mount_job *mount, GPtrArray *masked, unsigned *n_agents)
{
    switch (mount->mount->type) {
    case DOCKERFILE_MOUNT_SSH:
        return fill_ssh(mount, (*n_agents)++);
    case DOCKERFILE_MOUNT_SECRET:
        fill_secret(mount, masked);
        return NULL;
    case DOCKERFILE_MOUNT_BIND:
    case DOCKERFILE_MOUNT_CACHE:
    case DOCKERFILE_MOUNT_TMPFS:
        return fill_files(mount);
    }
    g_assert_not_reached();
}

/* Of the size that the request has; where a mount of the step's own is there, that one counts. */
static void add_shm(const struct dockerfile_job *job, GArray *mounts)
{
    const struct cob_llb_mount shm = {.type = PB__MOUNT_TYPE__TMPFS,
        .dest = "/dev/shm",
        .source = COB_LLB_SCRATCH,
        .size_bytes = job->convert->plan->request->shm_size_bytes};

    for (guint i = 0; i < mounts->len; i++) {
        const char *dest = g_array_index(mounts, struct cob_llb_mount, i).dest;
        if (dest && strcmp(dest, shm.dest) == 0)
            return;
    }
    if (shm.size_bytes > 0)
        g_array_append_val(mounts, shm);
}

struct cob_error *dockerfile_convert_mounts(
    struct dockerfile_job *job, GPtrArray *arena, GArray **ret_mounts, GPtrArray **ret_masked)
{
    struct dockerfile_expander expander = {
        .env = dockerfile_vars_env(job->build->vars),
        .escape = job->convert->plan->dockerfile->escape,
        .unmatched = dockerfile_lint_names(job),
    };
    const GPtrArray *written = job->instruction->run.mounts;
    g_autoptr(GArray) mounts = g_array_new(FALSE, TRUE, sizeof(struct cob_llb_mount));
    g_autoptr(GPtrArray) masked = g_ptr_array_new_with_free_func(g_free);
    struct cob_llb_mount root = {
        .type = PB__MOUNT_TYPE__BIND, .dest = "/", .source = job->build->root};
    unsigned n_agents = 0;

    g_array_append_val(mounts, root);
    for (guint i = 0; i < written->len; i++) {
        const struct dockerfile_mount *text = g_ptr_array_index(written, i);
        g_autoptr(dockerfile_mount) mount = NULL;
        struct cob_llb_mount out = {0};

        dockerfile_lint_mount(job, text->text);
        COB_TRY(dockerfile_mount_parse(text->text, &expander, &mount));
        dockerfile_found_mount(job, mount);
        struct mount_job one = {job, arena, mount, g_ptr_array_index(job->step->sources, i), &out};
        COB_TRY(convert_mount(&one, masked, &n_agents));
        g_array_append_val(mounts, out);
    }
    add_shm(job, mounts);
    g_ptr_array_add(masked, NULL);
    *ret_mounts = g_steal_pointer(&mounts);
    *ret_masked = g_steal_pointer(&masked);
    return NULL;
}
