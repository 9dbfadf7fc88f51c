/* SPDX-License-Identifier: Apache-2.0 */
/* File actions: a FileOp as BuildKit's client makes it, since its bytes are its identity.
 * spec: BuildKit client/llb/fileop.go, Marshal and WithUser. */
#include <string.h>

#include "lang/llb/llb_private.h"

/* base: where a name is looked up, -1 for nowhere. */
static Pb__UserOpt *new_user(const char *text, int64_t base)
{
    Pb__UserOpt *user = g_new(Pb__UserOpt, 1);
    int64_t id = 0;

    pb__user_opt__init(user);
    if (strcmp(text, "root") == 0 || *text == '\0' ||
        g_ascii_string_to_signed(text, 10, INT32_MIN, INT32_MAX, &id, NULL)) {
        user->user_case = PB__USER_OPT__USER_BY_ID;
        user->byid = (uint32_t)id;
        return user;
    }
    user->user_case = PB__USER_OPT__USER_BY_NAME;
    user->byname = g_new(Pb__NamedUserOpt, 1);
    pb__named_user_opt__init(user->byname);
    user->byname->name = g_strdup(text);
    user->byname->input = base;
    return user;
}

/* owner: "user[:group]", or NULL. */
static Pb__ChownOpt *new_owner(const char *owner, int64_t base)
{
    if (!owner || !*owner)
        return NULL;
    g_auto(GStrv) parts = g_strsplit(owner, ":", 2);
    Pb__ChownOpt *chown = g_new(Pb__ChownOpt, 1);

    pb__chown_opt__init(chown);
    chown->user = new_user(parts[0], base);
    if (parts[1] && *parts[1])
        chown->group = new_user(parts[1], base);
    return chown;
}

static void set_copy(Pb__FileAction *message, const struct cob_llb_action *action, int64_t base)
{
    Pb__FileActionCopy *copy = g_new(Pb__FileActionCopy, 1);

    pb__file_action_copy__init(copy);
    llb_set_text(&copy->src, action->source);
    llb_set_text(&copy->dest, action->path);
    copy->owner = new_owner(action->owner, base);
    if (action->mode_text)
        llb_set_text(&copy->modestr, action->mode_text);
    else
        copy->mode = action->mode;
    copy->followsymlink = action->flags & COB_LLB_FOLLOW_LINKS;
    copy->dircopycontents = action->flags & COB_LLB_CONTENTS_ONLY;
    copy->attemptunpackdockercompatibility = action->flags & COB_LLB_UNPACK;
    copy->createdestpath = action->flags & COB_LLB_MAKE_PARENTS;
    copy->allowwildcard = action->flags & COB_LLB_WILDCARD;
    copy->allowemptywildcard = action->flags & COB_LLB_ALLOW_NOTHING;
    copy->alwaysreplaceexistingdestpaths = action->flags & COB_LLB_REPLACE_OTHERS;
    copy->timestamp = action->time_ns;
    llb_set_list(&copy->include_patterns, &copy->n_include_patterns, action->include);
    llb_set_list(&copy->exclude_patterns, &copy->n_exclude_patterns, action->exclude);
    llb_set_list(&copy->required_paths, &copy->n_required_paths, action->required);
    message->action_case = PB__FILE_ACTION__ACTION_COPY;
    message->copy = copy;
}

static void set_mkfile(Pb__FileAction *message, const struct cob_llb_action *action, int64_t base)
{
    Pb__FileActionMkFile *mkfile = g_new(Pb__FileActionMkFile, 1);

    pb__file_action_mk_file__init(mkfile);
    llb_set_text(&mkfile->path, action->path);
    mkfile->mode = action->mode;
    if (action->data && g_bytes_get_size(action->data) > 0) {
        mkfile->data.len = g_bytes_get_size(action->data);
        mkfile->data.data = g_memdup2(g_bytes_get_data(action->data, NULL), mkfile->data.len);
    }
    mkfile->owner = new_owner(action->owner, base);
    mkfile->timestamp = action->time_ns;
    message->action_case = PB__FILE_ACTION__ACTION_MKFILE;
    message->mkfile = mkfile;
}

