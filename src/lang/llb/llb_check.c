/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for a single op, whoever wrote it.
 * spec: BuildKit solver/llbsolver/ops/opsutils/validate.go, and the checks its ops do later. */
#include <inttypes.h>
#include <string.h>

#include "lang/llb/llb_private.h"

/* An index of an input, or -1 for nothing. */
static struct cob_error *check_input(const Pb__Op *op, int64_t index, const char *what)
{
    if (index < -1 || index >= (int64_t)op->n_inputs)
        return cob_fail(COB_INVALID, "%s is input %" PRId64 " of %zu", what, index, op->n_inputs);
    return NULL;
}

static struct cob_error *check_enum(
    const ProtobufCEnumDescriptor *descriptor, int value, const char *what)
{
    if (!protobuf_c_enum_descriptor_get_value(descriptor, value))
        return cob_fail(COB_INVALID, "%s has no value %d", what, value);
    return NULL;
}

/* Outputs must be different and small: one for each mount at most. */
static struct cob_error *check_output(
    const Pb__Mount *mount, size_t n_mounts, bool *is_taken, int *n_outputs)
{
    if (mount->output == -1)
        return NULL;
    if (mount->output < -1 || mount->output >= (int64_t)n_mounts)
        return cob_fail(COB_INVALID, "it is output %" PRId64, mount->output);
    if (is_taken[mount->output])
        return cob_fail(COB_INVALID, "output %" PRId64 " is there twice", mount->output);
    is_taken[mount->output] = true;
    *n_outputs = MAX(*n_outputs, (int)mount->output + 1);
    return NULL;
}

static struct cob_error *check_mount(const Pb__Op *op, const Pb__Mount *mount)
{
    COB_TRY(check_input(op, mount->input, "its source"));
    COB_TRY(check_enum(&pb__mount_type__descriptor, mount->mounttype, "its type"));
    COB_TRY(
        check_enum(&pb__mount_content_cache__descriptor, mount->contentcache, "its content cache"));
    if (mount->cacheopt)
        COB_TRY(check_enum(
            &pb__cache_sharing_opt__descriptor, mount->cacheopt->sharing, "its sharing"));
    if (mount->mounttype == PB__MOUNT_TYPE__CACHE && !mount->cacheopt)
        return cob_fail(COB_INVALID, "a cache mount needs its options");
    if (mount->mounttype == PB__MOUNT_TYPE__SECRET && !mount->secretopt)
        return cob_fail(COB_INVALID, "a secret mount needs its options");
    if (mount->mounttype == PB__MOUNT_TYPE__SSH && !mount->sshopt)
        return cob_fail(COB_INVALID, "an ssh mount needs its options");
    if (*mount->dest == '\0')
        return cob_fail(COB_INVALID, "it has no target");
    return NULL;
}

static struct cob_error *check_exec(const Pb__Op *op, int *ret_n_outputs)
{
    const Pb__ExecOp *exec = op->exec;
    g_autofree bool *is_taken = NULL;
    size_t n_roots = 0;

    if (!exec->meta)
        return cob_fail(COB_INVALID, "an exec op needs its meta");
    if (exec->meta->n_args == 0)
        return cob_fail(COB_INVALID, "an exec op needs args");
    COB_TRY(check_enum(&pb__net_mode__descriptor, exec->network, "network"));
    COB_TRY(check_enum(&pb__security_mode__descriptor, exec->security, "security"));
    is_taken = g_new0(bool, exec->n_mounts + 1);
    for (size_t i = 0; i < exec->n_mounts; i++) {
        const Pb__Mount *mount = exec->mounts[i];
        struct cob_error *err = check_mount(op, mount);

        /* BuildKit's client leaves the output of the other types at 0, and nobody looks at it */
        if (!err && mount->mounttype == PB__MOUNT_TYPE__BIND)
            err = check_output(mount, exec->n_mounts, is_taken, ret_n_outputs);
        if (err)
            return cob_wrap(err, "mount %zu", i);
        n_roots += strcmp(mount->dest, "/") == 0;
    }
    if (n_roots != 1)
        return cob_fail(COB_INVALID, "an exec op needs one mount on /, this has %zu", n_roots);
    return NULL;
}

static struct cob_error *check_owner(const Pb__Op *op, const Pb__ChownOpt *owner)
{
    const Pb__UserOpt *users[] = {owner ? owner->user : NULL, owner ? owner->group : NULL};

    for (size_t i = 0; i < G_N_ELEMENTS(users); i++) {
        if (!users[i])
            continue;
        if (users[i]->user_case == PB__USER_OPT__USER__NOT_SET)
            return cob_fail(COB_INVALID, "its owner has neither name nor number");
        if (users[i]->user_case == PB__USER_OPT__USER_BY_NAME)
            COB_TRY(check_input(op, users[i]->byname->input, "the passwd file of its owner"));
    }
    return NULL;
}

static struct cob_error *check_kind(const Pb__Op *op, const Pb__FileAction *action)
{
    const Pb__ChownOpt *owner = NULL;

