/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the caches that a RUN uses to mounts. A mount must not change what a step leaves behind, nor
 * keep it from working; so a directory gets none when
 * - the RUN declares a cache mount itself, which then is all it gets;
 * - the RUN makes, moves or removes the directory, one above or one below it: a mount point cannot
 *   be removed, and a cache that is emptied each time is none;
 * - another mount of the RUN, or its working directory, is in the way;
 * - a later COPY or mount takes files from there: they are a result;
 * - a tool is told to go without its cache.
 */
#include <string.h>

#include "lang/dockerfile/dockerfile_auto.h"
#include "lang/dockerfile/dockerfile_lex.h"
#include "util/limits.h"

#define APT_CONFIG_PATH "/etc/apt/apt.conf.d/docker-clean"
#define MAX_TAKEN 1000 /* paths of one stage that others take; beyond it, everything is */

/* --- what other steps take from a stage --- */

static void take(GPtrArray *taken, const char *path)
{
    g_autofree char *plain = g_strndup(path, strcspn(path, "$*?[\\"));
    char *slash = strrchr(plain, '/');

    if (strlen(plain) < strlen(path) && slash) /* what may be anything in that directory */
        slash[1] = '\0';
    if (taken->len <= MAX_TAKEN)
        g_ptr_array_add(taken, dockerfile_join_path("/", plain, false));
}

/* The source of a mount as it is written: its variables are known later. */
static void take_mounted(GPtrArray *taken, const struct dockerfile_mount *mount)
{
    g_autoptr(GPtrArray) fields = NULL;
    struct cob_error *err = dockerfile_csv_fields(mount->text, &fields);

    for (guint i = 0; !err && i < fields->len; i++) {
        const char *field = g_ptr_array_index(fields, i), *equals = strchr(field, '=');
        const size_t n = equals ? (size_t)(equals - field) : 0;

        if ((n == 3 && g_ascii_strncasecmp(field, "src", n) == 0) ||
            (n == 6 && g_ascii_strncasecmp(field, "source", n) == 0))
            take(taken, equals + 1);
    }
    cob_error_free(err); /* who converts the mount meets it, too */
}

static GPtrArray *taken_of(struct dockerfile_convert *convert, const struct dockerfile_node *node)
{
    return g_ptr_array_index(convert->taken, node->index);
}

static void note_step(struct dockerfile_convert *convert, const struct dockerfile_step *step)
{
    const struct dockerfile_instruction *instruction = step->instruction;

    for (guint i = 0; i < step->sources->len; i++) {
        const struct dockerfile_node *node = g_ptr_array_index(step->sources, i);

        if (!node)
            continue;
        if (instruction->kind == DOCKERFILE_RUN) {
            take_mounted(taken_of(convert, node), g_ptr_array_index(instruction->run.mounts, i));
            continue;
        }
        for (guint k = 0; k < instruction->files.sources->len; k++)
            take(taken_of(convert, node), g_ptr_array_index(instruction->files.sources, k));
    }
}

/* What is taken of a stage is of those that it begins with, too: they stand before it. */
static void note_taken(struct dockerfile_convert *convert)
{
    GPtrArray *nodes = convert->plan->nodes;

    convert->taken =
        g_ptr_array_new_full(nodes->len, (GDestroyNotify)(void (*)(void))g_ptr_array_unref);
    for (guint i = 0; i < nodes->len; i++)
        g_ptr_array_add(convert->taken, g_ptr_array_new_with_free_func(g_free));
    for (guint i = 0; i < nodes->len; i++) {
        const struct dockerfile_node *node = g_ptr_array_index(nodes, i);

        for (guint k = 0; k < node->steps->len; k++)
            note_step(convert, g_ptr_array_index(node->steps, k));
    }
    for (guint i = nodes->len; i-- > 0;) {
        const struct dockerfile_node *node = g_ptr_array_index(nodes, i);
        GPtrArray *own = taken_of(convert, node);

        for (guint k = 0; node->base && k < own->len; k++)
            take(taken_of(convert, node->base), g_ptr_array_index(own, k));
    }
}

/* Who takes all of a root does not mean its caches; who takes a directory above one may. */
static bool is_taken(const struct dockerfile_job *job, const char *target)
{
    if (!job->convert->taken)
        note_taken(job->convert);
    const GPtrArray *taken = taken_of(job->convert, job->build->node);

    if (taken->len > MAX_TAKEN)
        return true;
    for (guint i = 0; i < taken->len; i++) {
        const char *path = g_ptr_array_index(taken, i);

        if (strcmp(path, "/") != 0 && auto_is_related(path, target))
            return true;
    }
    return false;
}

