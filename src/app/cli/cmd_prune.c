/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "app/cli/cli_engine.h"
#include "app/cli/usage_rows.h"
#include "util/text.h"

static const struct cli_option options[] = {
    {"all", 'a', CLI_FLAG, NULL, "Include what is internal: blobs that were found damaged", false},
    {"dry-run", 0, CLI_FLAG, NULL, "Only show what would be removed", false},
    {"filter", 0, CLI_LIST, "filter", "Provide filter values (e.g., \"until=24h\")", false},
    {"force", 'f', CLI_FLAG, NULL, "Do not prompt for confirmation", false},
    {"gc", 0, CLI_FLAG, NULL,
        "Remove what the budgets of cob.toml say, as is done after builds, and not more", false},
    {"keep-storage", 0, CLI_TEXT, "bytes", NULL, false},
    {"max-used-space", 0, CLI_TEXT, "bytes",
        "Maximum amount of disk space allowed to keep for cache", false},
    {"min-free-space", 0, CLI_TEXT, "bytes", "Target amount of free disk space after pruning",
        false},
    {"reserved-space", 0, CLI_TEXT, "bytes",
        "Amount of disk space always allowed to keep for cache", false},
    {"verbose", 0, CLI_FLAG, NULL, "Provide a more verbose output", false},
    {0},
};

#define MAX_ANSWER_BYTES 64

/* A removal on show. */
struct report {
    bool is_verbose;
    unsigned n_shown;
    uint64_t total;
};

/* What cannot be shown is removed all the same. */
static void show(void *arg, const struct cob_gc_removal *removal)
{
    struct report *report = arg;
    g_autoptr(GString) out = g_string_new(NULL);

    report->total += removal->freed_bytes;
    if (report->is_verbose) {
        usage_append_block(out, removal->record, removal->freed_bytes);
        g_string_truncate(out, out->len - 1);
        g_string_append_printf(out, "%-16s%s\n\n", "Rule:", removal->rule);
    } else {
        if (report->n_shown++ == 0)
            usage_append_header(out);
        usage_append_row(out, removal->record, removal->freed_bytes);
    }
    cob_error_free(cli_print(out));
}

static struct cob_error *read_space(
    const struct cli_call *call, const char *option, struct cob_gc_space *space)
{
    const char *text = cli_call_text(call, option);

    if (!text)
        return NULL;
    return cob_wrap(cob_gc_space_parse(text, space), "--%s", option);
}

static struct cob_error *read_request(const struct cli_call *call, struct cob_gc_prune *prune)
{
    prune->is_all = cli_call_flag(call, "all");
    if (cli_call_has(call, "keep-storage"))
        cli_warn("--keep-storage is deprecated: use --reserved-space");
    COB_TRY(read_space(call, "keep-storage", &prune->reserved));
    COB_TRY(read_space(call, "reserved-space", &prune->reserved));
    COB_TRY(read_space(call, "max-used-space", &prune->max_used));
    return read_space(call, "min-free-space", &prune->min_free);
}

/* A line from standard input: 'y' or 'Y' means yes, anything else no. Ctrl-C is an answer, too. */
static struct cob_error *read_answer(struct cob_cancel *cancel, bool *ret_is_yes)
{
    struct pollfd fds[] = {
        {.fd = 0, .events = POLLIN}, {.fd = cob_cancel_fd(cancel), .events = POLLIN}};
    char answer[MAX_ANSWER_BYTES] = {0};

    if (TEMP_FAILURE_RETRY(poll(fds, G_N_ELEMENTS(fds), -1)) < 0)
        return cob_fail_errno(errno, "wait for an answer");
    COB_TRY(cob_cancel_check(cancel));
    if (fgets(answer, sizeof(answer), stdin))
        g_strchomp(answer);
    *ret_is_yes = g_ascii_strcasecmp(answer, "y") == 0;
    return NULL;
}

static struct cob_error *confirm(const struct cli_call *call, bool *ret_is_confirmed)
{
    g_autoptr(GString) question = g_string_new(NULL);

    *ret_is_confirmed = cli_call_flag(call, "force") || cli_call_flag(call, "dry-run");
    if (*ret_is_confirmed)
        return NULL;
    g_string_append_printf(question,
        "WARNING! This will remove all %sbuild cache. Are you sure you want to continue? [y/N] ",
        cli_call_flag(call, "all") ? "" : "dangling ");
    COB_TRY(cli_print(question));
    return read_answer(call->cancel, ret_is_confirmed);
}

