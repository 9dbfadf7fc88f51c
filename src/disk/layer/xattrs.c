/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/layer/xattrs.h"

#include <endian.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/xattr.h>

#include "util/limits.h"

#define CAPABILITY "security.capability"
#define V2_BYTES 20 /* magic, then two pairs of permitted and inheritable */
#define V3_BYTES 24 /* and the root user's id */

bool xattr_is_allowed(const char *name)
{
    if (strcmp(name, CAPABILITY) == 0)
        return true;
    return g_str_has_prefix(name, "user.") && !g_str_has_prefix(name, "user.overlay.") &&
           strcmp(name, "user.overlay") != 0;
}

GBytes *xattr_portable_capability(GBytes *value)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(value, &len);
    uint8_t v2[V2_BYTES];
    uint32_t magic;

    if (len < sizeof(magic))
        return NULL;
    memcpy(&magic, data, sizeof(magic));
    magic = le32toh(magic);
    if ((magic & VFS_CAP_REVISION_MASK) == VFS_CAP_REVISION_2 && len == V2_BYTES)
        return g_bytes_ref(value);
    if ((magic & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_3 || len != V3_BYTES)
        return NULL;
    memcpy(v2, data, V2_BYTES);
    magic = htole32((magic & ~(uint32_t)VFS_CAP_REVISION_MASK) | VFS_CAP_REVISION_2);
    memcpy(v2, &magic, sizeof(magic));
    return g_bytes_new(v2, sizeof(v2));
}

static struct cob_error *read_one(int fd, const char *name, GBytes **ret_value)
{
    g_autofree char *value = g_malloc(COB_LIMIT_XATTR_BYTES);
    ssize_t n = fgetxattr(fd, name, value, COB_LIMIT_XATTR_BYTES);

    if (n < 0)
        return cob_fail_errno(errno, "read xattr %s", name);
    *ret_value = g_bytes_new(value, (gsize)n);
    return NULL;
}

static struct cob_error *add_one(int fd, const char *name, struct tar_entry *entry)
{
    g_autoptr(GBytes) value = NULL;

    COB_TRY(read_one(fd, name, &value));
    if (strcmp(name, CAPABILITY) != 0) {
        tar_entry_add_xattr(entry, name, g_steal_pointer(&value));
        return NULL;
    }
    g_autoptr(GBytes) portable = xattr_portable_capability(value);
    if (portable)
        tar_entry_add_xattr(entry, name, g_steal_pointer(&portable));
    return NULL;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    const struct tar_xattr *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

/* overlayfs features that would make the directory less than the whole difference. */
static bool is_incomplete(const char *name)
{
    return g_str_has_suffix(name, ".overlay.metacopy") ||
           g_str_has_suffix(name, ".overlay.redirect");
}

static struct cob_error *read_opaque(int fd, const char *name, bool *ret_is_opaque)
{
    g_autoptr(GBytes) value = NULL;
    gsize len;

    COB_TRY(read_one(fd, name, &value));
    const char *data = g_bytes_get_data(value, &len);
    *ret_is_opaque = len == 1 && data[0] == 'y';
    return NULL;
}

static struct cob_error *list_names(int fd, char *names, size_t size, ssize_t *ret_len)
{
    *ret_len = flistxattr(fd, names, size);
    if (*ret_len < 0 && errno == EOPNOTSUPP)
        *ret_len = 0;
    return *ret_len < 0 ? cob_fail_errno(errno, "list xattrs") : NULL;
}

struct cob_error *xattr_read_all(
    int fd, const char *opaque_xattr, struct tar_entry *entry, bool *ret_is_opaque)
{
    g_autofree char *large = NULL;
    char small[512], *names = small;
    ssize_t len = flistxattr(fd, small, sizeof(small));

    *ret_is_opaque = false;
    if (len == 0 || (len < 0 && errno == EOPNOTSUPP))
        return NULL;
    if (len < 0) {
        names = large = g_malloc(COB_LIMIT_XATTR_BYTES); /* the kernel's limit, too */
        COB_TRY(list_names(fd, names, COB_LIMIT_XATTR_BYTES, &len));
    }
    for (const char *name = names; name < names + len; name += strlen(name) + 1) {
        if (opaque_xattr && strcmp(name, opaque_xattr) == 0)
            COB_TRY(read_opaque(fd, name, ret_is_opaque));
        else if (opaque_xattr && is_incomplete(name))
            return cob_fail(COB_INTERNAL, "it has %s: a layer made with other mount options", name);
        else if (xattr_is_allowed(name))
            COB_TRY(add_one(fd, name, entry));
    }
    g_ptr_array_sort(entry->xattrs, by_name);
    return NULL;
}
