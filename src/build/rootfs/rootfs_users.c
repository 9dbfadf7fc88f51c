/* SPDX-License-Identifier: Apache-2.0 */
/*
 * USER of an image, by the image's own files. Numbers are whole and below 2^31: a runtime that cuts
 * one off must never end at 0.
 *
 * spec: BuildKit executor/oci/user.go, GetUser; moby/sys user, GetExecUser.
 */
#include <fcntl.h>
#include <stdio.h>
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

/* A part of a file, where it lies: ten megabytes of short lines would be half a gigabyte as strings
 * of their own. */
struct span {
    const char *at; /* NULL: there is no more */
    size_t len;
};

/* Cut off the part before the next separator, or the last one. */
static bool cut(struct span *rest, char separator, struct span *ret_part)
{
    if (!rest->at)
        return false;
    const char *end = memchr(rest->at, separator, rest->len);
    size_t len = end ? (size_t)(end - rest->at) : rest->len;
    *ret_part = (struct span){rest->at, len};
    *rest = end ? (struct span){end + 1, rest->len - len - 1} : (struct span){NULL, 0};
    return true;
}

static bool is_text(struct span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.at, text, span.len) == 0;
}

static bool parse_id_span(struct span span, uint32_t *ret_id)
{
    char text[24] = {0};
    bool is_number;

    if (span.len >= sizeof(text))
        return false;
    memcpy(text, span.at, span.len);
    return strlen(text) == span.len && parse_id(text, ret_id, &is_number);
}

/* A file of the image; NULL when it is not there.
 * errors: it is no regular file, or too large. */
static struct cob_error *read_table(int root_fd, const char *path, GBytes **ret_bytes)
{
    struct cob_rootfs_walk request = {.root_fd = root_fd, .path = path, .wish = COB_ROOTFS_FIND};
    g_autofree char *real = NULL;
    cob_autoclose int path_fd = -1;
    cob_autoclose int fd = -1;
    g_autoptr(cob_error) gone = cob_rootfs_walk(&request, &path_fd, &real);
    struct stat st;

