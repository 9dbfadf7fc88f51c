/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/layer/tar.h"

static void xattr_free(gpointer pointer)
{
    struct tar_xattr *xattr = pointer;

    g_free(xattr->name);
    g_bytes_unref(xattr->value);
    g_free(xattr);
}

static GPtrArray *xattrs_new(void)
{
    return g_ptr_array_new_with_free_func(xattr_free);
}

void tar_entry_init(struct tar_entry *entry)
{
    *entry = (struct tar_entry){.type = TAR_FILE,
        .name = g_string_new(NULL),
        .link = g_string_new(NULL),
        .xattrs = xattrs_new(),
        .extents = g_array_new(FALSE, FALSE, sizeof(struct tar_extent))};
}

void tar_entry_reset(struct tar_entry *entry)
{
    GString *name = g_string_truncate(entry->name, 0);
    GString *link = g_string_truncate(entry->link, 0);

    g_ptr_array_set_size(entry->xattrs, 0);
    g_array_set_size(entry->extents, 0);
    *entry = (struct tar_entry){.type = TAR_FILE,
        .name = name,
        .link = link,
        .xattrs = entry->xattrs,
        .extents = entry->extents};
}

void tar_entry_done(struct tar_entry *entry)
{
    g_string_free(entry->name, TRUE);
    g_string_free(entry->link, TRUE);
    g_ptr_array_unref(entry->xattrs);
    g_array_unref(entry->extents);
}

void tar_entry_add_xattr(struct tar_entry *entry, const char *name, GBytes *value)
{
    struct tar_xattr *xattr = g_new(struct tar_xattr, 1);

    *xattr = (struct tar_xattr){.name = g_strdup(name), .value = value};
    g_ptr_array_add(entry->xattrs, xattr);
}

void tar_pax_init(struct tar_pax *pax)
{
    *pax = (struct tar_pax){.path = g_string_new(NULL),
        .linkpath = g_string_new(NULL),
        .sparse_name = g_string_new(NULL),
        .extents = g_array_new(FALSE, FALSE, sizeof(struct tar_extent)),
        .xattrs = xattrs_new()};
}

void tar_pax_reset(struct tar_pax *pax)
{
    g_ptr_array_set_size(pax->xattrs, 0);
    g_array_set_size(pax->extents, 0);
    *pax = (struct tar_pax){.path = g_string_truncate(pax->path, 0),
        .linkpath = g_string_truncate(pax->linkpath, 0),
        .sparse_name = g_string_truncate(pax->sparse_name, 0),
        .extents = pax->extents,
        .xattrs = pax->xattrs};
}

void tar_pax_done(struct tar_pax *pax)
{
    g_string_free(pax->path, TRUE);
    g_string_free(pax->linkpath, TRUE);
    g_string_free(pax->sparse_name, TRUE);
    g_array_unref(pax->extents);
    g_ptr_array_unref(pax->xattrs);
}
