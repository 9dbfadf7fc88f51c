/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "app/cli/build_call.h"
#include "app/cli/cli_engine.h"
#include "app/cli/columns.h"
#include "check.h"

/* A command line for `cob build`, and what is understood: its options in the order of their names,
 * then its arguments; or the error. */
static const struct {
    const char *name, *line, *want;
} parse_rows[] = {
    {"value-behind", "--tag a .", "tag=a; ."},
    {"value-with-equals", "--tag=a .", "tag=a; ."},
    {"value-with-equals-inside", "--build-arg=A=b=c .", "build-arg=A=b=c; ."},
    {"empty-value", "--target= .", "target=; ."},
    {"letter", "-t a .", "tag=a; ."},
    {"letter-attached", "-ta .", "tag=a; ."},
    {"letter-equals", "-t=a .", "tag=a; ."},
    {"list-keeps-all", "-t a --tag b .", "tag=a,b; ."},
    {"flag", "--pull .", "pull=true; ."},
    {"flag-false", "--pull=false .", "pull=false; ."},
    {"flag-then-value", "-qt a .", "quiet=true tag=a; ."},
    {"options-behind-arguments", ". -t a", "tag=a; ."},
    {"dash-is-an-argument", "-", "; -"},
    {"file-from-stdin", "-f - .", "file=-; ."},
    {"value-looks-like-an-option", "-t --pull .", "tag=--pull; ."},
    {"double-dash-ends", "-- -t", "; -t"},
    {"ignored", "--rm --load .", "load=true rm=true; ."},
    {"unknown", "--foo .", "unknown flag: --foo"},
    {"unknown-near", "--tagg a .", "unknown flag: --tagg (did you mean --tag?)"},
    {"unknown-escaped", "--f\033o .", "unknown flag: --f\\x1bo"},
    {"unknown-letter", "-z .", "unknown shorthand flag: 'z' in -z"},
    {"value-missing", ". --tag", "flag needs an argument: --tag"},
    {"letter-value-missing", ". -t", "flag needs an argument: 't' in -t"},
    {"flag-is-no-bool", "--pull=maybe .",
        "invalid argument \"maybe\" for --pull: use true or false"},
    {"refused", "--push .", "--push is not carried out yet"},
    {"too-few", "-t a", "\"cob build\" requires exactly 1 argument"},
    {"too-many", ". .", "\"cob build\" requires exactly 1 argument"},
};

static char *shown_call(const struct cli_call *call)
{
    GString *out = g_string_new(NULL);

    for (size_t i = 0; i < cli_n_options(call->command); i++) {
        const char *name = call->command->options[i].name;
        const char *const *list = cli_call_list(call, name);

        if (list)
            g_string_append_printf(out, "%s%s=", out->len ? " " : "", name);
        for (const char *const *value = list; value && *value; value++)
            g_string_append_printf(out, "%s%s", value == list ? "" : ",", *value);
    }
    g_string_append_c(out, ';');
    for (unsigned n = 0; cli_call_arg(call, n); n++)
        g_string_append_printf(out, " %s", cli_call_arg(call, n));
    return g_string_free(out, FALSE);
}

/* What is understood of a command line, or the error without its "ERROR: ". */
static char *parsed(const struct cli_command *command, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    struct cli_call call = {0};
    g_autoptr(cob_error) err = cli_call_parse(command, (const char *const *)words, &call);
    g_autofree char *text = NULL;
    char *shown;

    if (err) {
        text = g_strchomp(cob_error_text(err));
        return g_strdup(text + strlen("ERROR: "));
    }
    shown = shown_call(&call);
    cli_call_done(&call);
    return shown;
}

static void test_command_lines(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(parse_rows); i++) {
        g_autofree char *got = parsed(&cli_build, parse_rows[i].line);

        g_assert_cmpstr(got, ==, parse_rows[i].want);
        check_row(!strcmp(got, parse_rows[i].want), i, parse_rows[i].name);
    }
}

static void test_a_program_keeps_its_options(void)
{
    g_autofree char *got = parsed(&cli_run, "-it -e A=1 image sh -c -x --help");

    g_assert_cmpstr(got, ==, "env=A=1 interactive=true tty=true; image sh -c -x --help");
}

static void test_help_beats_the_rest(void)
{
    static const char *const args[] = {"--tag", "a", "--help", "--foo", NULL};
    struct cli_call call;

    CHECK_OK(cli_call_parse(&cli_build, args, &call));
    g_assert_true(call.is_help);
    cli_call_done(&call);
}

static const struct {
    const char *name, *words, *want;
    unsigned n_words;
} find_rows[] = {
    {"one-word", "build .", "build", 1},
    {"two-words", "debug llb .", "debug llb", 2},
    {"unknown", "biuld .", "unknown command: biuld (did you mean build?)", 0},
    {"unknown-second", "debug lbl", "unknown command: debug lbl (did you mean debug llb?)", 0},
    {"unknown-far", "frobnicate", "unknown command: frobnicate", 0},
};

