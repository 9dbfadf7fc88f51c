/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "app/cli/cache_copy.h"
#include "app/cli/cache_mounts.h"
#include "util/text.h"

static const struct cli_option options[] = {
    {"archive", 'a', CLI_FLAG, NULL, "Keep owners", false},
    {"follow-link", 'L', CLI_FLAG, NULL, "Follow a symlink in SRC", false},
    CACHE_NAMESPACE_OPTION,
    {0},
};

/* One of the two arguments: "ID:PATH", or a path of the user's. */
struct end {
    struct cache_mount *mount; /* NULL: the user's; borrowed */
    const char *path;
};

/* An id may have colons, and begin with a slash: the longest that is there counts. What begins with
 * "./" or "../" is always a path. */
static struct end end_of(
    const struct cache_mounts *mounts, const char *namespace, const char *argument)
{
    struct end end = {.path = argument};
    const bool is_path = g_str_has_prefix(argument, "./") || g_str_has_prefix(argument, "../");

    for (size_t len = strlen(argument); len-- > 1 && !end.mount && !is_path;) {
        if (argument[len] != ':')
            continue;
        g_autofree char *name = g_strndup(argument, len);
        g_autoptr(cob_error) none = cache_mounts_find(mounts, namespace, name, &end.mount);

        if (!none)
            end.path = argument + len + 1;
    }
    return end;
}

static void tell_wait(void *arg, const char *holder, unsigned seconds)
{
    const char *id = arg;
    g_autofree char *text = g_strdup_printf(
        "waiting for cache mount \"%s\", held by %s", id, holder ? holder : "another process");
    g_autofree char *visible = cob_text_visible(text);

    if (seconds)
        fprintf(stderr, "%s (%u s)\n", visible, seconds);
    else
        fprintf(stderr, "%s\n", visible);
}

/* As one more SHARED user: beside builds, but not beside one that locked it.
 * copy: but for the mount.  ends: from, to. */
static struct cob_error *copy_with_lease(const struct cache_mounts *mounts, const struct end *ends,
    const struct cli_call *call, struct cache_copy *copy)
{
    const bool is_out = ends[0].mount != NULL;
    const struct end *cache = is_out ? &ends[0] : &ends[1];
    g_autofree char *user = g_strdup_printf("cob cache cp (pid %d)", (int)getpid());
    const struct cob_cachemount_request request = {.namespace = cache->mount->namespace,
        .id = cache->mount->id,
        .mode = 0755,
        .user = user,
        .step = "cob cache cp",
        .is_look = is_out};
    const struct cob_cachemount_patience patience = {
        .cancel = call->cancel, .tell = tell_wait, .arg = cache->mount->id};
    g_autoptr(cob_cachemount_lease) lease = NULL;

    COB_TRY(cob_cachemount_acquire(mounts->pool, &request, &patience, &lease));
    copy->cache_fd = cob_cachemount_lease_fd(lease);
    copy->cache_path = cache->path;
    copy->draft_fd = is_out ? -1 : copy->stage_fd;
    copy->host_path = is_out ? ends[1].path : ends[0].path;
    return cob_wrap(
        is_out ? cache_copy_out(copy) : cache_copy_in(copy), "cache mount %s", cache->mount->id);
}

static struct cob_error *copy_ends(const struct cache_mounts *mounts, struct cli_call *call)
{
    const char *namespace = cli_call_text(call, "namespace");
    const struct end ends[2] = {end_of(mounts, namespace, cli_call_arg(call, 0)),
        end_of(mounts, namespace, cli_call_arg(call, 1))};
    struct cache_copy copy = {.is_archive = cli_call_flag(call, "archive"),
        .is_following = cli_call_flag(call, "follow-link"),
        .stage_fd = cob_store_tmp_fd(cob_engine_store(mounts->engine)),
        .cancel = call->cancel};

    if (ends[0].mount && ends[1].mount)
        return cob_fail(
            COB_UNIMPLEMENTED, "copying between cache mounts: copy to a folder in between");
    if (!ends[0].mount && !ends[1].mount)
        return cob_fail(COB_NOT_FOUND,
            "no such cache mount in %s or %s: write ID:PATH; cob cache ls has the ids",
            cli_call_arg(call, 0), cli_call_arg(call, 1));
    COB_TRY(copy_with_lease(mounts, ends, call, &copy));
    return cob_cachemount_settle(mounts->pool, NULL, NULL);
}

static struct cob_error *run(struct cli_call *call)
{
    struct cache_mounts mounts;
    struct cob_error *err = cache_mounts_open(&mounts);

    if (!err)
        err = copy_ends(&mounts, call);
    cache_mounts_close(&mounts);
    return err;
}

const struct cli_command cli_cache_cp = {
    .name = "cache cp",
    .usage = "[OPTIONS] ID:SRC_PATH DEST_PATH|- | SRC_PATH|- ID:DEST_PATH",
    .summary = "Copy files between a cache mount and a local folder",
    .description = "Copy files out of a cache mount or into it, by the rules of docker cp. With - "
                   "as DEST_PATH a tar archive goes to standard output; with - as SRC_PATH one is "
                   "read from standard input.",
    .options = options,
    .min_args = 2,
    .max_args = 2,
    .completes = "cachemounts-and-files",
    .run = run,
};