/* --- which mounts --- */

/* The target with the usual home in place of one that is not known. The caller frees it. */
static char *guess(const struct dockerfile_job *job, const char *target)
{
    const char *user = job->build->config->user;
    g_auto(GStrv) parts = g_strsplit(user ? user : "", ":", 2);

    if (*target != '~')
        return g_strdup(target);
    return g_strconcat("/home/", parts[0] ? parts[0] : "", target + 1, NULL);
}

/* Directories of the system that nobody means as a cache, whatever a variable says. */
static bool is_harmless(const struct dockerfile_job *job, const char *target)
{
    static const char *const whole[] = {"/", "/home", "/media", "/mnt", "/opt", "/root", "/srv",
        "/tmp", "/usr", "/usr/local", "/usr/share", "/usr/local/share", "/usr/src", "/var",
        "/var/cache", "/var/lib", "/var/tmp", "/go", "~", "~/.cache", "/root/.cache", NULL};
    static const char *const below[] = {"/bin", "/boot", "/dev", "/lib", "/lib64", "/proc", "/run",
        "/sbin", "/sys", "/usr/bin", "/usr/lib", "/usr/sbin"};
    const char *cwd = job->build->config->working_dir;

    for (const char *c = target; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(below); i++) {
        if (auto_is_at_or_below(target, below[i]))
            return false;
    }
    return g_utf8_validate(target, -1, NULL) && strlen(target) < COB_LIMIT_PATH_BYTES &&
           !g_strv_contains(whole, target) && !(cwd && *cwd && auto_is_at_or_below(cwd, target));
}

static bool is_touched(const struct auto_calls *calls, const char *target, const char *guessed)
{
    for (guint i = 0; i < calls->touched->len; i++) {
        const char *path = g_ptr_array_index(calls->touched, i);

        if (auto_is_related(path, target) || auto_is_related(path, guessed))
            return true;
    }
    return false;
}

static bool is_in_the_way(const GArray *mounts, const char *guessed)
{
    for (guint i = 0; i < mounts->len; i++) {
        const char *dest = g_array_index(mounts, struct cob_llb_mount, i).dest;

        if (!dest)
            continue;
        g_autofree char *clean = dockerfile_clean_path(dest);
        if (strcmp(clean, "/") != 0 && auto_is_related(clean, guessed))
            return true;
    }
    return false;
}

static bool is_wanted(const struct dockerfile_job *job, const struct auto_calls *calls,
    const GArray *mounts, const struct auto_mount *mount)
{
    g_autofree char *guessed = guess(job, mount->target);

    if (mount->dir->kind == AUTO_KIND_PACKAGES && !calls->has_apt_install)
        return false;
    return !g_hash_table_contains(calls->off, mount->tool->name) &&
           is_harmless(job, mount->target) && !is_touched(calls, mount->target, guessed) &&
           !is_in_the_way(mounts, guessed) && !is_taken(job, guessed);
}

/*
 * apt's lists of packages are a cache for the RUN that fetches them and installs. A RUN that only
 * fetches them leaves them for others in the image, and one that only installs finds them where the
 * RUN before it has put them:
 *
 *                        lists were last put   into the image    into a cache
 *     update && install                        cache             cache
 *     update                                   image             image
 *     install                                  image             cache
 */
static bool are_lists_cached(const struct dockerfile_job *job, const struct auto_calls *calls)
{
    if (calls->has_apt_update)
        return calls->has_apt_install;
    return job->build->has_cached_lists;
}

/* Leave only those that the step is to get. */
static void choose(const struct dockerfile_job *job, const GArray *mounts, struct auto_calls *calls)
{
    bool has_lists = false;

    for (guint i = calls->mounts->len; i-- > 0;) {
        const struct auto_mount *mount = g_ptr_array_index(calls->mounts, i);
        const bool is_of_lists = mount->dir->kind == AUTO_KIND_LISTS;

        if (!is_wanted(job, calls, mounts, mount) || (is_of_lists && !are_lists_cached(job, calls)))
            g_ptr_array_remove_index(calls->mounts, i);
        else
            has_lists = has_lists || is_of_lists;
    }
    if (calls->has_apt_update)
        job->build->has_cached_lists = has_lists;
}

static bool has_own_cache(const GArray *mounts)
{
    for (guint i = 0; i < mounts->len; i++) {
        if (g_array_index(mounts, struct cob_llb_mount, i).type == PB__MOUNT_TYPE__CACHE)
            return true;
    }
    return false;
}