static void test_commands_are_found(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(find_rows); i++) {
        g_auto(GStrv) words = g_strsplit(find_rows[i].words, " ", -1);
        const struct cli_command *command = NULL;
        unsigned n_words = 0;
        g_autoptr(cob_error) err = cli_command_find((const char *const *)words, &command, &n_words);
        g_autofree char *text = err ? g_strchomp(cob_error_text(err)) : NULL;
        const char *got = text ? text + strlen("ERROR: ") : command->name;

        g_assert_cmpstr(got, ==, find_rows[i].want);
        g_assert_cmpuint(n_words, ==, find_rows[i].n_words);
        check_row(!strcmp(got, find_rows[i].want), i, find_rows[i].name);
    }
}

/* What the tables must hold to, so that one letter means one thing and every text is there. */
static void test_tables_are_sound(void)
{
    const char *last_command = "";

    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        const char *last_option = "";

        g_assert_cmpstr((*at)->name, >, last_command);
        last_command = (*at)->name;
        g_assert_nonnull((*at)->run);
        g_assert_false(g_str_has_suffix((*at)->summary, "."));
        for (size_t i = 0; i < cli_n_options(*at); i++) {
            const struct cli_option *option = &(*at)->options[i];

            if (option->help)
                g_assert_cmpstr(option->name, >, last_option);
            last_option = option->help ? option->name : last_option;
            g_assert_true(!option->help || (option->kind == CLI_FLAG) == !option->placeholder);
            for (size_t j = 0; j < i; j++) {
                g_assert_cmpstr(option->name, !=, (*at)->options[j].name);
                g_assert_true(!option->letter || option->letter != (*at)->options[j].letter);
            }
        }
    }
}

/* The command line of `cob build`, and the request that it makes, or the error. */
static const struct {
    const char *name, *line, *want;
} request_rows[] = {
    {"plain", ".", "context=."},
    {"output-folder", "-o out .", "context=. output=type=local,dest=out"},
    {"output-spec", "-o type=oci,dest=x.tar .", "context=. output=type=oci,dest=x.tar"},
    {"stages", "--no-cache-filter a,b --no-cache-filter c .", "context=. no-cache=a,b,c"},
    {"secret-file", "--secret id=s,src=/f .", "context=. secret=s:/f:-"},
    {"secret-env", "--secret id=s,env=V .", "context=. secret=s:-:V"},
    {"secret-type-env", "--secret type=env,id=s,src=V .", "context=. secret=s:-:V"},
    {"secret-name-of-a-file", "--secret id=no_such_variable .",
        "context=. secret=no_such_variable:no_such_variable:-"},
    {"secret-name-of-a-variable", "--secret id=COB_TEST_SECRET .",
        "context=. secret=COB_TEST_SECRET:-:COB_TEST_SECRET"},
    {"secret-without-id", "--secret src=/f .", "--secret: no id in it: write id=NAME,src=FILE"},
    {"secret-both", "--secret id=s,src=/f,env=V .", "--secret: src and env exclude each other"},
    {"secret-unknown-key", "--secret id=s,srk=/f .",
        "--secret: unexpected key 'srk': use id, src, env or type"},
    {"secret-no-pair", "--secret s .", "--secret: invalid field 's': must be a key=value pair"},
    {"parallel", "--parallel 3 .", "context=. parallel=3"},
    {"parallel-zero", "--parallel 0 .", "--parallel 0: it must be a number from 1 to 1024"},
    {"two-platforms", "--platform linux/amd64,linux/arm64 .",
        "context=. platform=linux/amd64,linux/arm64"},
    {"a-platform-each", "--platform linux/amd64 --platform arm64 .",
        "context=. platform=linux/amd64,arm64"},
    {"two-stdins", "-f - -",
        "invalid argument: can't use stdin for both build context and dockerfile"},
    {"remote", "https://example.com/x.git", "context=https://example.com/x.git"},
    {"contexts", "--build-context a=b --build-context c=d .",
        "context=. build-context=a=b "
        "build-context=c=d"},
};

static void append_request(GString *out, const struct cob_engine_request *request)
{
    const char *const *at;

    g_string_append_printf(out, "context=%s", request->context);
    for (at = request->build_contexts; at && *at; at++)
        g_string_append_printf(out, " build-context=%s", *at);
    for (at = request->outputs; at && *at; at++)
        g_string_append_printf(out, " output=%s", *at);
    for (at = request->no_cache_stages; at && *at; at++)
        g_string_append_printf(
            out, "%s%s", at == request->no_cache_stages ? " no-cache=" : ",", *at);
    for (at = request->platforms; at && *at; at++)
        g_string_append_printf(out, "%s%s", at == request->platforms ? " platform=" : ",", *at);
    for (size_t i = 0; i < request->n_secrets; i++)
        g_string_append_printf(out, " secret=%s:%s:%s", request->secrets[i].id,
            request->secrets[i].path ? request->secrets[i].path : "-",
            request->secrets[i].env ? request->secrets[i].env : "-");
    if (request->n_parallel > 0)
        g_string_append_printf(out, " parallel=%u", request->n_parallel);
}

