/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --chown, and the owner of a WORKDIR. A number needs no /etc/passwd, and is the group too when no
 * other is given; a name has its group in /etc/passwd. A name that the image has not is root, as in
 * BuildKit; but not in silence.
 *
 * spec: BuildKit solver/llbsolver/ops/user_linux.go.
 */
#include <inttypes.h>

#include "build/ops/ops_private.h"

/* A name, to be looked up; NULL: a number, or nothing. */
static const char *name_of(const Pb__UserOpt *user)
{
    return user && user->user_case == PB__USER_OPT__USER_BY_NAME ? user->byname->name : NULL;
}

static bool is_number(const Pb__UserOpt *user)
{
    return user && user->user_case == PB__USER_OPT__USER_BY_ID;
}

static struct cob_error *check_base(const Pb__UserOpt *user)
{
    const char *name = name_of(user);

    if (!name || user->byname->input >= 0)
        return NULL;
    return cob_fail(COB_INVALID,
        "invalid user index: %" PRId64 ": there is no base to look \"%s\" up in: use a number",
        user->byname->input, name);
}

/* warnings: what was not found, a line each; NULL: nobody asks. */
static struct cob_error *look_up(
    int root_fd, const char *text, struct file_owner *owner, GString *warnings)
{
    struct cob_rootfs_identity identity = {0};
    g_autoptr(cob_error) err = cob_rootfs_identify(root_fd, text, &identity);

    if (err && cob_error_code(err) != COB_INVALID)
        return g_steal_pointer(&err);
    if (err) {
        g_autofree char *why = cob_error_message(err);

        if (warnings)
            g_string_append_printf(warnings, "%s%s", warnings->len ? "; " : "", why);
        return NULL;
    }
    owner->uid = identity.uid;
    owner->gid = identity.gid;
    g_array_unref(identity.groups);
    return NULL;
}

static struct cob_error *resolve(
    const Pb__ChownOpt *owner, int root_fd, struct file_owner *ret_owner, GString *warnings)
{
    struct file_owner ids = {.is_set = true}, group = {0};
    g_autofree char *text = NULL;

    COB_TRY(check_base(owner->user));
    COB_TRY(check_base(owner->group));
    if (is_number(owner->user))
        ids.uid = ids.gid = owner->user->byid;
    else if (name_of(owner->user) && *name_of(owner->user))
        COB_TRY(look_up(root_fd, name_of(owner->user), &ids, warnings));
    group.gid = ids.gid;
    if (is_number(owner->group)) {
        group.gid = owner->group->byid;
    } else if (name_of(owner->group) && *name_of(owner->group)) {
        text = g_strconcat("0:", name_of(owner->group), NULL);
        COB_TRY(look_up(root_fd, text, &group, warnings));
    }
    ids.gid = group.gid;
    *ret_owner = ids;
    return cob_rootfs_check_ids(ids.uid, ids.gid);
}

static bool is_given(const Pb__ChownOpt *owner)
{
    return owner && (is_number(owner->user) || name_of(owner->user) || is_number(owner->group) ||
                        name_of(owner->group));
}

struct cob_error *cob_ops_owner(
    const Pb__ChownOpt *owner, int root_fd, struct file_owner *ret_owner)
{
    *ret_owner = (struct file_owner){0};
    if (!is_given(owner))
        return NULL;
    return cob_wrap(resolve(owner, root_fd, ret_owner, NULL), "owner");
}

bool cob_ops_owner_has_name(const Pb__ChownOpt *owner)
{
    return is_given(owner) && (name_of(owner->user) || name_of(owner->group));
}

struct cob_error *cob_ops_owner_check(const Pb__ChownOpt *owner, int root_fd, char **ret_warning)
{
    g_autoptr(GString) warnings = g_string_new(NULL);
    struct file_owner ids;

    COB_TRY(cob_wrap(resolve(owner, root_fd, &ids, warnings), "owner"));
    *ret_warning = NULL;
    if (warnings->len > 0)
        *ret_warning = g_strdup_printf("%s: the owner is %u:%u", warnings->str, ids.uid, ids.gid);
    return NULL;
}