    switch (action->action_case) {
    case PB__FILE_ACTION__ACTION_COPY:
        owner = action->copy->owner;
        break;
    case PB__FILE_ACTION__ACTION_MKFILE:
        owner = action->mkfile->owner;
        break;
    case PB__FILE_ACTION__ACTION_MKDIR:
        owner = action->mkdir->owner;
        break;
    case PB__FILE_ACTION__ACTION_SYMLINK:
        owner = action->symlink->owner;
        break;
    case PB__FILE_ACTION__ACTION_RM:
        break;
    case PB__FILE_ACTION__ACTION__NOT_SET:
    case _PB__FILE_ACTION__ACTION__CASE_IS_INT_SIZE:
        return cob_fail(COB_INVALID, "it is none that cob knows");
    }
    return check_owner(op, owner);
}

/* at: how many actions come before. */
static struct cob_error *check_action(const Pb__Op *op, const Pb__FileAction *action, size_t at)
{
    int64_t end = (int64_t)(op->n_inputs + at);

    if (action->input < -1 || action->input >= end)
        return cob_fail(COB_INVALID, "its input is %" PRId64 " of %" PRId64, action->input, end);
    if (action->secondaryinput < -1 || action->secondaryinput >= end)
        return cob_fail(
            COB_INVALID, "its source is %" PRId64 " of %" PRId64, action->secondaryinput, end);
    return check_kind(op, action);
}

static struct cob_error *check_file(const Pb__Op *op, int *ret_n_outputs)
{
    const Pb__FileOp *file = op->file;
    g_autofree bool *is_taken = g_new0(bool, file->n_actions + 1);
    int n_outputs = 0;

    if (file->n_actions == 0)
        return cob_fail(COB_INVALID, "a file op needs an action");
    for (size_t i = 0; i < file->n_actions; i++) {
        int64_t output = file->actions[i]->output;
        struct cob_error *err = check_action(op, file->actions[i], i);

        if (err)
            return cob_wrap(err, "action %zu", i);
        if (output == -1)
            continue;
        if (output < -1 || output >= (int64_t)file->n_actions || is_taken[output])
            return cob_fail(COB_INVALID, "action %zu: its output is %" PRId64, i, output);
        is_taken[output] = true;
        n_outputs = MAX(n_outputs, (int)output + 1);
    }
    *ret_n_outputs = n_outputs;
    return NULL;
}

static struct cob_error *check_merge(const Pb__Op *op)
{
    for (size_t i = 0; i < op->merge->n_inputs; i++)
        COB_TRY(check_input(op, op->merge->inputs[i]->input, "a side of a merge"));
    return NULL;
}

static struct cob_error *check_diff(const Pb__Op *op)
{
    if (!op->diff->lower || !op->diff->upper)
        return cob_fail(COB_INVALID, "a diff op needs both sides");
    COB_TRY(check_input(op, op->diff->lower->input, "the lower side"));
    return check_input(op, op->diff->upper->input, "the upper side");
}

static struct cob_error *check_build(const Pb__Op *op)
{
    COB_TRY(check_input(op, op->build->builder, "the frontend"));
    for (size_t i = 0; i < op->build->n_inputs; i++) {
        if (!op->build->inputs[i]->value)
            return cob_fail(COB_INVALID, "an input of a build op is empty");
        COB_TRY(check_input(op, op->build->inputs[i]->value->input, "an input of a build op"));
    }
    return NULL;
}

static struct cob_error *check_passthrough(const Pb__Op *op, int *ret_n_outputs)
{
    const Pb__PassthroughOp *passthrough = op->passthrough;

    if (*passthrough->id == '\0' || passthrough->n_outputs == 0)
        return cob_fail(COB_INVALID, "a passthrough op needs an id and outputs");
    for (size_t i = 0; i < passthrough->n_outputs; i++)
        if (passthrough->outputs[i] < 0 || passthrough->outputs[i] >= (int64_t)op->n_inputs)
            return cob_fail(COB_INVALID, "output %zu is input %" PRId64 " of %zu", i,
                passthrough->outputs[i], op->n_inputs);
    *ret_n_outputs = (int)MIN(passthrough->n_outputs, (size_t)INT32_MAX);
    return NULL;
}

struct cob_error *llb_op_check(const Pb__Op *op, int *ret_n_outputs)
{
    int n_outputs = 0;

    *ret_n_outputs = 1;
    switch (op->op_case) {
    case PB__OP__OP_SOURCE:
        if (*op->source->identifier == '\0')
            return cob_fail(COB_INVALID, "a source op needs an identifier");
        if (op->n_inputs > 0)
            return cob_fail(COB_INVALID, "a source op has no inputs, this has %zu", op->n_inputs);
        return NULL;
    case PB__OP__OP_EXEC:
        COB_TRY(check_exec(op, &n_outputs));
        *ret_n_outputs = n_outputs;
        return NULL;
    case PB__OP__OP_FILE:
        return check_file(op, ret_n_outputs);
    case PB__OP__OP_BUILD:
        return check_build(op);
    case PB__OP__OP_MERGE:
        return check_merge(op);
    case PB__OP__OP_DIFF:
        return check_diff(op);
    case PB__OP__OP_PASSTHROUGH:
        return check_passthrough(op, ret_n_outputs);
    case PB__OP__OP__NOT_SET:
    case _PB__OP__OP__CASE_IS_INT_SIZE:
        break;
    }
    return cob_fail(COB_INVALID, "it is of no kind that cob knows");
}
