/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar and local: the root file system of the result, all layers seen as one.
 *
 * A tar has everything, as an image does. A folder gets what its user may have: their own files,
 * without setuid bits, capabilities and devices; what is there under the same names is replaced, a
 * symlink as such, and the rest stays. A new folder is there when it is complete, or not at all.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "build/exporters/export_parts.h"
#include "util/fs.h"
#include "util/tree.h"

/* The root of a part; for scratch an empty directory.
 * ret_stage: the name of that one below the store's tmp/; NULL: there is none. */
static struct cob_error *open_root(const struct export_job *job,
    const struct cob_exporter_part *part, int *ret_fd, char **ret_stage)
{
    int tmp_fd = cob_store_tmp_fd(job->result->store);

    *ret_stage = NULL;
    if (part->snapshot)
        return cob_snapshot_mount(part->snapshot, ret_fd);
    g_autofree char *stage = cob_fs_draft_name("export-");
    if (mkdirat(tmp_fd, stage, 0755) < 0)
        return cob_fail_errno(errno, "make directory %s", stage);
    *ret_stage = g_steal_pointer(&stage);
    *ret_fd = openat(tmp_fd, *ret_stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? cob_fail_errno(errno, "open directory %s", *ret_stage) : NULL;
}

/* The subfolder of a part, "linux_arm64", as BuildKit names it; NULL: there is none. */
static char *folder_of(const struct export_job *job, const struct cob_exporter_part *part)
{
    const struct cob_exporter_output *output = job->output;

    if (output->is_split_known ? !output->is_split : !job->result->is_multi_platform)
        return NULL;
    return g_strdelimit(g_strdup(part->platform), "/", '_');
}

static struct cob_error *pack_part(const struct export_job *job,
    const struct cob_exporter_part *part, cob_layer_sink sink, void *arg)
{
    g_autofree char *folder = folder_of(job, part);
    g_autofree char *stage = NULL;
    cob_autoclose int root_fd = -1;
    struct cob_error *err = open_root(job, part, &root_fd, &stage);
    const struct cob_layer_pack_request request = {.dir_fd = root_fd,
        .below = folder,
        .is_continued = part != &job->result->parts[job->result->n_parts - 1],
        .has_max_mtime = job->result->has_epoch,
        .is_every_mtime = true,
        .max_mtime = job->result->epoch_s,
        .cancel = job->cancel};

    if (!err)
        err = cob_layer_pack(&request, sink, arg, NULL);
    if (stage)
        cob_error_free(cob_tree_remove(cob_store_tmp_fd(job->result->store), stage));
    return err;
}

/* Pack the roots of all parts into a sink, as one archive. */
static struct cob_error *pack_all(const struct export_job *job, cob_layer_sink sink, void *arg)
{
    for (size_t i = 0; i < job->result->n_parts; i++)
        COB_TRY(pack_part(job, &job->result->parts[i], sink, arg));
    return NULL;
}

static struct cob_error *write_tar(const struct export_job *job)
{
    struct export_dest dest;
    struct cob_error *err = export_dest_open(job->output->dest, &dest);
    int64_t since = export_tell(job, "sending tarball", 0);

    if (!err)
        err = pack_all(job, export_dest_write, &dest);
    if (!err)
        err = export_dest_commit(&dest);
    if (!err)
        export_tell(job, "sending tarball", since);
    export_dest_done(&dest);
    return err;
}

static struct cob_error *feed(void *arg, const void *data, size_t len)
{
    return cob_layer_unpack_write(arg, data, len);
}

static void on_warning(void *arg, const char *text)
{
    export_warn(arg, text);
}

static struct cob_error *fill_folder(const struct export_job *job, int dir_fd)
{
    const struct cob_layer_unpack_request request = {.dir_fd = dir_fd,
        .is_archive = true,
        .ignore_owners = true,
        .only_harmless = true,
        .cancel = job->cancel,
        .on_warning = on_warning,
        .warning_arg = (void *)(uintptr_t)job};
    g_autoptr(cob_layer_unpack) unpack = cob_layer_unpack_new(&request);

    COB_TRY(pack_all(job, feed, unpack));
    return cob_layer_unpack_finish(unpack, NULL);
}

/* A folder that is there is filled as it is. */
static struct cob_error *fill_old_folder(const struct export_job *job, const char *path)
{
    cob_autoclose int dir_fd = -1;

    COB_TRY(cob_fs_make_dirs(AT_FDCWD, path, 0755, &dir_fd));
    return fill_folder(job, dir_fd);
}

static struct cob_error *fill_draft(const struct export_job *job, int parent_fd, const char *draft)
{
    cob_autoclose int dir_fd =
        openat(parent_fd, draft, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return dir_fd < 0 ? cob_fail_errno(errno, "open directory %s", draft)
                      : fill_folder(job, dir_fd);
}

/* A new one appears under its name when everything is in it. */
static struct cob_error *fill_new_folder(const struct export_job *job, const char *path)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *prefix = g_strdup_printf(".%.200s.", name);
    g_autofree char *draft = cob_fs_draft_name(prefix);
    cob_autoclose int parent_fd = -1;

    COB_TRY(cob_fs_make_dirs(AT_FDCWD, parent, 0755, &parent_fd));
    if (mkdirat(parent_fd, draft, 0755) < 0)
        return cob_fail_errno(errno, "make directory %s in %s", draft, parent);
    struct cob_error *err = fill_draft(job, parent_fd, draft);
    if (!err && renameat2(parent_fd, draft, parent_fd, name, RENAME_NOREPLACE) < 0)
        err = cob_fail_errno(errno, "rename to %s", name);
    if (err)
        cob_error_free(cob_tree_remove(parent_fd, draft));
    return err;
}

static struct cob_error *write_local(const struct export_job *job)
{
    int64_t since = export_tell(job, "copying files", 0);
    g_autofree char *path = g_strdup(job->output->dest);
    struct stat st;

    for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
        path[len - 1] = '\0';
    bool is_new = fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
    COB_TRY(cob_wrap(is_new ? fill_new_folder(job, path) : fill_old_folder(job, path), "dest %s",
        job->output->dest));
    export_tell(job, "copying files", since);
    return NULL;
}

static const char *const options[] = {"platform-split", NULL};

const struct cob_exporter_impl cob_exporter_tar = {.type = "tar",
    .vertex_name = "exporting to client tarball",
    .options = options,
    .needs_dest = true,
    .write = write_tar};

const struct cob_exporter_impl cob_exporter_local = {.type = "local",
    .vertex_name = "exporting to client directory",
    .options = options,
    .needs_dest = true,
    .write = write_local};
