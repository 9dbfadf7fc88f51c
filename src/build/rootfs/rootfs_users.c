/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USER of an image, by the image's own files. Numbers are whole and below 2^31: a runtime that cuts
 * one off must never end at 0.
 *
 * spec: BuildKit executor/oci/user.go, GetUser; moby/sys user, GetExecUser.
 */
#include <fcntl.h>
#include <string.h>

#include "build/rootfs/rootfs.h"
#include "util/fs.h"
#include "util/limits.h"

#define MAX_ID 0x7fffffff
#define MAX_GROUPS 65536 /* as the kernel has it */

/* A number, all digits, in range. ret_is_number tells a number that is too large from a name. */
static bool parse_id(const char *text, uint32_t *ret_id, bool *ret_is_number)
{
    guint64 id = 0;

    *ret_is_number = *text && strspn(text, "0123456789") == strlen(text);
    if (!*ret_is_number || !g_ascii_string_to_unsigned(text, 10, 0, MAX_ID, &id, NULL))
        return false;
    *ret_id = (uint32_t)id;
    return true;
}

/* The lines of a file of the image; none when it is not there.
 * errors: it is no regular file, or too large. */
static struct cob_error *read_lines(int root_fd, const char *path, GStrv *ret_lines)
{
    struct cob_rootfs_walk request = {.root_fd = root_fd, .path = path, .wish = COB_ROOTFS_FIND};
    g_autofree char *real = NULL;
    cob_autoclose int path_fd = -1;
    cob_autoclose int fd = -1;
    g_autoptr(cob_error) gone = cob_rootfs_walk(&request, &path_fd, &real);
    g_autoptr(GBytes) bytes = NULL;
    struct stat st;
    gsize len = 0;

