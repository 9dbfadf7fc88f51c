/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache mounts that nobody wrote, brought into the image of their step: only there it is known
 * where the user's home is, and what lies where the mount goes.
 *
 *     the image has there    the mount
 *     nothing                is made, and its stub taken away again
 *     an empty directory     covers it
 *     a directory            covers it; a new cache begins with a copy of what is in it
 *     anything else          is left out: the step runs without it, and nothing is wrong
 *
 * A later step of the image sees what the image has; of the cache, nothing.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "build/ops/ops_private.h"
#include "util/fs.h"

struct resolved_mount {
    Pb__Mount mount;
    Pb__CacheOpt cache;
    char *dest, *id;
};

/* What the mounts of one step are held against. */
struct place {
    const struct op_run *run;
    int root_fd;
    char *home; /* of the user; NULL: none that can be used */
    char *mark; /* of the user, behind ids; root has none */
};

static void resolved_free(void *data)
{
    struct resolved_mount *resolved = data;

    g_free(resolved->dest);
    g_free(resolved->id);
    g_free(resolved);
}

static bool is_at_or_below(const char *path, const char *top)
{
    const size_t n = strlen(top);

    return strncmp(path, top, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* A home is the image's word: it must be a plain way from the root. */
static bool is_usable_home(const char *home)
{
    g_auto(GStrv) parts = g_strsplit(home, "/", -1);

    return *home == '/' && home[1] != '\0' && !g_strv_contains((const char *const *)parts, "..") &&
           !g_strv_contains((const char *const *)parts, ".") && g_utf8_validate(home, -1, NULL);
}

/* "~" of a path, or of a wire id behind its namespace, is the home. The caller frees it. */
static char *expand(const char *text, const char *home)
{
    const char *at = g_str_has_prefix(text, "~/") ? text : strstr(text, "/~/");

    if (!at)
        return g_strdup(text);
    at += *at == '/';
    g_autofree char *before = g_strndup(text, (size_t)(at - text));
    return g_strconcat(before, home, at + 1, NULL);
}

/* What one user keeps another one may not write to, so each has caches of his own; root's are those
 * of mounts that are written without an id. The caller frees it. */
static char *cache_id(const struct place *place, const Pb__Mount *mount)
{
    g_autofree char *id = *mount->dest == '~' ? expand(mount->cacheopt->id, place->home)
                                              : g_strdup(mount->cacheopt->id);

    return g_strconcat(id, place->mark, NULL);
}

/* Would another mount of the step have to hold this one, or the other way round? */
static bool is_in_the_way(const Pb__ExecOp *exec, const char *dest)
{
    for (size_t i = 0; i < exec->n_mounts; i++) {
        const Pb__Mount *other = exec->mounts[i];

        if (other->mounttype != PB__MOUNT_TYPE__CACHE && strcmp(other->dest, "/") != 0 &&
            *other->dest &&
            (is_at_or_below(dest, other->dest) || is_at_or_below(other->dest, dest)))
            return true;
    }
    return false;
}

static bool is_empty_dir(int fd)
{
    DIR *dir = fdopendir(fd); /* takes it */
    const struct dirent *entry;
    bool is_empty = true;

    if (!dir) {
        close(fd);
        return true;
    }
    while (is_empty && (entry = readdir(dir)))
        is_empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(dir);
    return is_empty;
}

enum what_is_there { NOTHING_USEFUL, SOMETHING_ELSE, A_FULL_DIRECTORY };

/* What the image has where a mount goes. */
static enum what_is_there look_at(const struct place *place, const char *dest)
{
    const struct cob_rootfs_walk walk = {
        .root_fd = place->root_fd, .path = dest, .wish = COB_ROOTFS_FIND, .is_guarded = true};
    const char *cwd = place->run->vertex->op->exec->meta->cwd;
    g_autofree char *real = NULL;
    cob_autoclose int path_fd = -1;
    int fd = -1;
    g_autoptr(cob_error) none = cob_rootfs_walk(&walk, &path_fd, &real);
    struct stat st;

    if (none)
        return cob_error_code(none) == COB_NOT_FOUND ? NOTHING_USEFUL : SOMETHING_ELSE;
    if (fstat(path_fd, &st) < 0 || !S_ISDIR(st.st_mode) || strcmp(real, "/") == 0 ||
        is_at_or_below(cwd, real))
        return SOMETHING_ELSE;
    g_autoptr(cob_error) err =
        cob_open_beneath(place->root_fd, real + 1, O_RDONLY | O_DIRECTORY, 0, &fd);
    if (err)
        return SOMETHING_ELSE;
    return is_empty_dir(fd) ? NOTHING_USEFUL : A_FULL_DIRECTORY;
}

/* ret_resolved: the caller's; NULL: the image has no place for it. */
static void resolve(
    const struct place *place, const Pb__Mount *mount, struct resolved_mount **ret_resolved)
{
    const Pb__ExecOp *exec = place->run->vertex->op->exec;

    *ret_resolved = NULL;
    if (place->root_fd < 0 || (*mount->dest == '~' && !place->home))
        return;
    g_autofree char *dest = expand(mount->dest, place->home);
    const enum what_is_there what = look_at(place, dest);
    if (is_in_the_way(exec, dest) || what == SOMETHING_ELSE)
        return;
    struct resolved_mount *resolved = g_new(struct resolved_mount, 1);
    *resolved = (struct resolved_mount){.mount = *mount,
        .cache = *mount->cacheopt,
        .dest = g_steal_pointer(&dest),
        .id = cache_id(place, mount)};
    resolved->cache.id = resolved->id;
    resolved->mount.cacheopt = &resolved->cache;
    resolved->mount.dest = resolved->dest;
    if (what == A_FULL_DIRECTORY) {
        resolved->mount.input = cob_ops_root_mount(exec)->input;
        resolved->mount.selector = resolved->dest;
    }
    *ret_resolved = resolved;
}

static void tell(const struct place *place, const char *dest)
{
    const struct op_run *run = place->run;
    const struct cob_observer *observer = run->ops->config.observer;
    g_autofree char *text = g_strdup_printf("automatic cache mount %s%s\n", dest, place->mark);
    const struct cob_event_log event = {.vertex = run->vertex->digest,
        .stream = 2,
        .data = text,
        .len = strlen(text),
        .at_us = g_get_real_time()};

    observer->log(observer->arg, &event);
}

static bool has_automatic(const GPtrArray *list)
{
    for (guint i = 0; i < list->len; i++) {
        if (((const Pb__Mount *)g_ptr_array_index(list, i))->cacheopt->cobautomatic)
            return true;
    }
    return false;
}

static void resolve_all(const struct place *place, GPtrArray *list, struct step_mounts *mounts)
{
    g_autoptr(GPtrArray) written = g_ptr_array_copy(list, NULL, NULL);

    mounts->resolved = g_ptr_array_new_with_free_func(resolved_free);
    g_ptr_array_set_size(list, 0);
    for (guint i = 0; i < written->len; i++) {
        Pb__Mount *mount = g_ptr_array_index(written, i);
        struct resolved_mount *resolved = NULL;

        if (!mount->cacheopt->cobautomatic) {
            g_ptr_array_add(list, mount);
            continue;
        }
        resolve(place, mount, &resolved);
        if (!resolved)
            continue;
        tell(place, resolved->dest);
        g_ptr_array_add(mounts->resolved, resolved);
        g_ptr_array_add(list, &resolved->mount);
    }
}

/* A user who is not there is the step's error, not this one's. */
static char *home_of(int root_fd, const char *user)
{
    g_autofree char *home = NULL;
    g_autoptr(cob_error) err = cob_rootfs_home(root_fd, user, &home);

    return !err && home && is_usable_home(home) ? g_steal_pointer(&home) : NULL;
}

/* " (uid 1000)"; "" for root. The caller frees it. */
static char *mark_of(int root_fd, const char *user)
{
    struct cob_rootfs_identity identity = {0};
    g_autoptr(cob_error) err = cob_rootfs_identify(root_fd, user, &identity);
    const uint32_t uid = err ? 0 : identity.uid;

    g_clear_pointer(&identity.groups, g_array_unref);
    return uid == 0 ? g_strdup("") : g_strdup_printf(" (uid %u)", uid);
}

struct cob_error *cob_ops_cache_resolve(
    const struct op_run *run, GPtrArray *list, struct step_mounts *mounts)
{
    const Pb__ExecOp *exec = run->vertex->op->exec;
    struct cob_snapshot *base = NULL;
    cob_autoclose int root_fd = -1;

    if (!has_automatic(list))
        return NULL;
    COB_TRY(cob_ops_input_snapshot(run, cob_ops_root_mount(exec)->input, &base));
    if (base) /* nothing can run in an empty root, and it has no place for a mount */
        COB_TRY(cob_snapshot_mount(base, &root_fd));
    g_autofree char *home = base ? home_of(root_fd, exec->meta->user) : NULL;
    g_autofree char *mark = base ? mark_of(root_fd, exec->meta->user) : g_strdup("");
    const struct place place = {run, root_fd, home, mark};
    resolve_all(&place, list, mounts);
    return NULL;
}