static void set_mkdir(Pb__FileAction *message, const struct cob_llb_action *action, int64_t base)
{
    Pb__FileActionMkDir *mkdir = g_new(Pb__FileActionMkDir, 1);

    pb__file_action_mk_dir__init(mkdir);
    llb_set_text(&mkdir->path, action->path);
    mkdir->mode = action->mode;
    mkdir->makeparents = action->flags & COB_LLB_MAKE_PARENTS;
    mkdir->owner = new_owner(action->owner, base);
    mkdir->timestamp = action->time_ns;
    message->action_case = PB__FILE_ACTION__ACTION_MKDIR;
    message->mkdir = mkdir;
}

static void set_rm(Pb__FileAction *message, const struct cob_llb_action *action)
{
    Pb__FileActionRm *rm = g_new(Pb__FileActionRm, 1);

    pb__file_action_rm__init(rm);
    llb_set_text(&rm->path, action->path);
    rm->allownotfound = action->flags & COB_LLB_ALLOW_NOTHING;
    rm->allowwildcard = action->flags & COB_LLB_WILDCARD;
    message->action_case = PB__FILE_ACTION__ACTION_RM;
    message->rm = rm;
}

static void set_symlink(Pb__FileAction *message, const struct cob_llb_action *action, int64_t base)
{
    Pb__FileActionSymlink *symlink = g_new(Pb__FileActionSymlink, 1);

    pb__file_action_symlink__init(symlink);
    llb_set_text(&symlink->oldpath, action->source);
    llb_set_text(&symlink->newpath, action->path);
    symlink->owner = new_owner(action->owner, base);
    symlink->timestamp = action->time_ns;
    message->action_case = PB__FILE_ACTION__ACTION_SYMLINK;
    message->symlink = symlink;
}

static Pb__FileAction *new_action(const struct cob_llb_action *action, int64_t base)
{
    Pb__FileAction *message = g_new(Pb__FileAction, 1);

    pb__file_action__init(message);
    switch (action->kind) {
    case COB_LLB_COPY:
        set_copy(message, action, base);
        break;
    case COB_LLB_MKFILE:
        set_mkfile(message, action, base);
        break;
    case COB_LLB_MKDIR:
        set_mkdir(message, action, base);
        break;
    case COB_LLB_RM:
        set_rm(message, action);
        break;
    case COB_LLB_SYMLINK:
        set_symlink(message, action, base);
        break;
    }
    return message;
}

struct cob_llb_ref cob_llb_add_file(struct cob_llb_builder *builder, struct cob_llb_ref base,
    const struct cob_llb_action *actions, size_t n_actions, const struct cob_llb_about *about)
{
    struct llb_draft draft = llb_draft_begin(builder);
    int64_t base_input = llb_draft_input(&draft, base);
    Pb__FileOp *file = g_new(Pb__FileOp, 1);

    g_assert(n_actions > 0);
    pb__file_op__init(file);
    file->actions = g_new(Pb__FileAction *, n_actions);
    file->n_actions = n_actions;
    for (size_t i = 0; i < n_actions; i++) {
        bool is_copy = actions[i].kind == COB_LLB_COPY;

        file->actions[i] = new_action(&actions[i], base_input);
        file->actions[i]->secondaryinput = is_copy ? llb_draft_input(&draft, actions[i].from) : -1;
        file->actions[i]->output = i + 1 < n_actions ? -1 : 0;
    }
    file->actions[0]->input = base_input;
    for (size_t i = 1; i < n_actions; i++) /* the one before, now that the inputs are counted */
        file->actions[i]->input = draft.inputs->len + (int64_t)i - 1;
    draft.op->op_case = PB__OP__OP_FILE;
    draft.op->file = file;
    return (struct cob_llb_ref){.vertex = llb_draft_end(&draft, about)};
}
