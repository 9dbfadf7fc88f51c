/* SPDX-License-Identifier: Apache-2.0 */
#include "build/ops/ops_private.h"

/* A side of --chown as text for cob_rootfs_identify(); NULL: not given. */
static char *user_text(const Pb__UserOpt *user)
{
    if (!user)
        return NULL;
    switch (user->user_case) {
    case PB__USER_OPT__USER_BY_NAME:
        return g_strdup(user->byname->name);
    case PB__USER_OPT__USER_BY_ID:
        return g_strdup_printf("%u", user->byid);
    case PB__USER_OPT__USER__NOT_SET:
    case _PB__USER_OPT__USER__CASE_IS_INT_SIZE:
        break;
    }
    return NULL;
}

/* A number needs no /etc/passwd, and is the group too when no other is given; a name has its group
 * in /etc/passwd. */
struct cob_error *cob_ops_owner(
    const Pb__ChownOpt *owner, int root_fd, bool *ret_is_set, uid_t *ret_uid, gid_t *ret_gid)
{
    g_autofree char *user = owner ? user_text(owner->user) : NULL;
    g_autofree char *group = owner ? user_text(owner->group) : NULL;
    g_autofree char *both = NULL;
    const bool is_number_alone =
        !group && owner && owner->user && owner->user->user_case == PB__USER_OPT__USER_BY_ID;
    struct cob_rootfs_identity identity = {0};

    *ret_is_set = user || group;
    if (!*ret_is_set)
        return NULL;
    both = group ? g_strdup_printf("%s:%s", user ? user : "0", group) : g_strdup(user);
    COB_TRY(cob_wrap(cob_rootfs_identify(root_fd, both, &identity), "--chown=%s", both));
    *ret_uid = identity.uid;
    *ret_gid = is_number_alone ? identity.uid : identity.gid;
    g_array_unref(identity.groups);
    return NULL;
}