/* --- mounting them --- */

static void add_cache(
    struct dockerfile_job *job, const struct auto_mount *mount, GPtrArray *arena, GArray *mounts)
{
    char *dest = g_strdup(mount->target);
    char *id = dockerfile_cache_id(job->convert->plan->request, dest);
    const struct cob_llb_mount out = {.type = PB__MOUNT_TYPE__CACHE,
        .dest = dest,
        .source = COB_LLB_SCRATCH,
        .id = id,
        .is_automatic = true,
        .sharing =
            mount->dir->is_locked ? PB__CACHE_SHARING_OPT__LOCKED : PB__CACHE_SHARING_OPT__SHARED};

    g_ptr_array_add(arena, dest);
    g_ptr_array_add(arena, id);
    g_array_append_val(mounts, out);
}

/* Images of Debian have a file that makes apt throw packages away once they are installed. For the
 * step another one lies over it; the image's stays as it is. */
static void keep_packages(struct dockerfile_job *job, GArray *mounts)
{
    static const char text[] = "Binary::apt::APT::Keep-Downloaded-Packages \"true\";\n"
                               "APT::Keep-Downloaded-Packages \"true\";\n";
    g_autoptr(GBytes) data = g_bytes_new_static(text, strlen(text));
    const struct cob_llb_action action = {.kind = COB_LLB_MKFILE,
        .path = "/docker-clean",
        .data = data,
        .mode = 0644,
        .time_ns = COB_LLB_TIME_KEEP};
    const struct cob_llb_about about = {.name = "[internal] have apt keep its packages"};
    const struct cob_llb_mount out = {.type = PB__MOUNT_TYPE__BIND,
        .dest = APT_CONFIG_PATH,
        .source = cob_llb_add_file(job->convert->builder, COB_LLB_SCRATCH, &action, 1, &about),
        .selector = action.path,
        .is_readonly = true};

    if (!is_in_the_way(mounts, APT_CONFIG_PATH))
        g_array_append_val(mounts, out);
}

static void add_all(
    struct dockerfile_job *job, const struct auto_calls *calls, GPtrArray *arena, GArray *mounts)
{
    bool has_packages = false;

    for (guint i = 0; i < calls->mounts->len; i++) {
        const struct auto_mount *mount = g_ptr_array_index(calls->mounts, i);

        has_packages = has_packages || mount->dir->kind == AUTO_KIND_PACKAGES;
        add_cache(job, mount, arena, mounts);
    }
    if (has_packages && !calls->is_apt_configured)
        keep_packages(job, mounts);
}

/* --- suggesting them --- */

static void suggest(const struct dockerfile_job *job, const struct auto_calls *calls)
{
    g_autoptr(GString) tools = g_string_new(NULL);
    g_autoptr(GString) flags = g_string_new(NULL);
    const char *last = NULL;

    for (guint i = 0; i < calls->mounts->len; i++) {
        const struct auto_mount *mount = g_ptr_array_index(calls->mounts, i);
        g_autofree char *target = guess(job, mount->target);

        if (g_strcmp0(last, mount->tool->name) != 0)
            g_string_append_printf(tools, "%s%s", last ? ", " : "", mount->tool->name);
        last = mount->tool->name;
        g_string_append_printf(flags, " --mount=type=cache,target=%s%s", target,
            mount->dir->is_locked ? ",sharing=locked" : "");
    }
    dockerfile_lint_add(job->convert->plan->lint, DOCKERFILE_RULE_CACHE_MOUNT,
        job->instruction->range,
        "RUN calls %s: keep the cache from build to build with%s, or build with "
        "--cache-mounts=auto",
        tools->str, flags->str);
}

void dockerfile_auto_mounts(
    struct dockerfile_job *job, const char *script, GPtrArray *arena, GArray *mounts)
{
    const bool is_automatic = job->convert->plan->request->has_auto_mounts;
    const bool is_suggested =
        !is_automatic && !job->build->is_base_unknown &&
        dockerfile_lint_wants(job->convert->plan->lint, DOCKERFILE_RULE_CACHE_MOUNT);
    struct auto_calls calls;

    if ((!is_automatic && !is_suggested) || has_own_cache(mounts))
        return;
    auto_calls_init(&calls, job, script);
    choose(job, mounts, &calls);
    if (is_automatic)
        add_all(job, &calls, arena, mounts);
    else if (calls.mounts->len > 0)
        suggest(job, &calls);
    auto_calls_done(&calls);
}