static struct cob_error *make_plan(struct cob_store *store, const struct cob_gc_prune *prune,
    const GPtrArray *records, GPtrArray **ret_removals)
{
    struct cob_gc_disk disk;

    COB_TRY(cob_gc_disk_of(store, &disk));
    cob_gc_plan_prune(records, prune, &disk, g_get_real_time(), ret_removals);
    return NULL;
}

/* ret_removals: none, when the policy cannot be carried out because another process does. */
static struct cob_error *make_policy_plan(
    struct cob_store *store, const GPtrArray *records, GPtrArray **ret_removals)
{
    struct cob_gc_policy policy;
    struct cob_gc_disk disk;

    COB_TRY(cob_gc_policy_load(&policy));
    COB_TRY(cob_gc_disk_of(store, &disk));
    COB_TRY(cob_history_trim(store, &policy.history, NULL));
    cob_gc_plan_policy(records, &policy, &disk, g_get_real_time(), ret_removals);
    return NULL;
}

static struct cob_error *prune_store(
    const struct cli_call *call, struct cob_store *store, const struct cob_gc_prune *prune)
{
    struct report report = {.is_verbose = cli_call_flag(call, "verbose")};
    g_autoptr(GPtrArray) records = NULL;
    g_autoptr(GPtrArray) removals = NULL;
    g_autoptr(GString) total = g_string_new(NULL);
    struct cob_error *err = NULL;

    COB_TRY(cob_gc_list(store, &records));
    COB_TRY(cli_call_flag(call, "gc") ? make_policy_plan(store, records, &removals)
                                      : make_plan(store, prune, records, &removals));
    if (!cli_call_flag(call, "dry-run"))
        err = cob_gc_run(store, removals, show, &report, call->cancel);
    for (guint i = 0; i < removals->len && cli_call_flag(call, "dry-run"); i++)
        show(&report, removals->pdata[i]);
    g_autofree char *size = cob_text_size(report.total);
    g_string_append_printf(total, "Total:\t%s\n", size);
    struct cob_error *print_err = cli_print(total);
    if (err)
        cob_error_free(g_steal_pointer(&print_err));
    return err ? err : print_err;
}

/* By the policy, one process at a time: a second one has nothing to do. */
static struct cob_error *collect(
    const struct cli_call *call, struct cob_store *store, const struct cob_gc_prune *prune)
{
    g_autoptr(cob_store_lock) lock = NULL;

    COB_TRY(cob_gc_try_lock(store, &lock));
    return lock ? prune_store(call, store, prune) : NULL;
}

static struct cob_error *run(struct cli_call *call)
{
    g_autoptr(cob_gc_filter) filter = NULL;
    g_autoptr(cob_engine) engine = NULL;
    struct cob_gc_prune prune = {0};
    bool is_confirmed = false;

    COB_TRY(cob_gc_filter_parse(cli_call_list(call, "filter"), &filter));
    COB_TRY(read_request(call, &prune));
    prune.filter = filter;
    if (cli_call_flag(call, "gc") &&
        (cli_call_has(call, "filter") || prune.reserved.is_set || prune.max_used.is_set ||
            prune.min_free.is_set || prune.is_all))
        return cob_fail(
            COB_INVALID, "--gc goes by cob.toml alone: no filter and no amount of space");
    COB_TRY(confirm(call, &is_confirmed));
    if (!is_confirmed)
        return NULL;
    COB_TRY(cli_engine_open_to_remove(&engine));
    return cli_call_flag(call, "gc") ? collect(call, cob_engine_store(engine), &prune)
                                     : prune_store(call, cob_engine_store(engine), &prune);
}

const struct cli_command cli_prune = {
    .name = "prune",
    .usage = "[OPTIONS]",
    .summary = "Remove build cache",
    .description =
        "Remove what the store can do without: layers that no image with a name stands "
        "on, cache mounts, sources, blobs. What a process uses, images with names, and "
        "cache mounts with a pin stay. With an amount of space, no more than it takes to "
        "get there: what is made again most cheaply goes first, cache mounts last.",
    .options = options,
    .run = run,
};
