/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <signal.h>
#include <string.h>

#include "app/cli/command.h"
#include "util/fs.h"
#include "util/kernel.h"
#include "util/log.h"

/* What a signal handler may reach: set once, before the handler is, and there until the end. */
static struct cob_cancel *cancel_on_signal;
static bool is_stderr_terminal;
static int last_signal; /* atomic: two signals may come to two threads */

/* The first signal asks for an end in good order; the next one does not wait for it. */
static void on_signal(int signum)
{
    static const char show_cursor[] = "\033[?25h";
    int none = 0;

    if (!__atomic_compare_exchange_n(
            &last_signal, &none, signum, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        ssize_t n = is_stderr_terminal ? write(2, show_cursor, sizeof(show_cursor) - 1) : 0;

        (void)n;
        _exit(128 + signum);
    }
    cob_cancel_trigger(cancel_on_signal);
}

/* SIGHUP stays ignored where it was: so nohup wants it. SIGINT does not, as with docker: a shell
 * without job control lets what it starts in the background ignore it, and a Ctrl-C is meant for
 * the whole script. */
static struct cob_error *set_up_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    COB_TRY(cob_cancel_new(&cancel_on_signal));
    is_stderr_terminal = isatty(2);
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        struct sigaction old;

        sigaction(signals[i], NULL, &old);
        if (signals[i] != SIGHUP || old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
    return NULL;
}

struct cob_error *cli_print(const GString *text)
{
    return cob_wrap(cob_fs_write_fd(1, text->str, text->len), "standard output");
}

/* command: the one whose help may be of use; NULL: none. */
static void print_error(const struct cob_error *err, const char *command)
{
    g_autofree char *text = cob_error_text(err);
    g_autoptr(GString) out = g_string_new(text);

    if (cob_log_is_on(1)) {
        g_autofree char *trace = cob_error_trace(err);

        g_string_append(out, trace);
    }
    if (command)
        g_string_append_printf(out, "See 'cob%s%s --help'.\n", *command ? " " : "", command);
    cob_error_free(cob_fs_write_fd(2, out->str, out->len));
}

/* Show an error, and say what the exit code is: a shell's when a signal was the reason.
 * command: NULL: none is known. */
static int fail(struct cob_error *err, const struct cli_command *command, const char *help)
{
    const bool is_cancelled = cob_error_code(err) == COB_CANCELLED;
    const int signum = g_atomic_int_get(&last_signal);

    print_error(err, help);
    cob_error_free(err);
    if (is_cancelled)
        return 128 + (signum ? signum : SIGINT);
    return command && command->error_code ? command->error_code : 1;
}

static int run_call(struct cli_call *call)
{
    g_autoptr(GString) help = g_string_new(NULL);
    struct cob_error *err;
    int exit_code;

    if (call->is_help) {
        cli_help_append_command(help, call->command);
        err = cli_print(help);
    } else {
        err = cob_kernel_check_threads();
        if (!err)
            err = call->command->run(call);
    }
    if (!err)
        return call->exit_code;
    exit_code = fail(cob_kernel_explain(err), call->command, NULL);
    return call->exit_code ? call->exit_code : exit_code;
}

static int print_all_help(void)
{
    g_autoptr(GString) help = g_string_new(NULL);
    struct cob_error *err;

    cli_help_append_all(help);
    err = cli_print(help);
    return err ? fail(err, NULL, NULL) : 0;
}

/* "cache", "cache --help": the group whose help is asked for; NULL: it is not. */
static const struct cli_group *group_asked(const char *const *args)
{
    static const char *const help[] = {"--help", "-h", "help", NULL};

    return !args[1] || g_strv_contains(help, args[1]) ? cli_group_find(args[0]) : NULL;
}

static int print_group_help(const struct cli_group *group)
{
    g_autoptr(GString) help = g_string_new(NULL);
    struct cob_error *err;

    cli_help_append_group(help, group);
    err = cli_print(help);
    return err ? fail(err, NULL, NULL) : 0;
}

int cli_main(int argc, char **argv)
{
    static const char *const version[] = {"version", NULL};
    const char *const *args = (const char *const *)argv + MIN(argc, 1);
    const struct cli_command *command = NULL;
    struct cli_call call;
    struct cob_error *err;
    unsigned n_words = 0;
    bool is_debug = false;
    int exit_code;

    json_set_alloc_funcs(g_malloc, g_free);
    for (; args[0] && (!strcmp(args[0], "--debug") || !strcmp(args[0], "-D")); args++)
        is_debug = true;
    if (!args[0] || !strcmp(args[0], "--help") || !strcmp(args[0], "-h"))
        return print_all_help();
    if (!strcmp(args[0], "--version") || !strcmp(args[0], "-v"))
        args = version;
    if (group_asked(args))
        return print_group_help(group_asked(args));
    err = cli_command_find(args, &command, &n_words);
    if (err)
        return fail(err, NULL, cli_group_find(args[0]) ? args[0] : "");
    err = cli_call_parse(command, args + n_words, &call);
    if (err)
        return fail(err, command, command->name);
    err = set_up_signals();
    call.cancel = cancel_on_signal;
    call.is_debug = is_debug;
    exit_code = err ? fail(err, command, NULL) : run_call(&call);
    cli_call_done(&call);
    return exit_code;
}