static void test_build_requests(void)
{
    g_setenv("COB_TEST_SECRET", "x", TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(request_rows); i++) {
        g_auto(GStrv) words = g_strsplit(request_rows[i].line, " ", -1);
        g_autoptr(GString) got = g_string_new(NULL);
        struct cli_build_request build;
        struct cli_call call;
        struct cob_error *err;

        CHECK_OK(cli_call_parse(&cli_build, (const char *const *)words, &call));
        err = cli_build_request_init(&call, &build);
        if (err) {
            g_autofree char *text = g_strchomp(cob_error_text(err));

            g_string_assign(got, text + strlen("ERROR: "));
            cob_error_free(err);
        } else {
            append_request(got, &build.request);
            cli_build_request_done(&build);
        }
        cli_call_done(&call);
        g_assert_cmpstr(got->str, ==, request_rows[i].want);
        check_row(!strcmp(got->str, request_rows[i].want), i, request_rows[i].name);
    }
}

static void test_columns_are_dockers(void)
{
    static const char *const words[] = {"REPOSITORY", "TAG", "SIZE", "hello", "latest", "1.2MB"};
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) out = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        g_ptr_array_add(cells, g_strdup(words[i]));
    columns_append(out, cells, 3);
    g_assert_cmpstr(out->str, ==,
        "REPOSITORY   TAG       SIZE\n"
        "hello        latest    1.2MB\n");
}

static void test_texts_name_every_command(void)
{
    g_autoptr(GString) man = g_string_new(NULL);
    g_autoptr(GString) bash = g_string_new(NULL);

    cli_man_append(man);
    CHECK_OK(cli_completion_append(bash, "bash"));
    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        g_autofree char *heading = g_strdup_printf("\n.SS cob %s ", (*at)->name);

        g_assert_true((strstr(man->str, heading) != NULL) == !(*at)->is_hidden);
        g_assert_true((*at)->is_hidden || strstr(bash->str, (*at)->name));
    }
    CHECK_ERROR(cli_completion_append(bash, "csh"), COB_INVALID,
        "no completion for csh: use bash, zsh or fish*");
}

static void test_calls(void)
{
    static const struct {
        const char *text;
        struct cli_build_call want;
    } rows[] = {
        {"build", {.is_build = true}},
        {"check", {.method = COB_ENGINE_LINT}},
        {"lint,format=text", {.method = COB_ENGINE_LINT}},
        {"outline,format=json", {.method = COB_ENGINE_OUTLINE, .is_json = true}},
        {"format=json,targets", {.method = COB_ENGINE_TARGETS, .is_json = true}},
        {"check,ignorestatus=1", {.method = COB_ENGINE_LINT, .ignores_status = true}},
    };
    struct cli_build_call got;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct cli_build_call *want = &rows[i].want;

        CHECK_OK(cli_build_call_parse(rows[i].text, &got));
        check_row(got.is_build == want->is_build && got.method == want->method &&
                      got.is_json == want->is_json && got.ignores_status == want->ignores_status,
            i, rows[i].text);
    }
    CHECK_ERROR(cli_build_call_parse("check,format=xml", &got), COB_INVALID,
        "unknown format xml: use json or text*");
    CHECK_ERROR(cli_build_call_parse("check,colour=red", &got), COB_INVALID,
        "unknown field colour=red: use format or ignorestatus*");
    CHECK_ERROR(cli_build_call_parse("check,ignorestatus=maybe", &got), COB_INVALID,
        "ignorestatus=maybe: it must be true or false*");
    CHECK_ERROR(cli_build_call_parse("check,outline", &got), COB_INVALID,
        "more than one method in check,outline*");
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/cli/command-lines", test_command_lines);
    g_test_add_func("/cli/a-program-keeps-its-options", test_a_program_keeps_its_options);
    g_test_add_func("/cli/help-beats-the-rest", test_help_beats_the_rest);
    g_test_add_func("/cli/commands-are-found", test_commands_are_found);
    g_test_add_func("/cli/tables-are-sound", test_tables_are_sound);
    g_test_add_func("/cli/build-requests", test_build_requests);
    g_test_add_func("/cli/calls", test_calls);
    g_test_add_func("/cli/columns-are-dockers", test_columns_are_dockers);
    g_test_add_func("/cli/texts-name-every-command", test_texts_name_every_command);
    return g_test_run();
}