    *ret_lines = g_new0(char *, 1);
    if (gone)
        return NULL;
    if (fstat(path_fd, &st) < 0 || !S_ISREG(st.st_mode))
        return cob_fail(COB_INVALID, "%s of the image is not a regular file", path);
    COB_TRY(cob_open_beneath(root_fd, real + 1, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return cob_fail(COB_INVALID, "%s of the image is not a regular file", path);
    COB_TRY(cob_wrap(cob_fs_read_fd(fd, COB_LIMIT_PASSWD_BYTES, &bytes), "%s of the image", path));
    const char *data = g_bytes_get_data(bytes, &len);
    g_autofree char *text = g_strndup(data ? data : "", len);
    g_strfreev(*ret_lines);
    *ret_lines = g_strsplit(text, "\n", -1);
    return NULL;
}

/* A line of either file: name, number, and what else it has. */
struct entry {
    char **fields; /* owned */
    const char *name;
    uint32_t id;
};

/* NULL fields: the line is none. */
static struct entry parse_entry(const char *line, unsigned n_fields)
{
    struct entry entry = {.fields = g_strsplit(line, ":", -1)};
    bool is_number;

    if (g_strv_length(entry.fields) < n_fields || !*entry.fields[0] || *entry.fields[0] == '#' ||
        !parse_id(entry.fields[2], &entry.id, &is_number)) {
        g_strfreev(entry.fields);
        entry.fields = NULL;
        return entry;
    }
    entry.name = entry.fields[0];
    return entry;
}

static struct cob_error *find_user(
    int root_fd, const char *user, struct cob_rootfs_identity *identity, char **ret_name)
{
    g_auto(GStrv) lines = NULL;
    uint32_t wanted = 0;
    bool is_number, is_id = parse_id(user, &wanted, &is_number);

    if (is_number && !is_id)
        return cob_fail(COB_INVALID, "uids and gids must be in range 0-%d", MAX_ID);
    COB_TRY(read_lines(root_fd, "/etc/passwd", &lines));
    for (char **line = lines; *line; line++) {
        struct entry entry = parse_entry(*line, 4);
        uint32_t gid = 0;
        bool ok = entry.fields && (is_id ? entry.id == wanted : strcmp(entry.name, user) == 0) &&
                  parse_id(entry.fields[3], &gid, &is_number);

        if (ok) {
            identity->uid = entry.id;
            identity->gid = gid;
            *ret_name = g_strdup(entry.name);
        }
        g_strfreev(entry.fields);
        if (ok)
            return NULL;
    }
    if (!is_id)
        return cob_fail(
            COB_INVALID, "unable to find user %s: no matching entries in passwd file", user);
    identity->uid = wanted;
    identity->gid = 0;
    return NULL;
}

static struct cob_error *find_group(
    int root_fd, const char *group, struct cob_rootfs_identity *identity)
{
    g_auto(GStrv) lines = NULL;
    uint32_t wanted = 0;
    bool is_number, is_id = parse_id(group, &wanted, &is_number), is_found = false;

    if (is_number && !is_id)
        return cob_fail(COB_INVALID, "uids and gids must be in range 0-%d", MAX_ID);
    if (is_id) {
        identity->gid = wanted;
        return NULL;
    }
    COB_TRY(read_lines(root_fd, "/etc/group", &lines));
    for (char **line = lines; *line && !is_found; line++) {
        struct entry entry = parse_entry(*line, 3);

        is_found = entry.fields && strcmp(entry.name, group) == 0;
        if (is_found)
            identity->gid = entry.id;
        g_strfreev(entry.fields);
    }
    return is_found ? NULL
                    : cob_fail(COB_INVALID,
                          "unable to find group %s: no matching entries in group file", group);
}

/* The groups that list the user. */
static struct cob_error *find_memberships(
    int root_fd, const char *name, struct cob_rootfs_identity *identity)
{
    g_auto(GStrv) lines = NULL;

    COB_TRY(read_lines(root_fd, "/etc/group", &lines));
    for (char **line = lines; *line; line++) {
        struct entry entry = parse_entry(*line, 4);

        if (entry.fields) {
            g_auto(GStrv) members = g_strsplit(entry.fields[3], ",", -1);

            if (g_strv_contains((const char *const *)members, name))
                g_array_append_val(identity->groups, entry.id);
        }
        g_strfreev(entry.fields);
        if (identity->groups->len > MAX_GROUPS)
            return cob_fail(COB_INVALID, "user %s is in more than %d groups", name, MAX_GROUPS);
    }
    return NULL;
}

/* The first group of a process is also one of its supplementary ones (CVE-2022-2990). */
static void add_primary_group(struct cob_rootfs_identity *identity)
{
    for (guint i = 0; i < identity->groups->len; i++) {
        if (g_array_index(identity->groups, uint32_t, i) == identity->gid)
            return;
    }
    g_array_prepend_val(identity->groups, identity->gid);
}

static struct cob_error *resolve(
    int root_fd, const char *user, struct cob_rootfs_identity *identity)
{
    g_auto(GStrv) parts = g_strsplit(*user ? user : "0", ":", 2);
    g_autofree char *name = NULL;
    bool is_number;

    if (parts[1] && parse_id(parts[0], &identity->uid, &is_number) &&
        parse_id(parts[1], &identity->gid, &is_number))
        return NULL; /* nothing to look up */
    if (!*parts[0] || (parts[1] && !*parts[1]))
        return cob_fail(COB_INVALID, "a user is name|uid[:group|gid]");
    COB_TRY(find_user(root_fd, parts[0], identity, &name));
    if (parts[1])
        return find_group(root_fd, parts[1], identity);
    return name ? find_memberships(root_fd, name, identity) : NULL;
}

struct cob_error *cob_rootfs_identify(
    int root_fd, const char *user, struct cob_rootfs_identity *ret_identity)
{
    struct cob_rootfs_identity identity = {.groups = g_array_new(FALSE, FALSE, sizeof(uint32_t))};
    struct cob_error *err = resolve(root_fd, user ? user : "", &identity);

    if (err && (!user || !*user)) { /* root needs no files to be root */
        cob_error_free(g_steal_pointer(&err));
        identity.uid = identity.gid = 0;
        g_array_set_size(identity.groups, 0);
    }
    if (err) {
        g_array_unref(identity.groups);
        return cob_wrap(err, "user %s", user);
    }
    add_primary_group(&identity);
    g_clear_pointer(&ret_identity->groups, g_array_unref);
    *ret_identity = identity;
    return NULL;
}