    if (gone)
        return NULL;
    if (fstat(path_fd, &st) < 0 || !S_ISREG(st.st_mode))
        return cob_fail(COB_INVALID, "%s of the image is not a regular file", path);
    COB_TRY(cob_open_beneath(root_fd, real + 1, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return cob_fail(COB_INVALID, "%s of the image is not a regular file", path);
    return cob_wrap(cob_fs_read_fd(fd, COB_LIMIT_PASSWD_BYTES, ret_bytes), "%s of the image", path);
}

static struct span all_of(GBytes *bytes)
{
    gsize len = 0;
    const char *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;

    return (struct span){data, len};
}

/* A line of either file. */
struct entry {
    struct span name;
    struct span fourth; /* passwd: the group; group: its members */
    struct span home;   /* of passwd; else nothing */
    uint32_t id;
};

static bool parse_entry(struct span line, unsigned n_fields, struct entry *ret_entry)
{
    struct span fields[6] = {{NULL, 0}};
    unsigned n = 0;

    while (n < G_N_ELEMENTS(fields) && cut(&line, ':', &fields[n]))
        n++;
    *ret_entry = (struct entry){.name = fields[0], .fourth = fields[3], .home = fields[5]};
    return n >= n_fields && fields[0].len > 0 && *fields[0].at != '#' &&
           parse_id_span(fields[2], &ret_entry->id);
}

/* What a user or a group was called by: an id, or a name. */
static struct cob_error *parse_wanted(const char *text, bool *ret_is_id, uint32_t *ret_id)
{
    bool is_number;

    *ret_is_id = parse_id(text, ret_id, &is_number);
    if (is_number && !*ret_is_id)
        return cob_fail(COB_INVALID, "uids and gids must be in range 0-%d", MAX_ID);
    return NULL;
}

static struct cob_error *find_user(
    int root_fd, const char *user, struct cob_rootfs_identity *identity, char **ret_name)
{
    g_autoptr(GBytes) bytes = NULL;
    struct span line;
    uint32_t wanted = 0;
    bool is_id = false;

    COB_TRY(parse_wanted(user, &is_id, &wanted));
    COB_TRY(read_table(root_fd, "/etc/passwd", &bytes));
    for (struct span rest = all_of(bytes); cut(&rest, '\n', &line);) {
        struct entry entry;
        uint32_t gid = 0;

        if (parse_entry(line, 4, &entry) &&
            (is_id ? entry.id == wanted : is_text(entry.name, user)) &&
            parse_id_span(entry.fourth, &gid)) {
            identity->uid = entry.id;
            identity->gid = gid;
            *ret_name = g_strndup(entry.name.at, entry.name.len);
            return NULL;
        }
    }
    if (!is_id)
        return cob_fail(
            COB_INVALID, "unable to find user %s: no matching entries in passwd file", user);
    identity->uid = wanted;
    identity->gid = 0;
    return NULL;
}

struct cob_error *cob_rootfs_home(int root_fd, const char *user, char **ret_home)
{
    g_auto(GStrv) parts = g_strsplit(user && *user ? user : "0", ":", 2);
    g_autoptr(GBytes) bytes = NULL;
    struct span line;
    uint32_t wanted = 0;
    bool is_id = false;

    *ret_home = NULL;
    COB_TRY(parse_wanted(parts[0], &is_id, &wanted));
    COB_TRY(read_table(root_fd, "/etc/passwd", &bytes));
    for (struct span rest = all_of(bytes); cut(&rest, '\n', &line);) {
        struct entry entry;

        if (!parse_entry(line, 4, &entry) ||
            !(is_id ? entry.id == wanted : is_text(entry.name, parts[0])))
            continue;
        if (entry.home.len > 0 && *entry.home.at == '/')
            *ret_home = g_strndup(entry.home.at, entry.home.len);
        return NULL;
    }
    return NULL;
}

static struct cob_error *find_group(
    int root_fd, const char *group, struct cob_rootfs_identity *identity)
{
    g_autoptr(GBytes) bytes = NULL;
    struct span line;
    uint32_t wanted = 0;
    bool is_id = false;

    COB_TRY(parse_wanted(group, &is_id, &wanted));
    if (is_id) {
        identity->gid = wanted;
        return NULL;
    }
    COB_TRY(read_table(root_fd, "/etc/group", &bytes));
    for (struct span rest = all_of(bytes); cut(&rest, '\n', &line);) {
        struct entry entry;

        if (parse_entry(line, 3, &entry) && is_text(entry.name, group)) {
            identity->gid = entry.id;
            return NULL;
        }
    }
    return cob_fail(
        COB_INVALID, "unable to find group %s: no matching entries in group file", group);
}

static bool is_listed(struct span members, const char *name)
{
    struct span member;

    while (cut(&members, ',', &member)) {
        if (is_text(member, name))
            return true;
    }
    return false;
}

/* The groups that list the user. */
static struct cob_error *find_memberships(
    int root_fd, const char *name, struct cob_rootfs_identity *identity)
{
    g_autoptr(GBytes) bytes = NULL;
    struct span line;

    COB_TRY(read_table(root_fd, "/etc/group", &bytes));
    for (struct span rest = all_of(bytes); cut(&rest, '\n', &line);) {
        struct entry entry;

        if (parse_entry(line, 4, &entry) && is_listed(entry.fourth, name))
            g_array_append_val(identity->groups, entry.id);
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

/* Is this id of the image one of ours, in the user namespace that we are in?
 * spec: user_namespaces(7), "User and group ID mappings" */
static bool is_mapped(const char *map_path, uint32_t id)
{
    g_autofree char *text = NULL;
    uint32_t first, outside, count;
    int n_used;

    if (!g_file_get_contents(map_path, &text, NULL, NULL))
        return true;
    for (const char *at = text; sscanf(at, "%u %u %u%n", &first, &outside, &count, &n_used) == 3;
         at += n_used) {
        if (id >= first && id - first < count)
            return true;
    }
    return false;
}

struct cob_error *cob_rootfs_check_ids(uint32_t uid, uint32_t gid)
{
    const char *what = !is_mapped("/proc/self/uid_map", uid)   ? "uid"
                       : !is_mapped("/proc/self/gid_map", gid) ? "gid"
                                                               : NULL;

    if (!what)
        return NULL;
    return cob_fail(COB_PRECONDITION,
        "whoever runs cob has no %s %u to give: add more to /etc/subuid and /etc/subgid", what,
        *what == 'u' ? uid : gid);
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
    if (!err)
        err = cob_rootfs_check_ids(identity.uid, identity.gid);
    if (err) {
        g_array_unref(identity.groups);
        return cob_wrap(err, "user %s", user);
    }
    add_primary_group(&identity);
    g_clear_pointer(&ret_identity->groups, g_array_unref);
    *ret_identity = identity;
    return NULL;
}
