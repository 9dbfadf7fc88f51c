/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/command.h"

#include <string.h>

#include "util/text.h"

#define MAX_COMMANDS 100

size_t cli_n_options(const struct cli_command *command)
{
    size_t n = 0;

    while (command->options && command->options[n].name)
        n++;
    return n;
}

static size_t index_of(const struct cli_command *command, const char *name)
{
    for (size_t i = 0; i < cli_n_options(command); i++) {
        if (!strcmp(command->options[i].name, name))
            return i;
    }
    g_error("cob %s has no option --%s", command->name, name);
}

bool cli_call_has(const struct cli_call *call, const char *name)
{
    return call->values[index_of(call->command, name)] != NULL;
}

const char *const *cli_call_list(const struct cli_call *call, const char *name)
{
    const GPtrArray *values = call->values[index_of(call->command, name)];

    return values ? (const char *const *)values->pdata : NULL;
}

const char *cli_call_text(const struct cli_call *call, const char *name)
{
    const GPtrArray *values = call->values[index_of(call->command, name)];

    return values ? values->pdata[values->len - 2] : NULL; /* the last is NULL */
}

bool cli_call_flag(const struct cli_call *call, const char *name)
{
    return !g_strcmp0(cli_call_text(call, name), "true");
}

const char *cli_call_arg(const struct cli_call *call, unsigned n)
{
    return n + 1 < call->args->len ? call->args->pdata[n] : NULL;
}

/* Keep an array NULL-terminated while it grows. value: taken. */
static void append_value(GPtrArray **array, char *value)
{
    if (!*array) {
        *array = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(*array, NULL);
    }
    g_ptr_array_insert(*array, (int)(*array)->len - 1, value);
}

static struct cob_error *fail_unknown(const struct cli_command *command, const char *name)
{
    g_autofree const char **known = g_new0(const char *, cli_n_options(command) + 1);
    g_autofree char *visible = cob_text_visible(name);
    size_t n_known = 0;
    const char *meant;

    for (size_t i = 0; i < cli_n_options(command); i++) {
        if (command->options[i].help)
            known[n_known++] = command->options[i].name;
    }
    meant = cob_text_suggest(name, known);
    if (meant)
        return cob_fail(COB_INVALID, "unknown flag: --%s (did you mean --%s?)", visible, meant);
    return cob_fail(COB_INVALID, "unknown flag: --%s", visible);
}

/* The words that Go's strconv.ParseBool knows. */
static struct cob_error *parse_bool(const char *name, const char *text, const char **ret_word)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True", NULL};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False", NULL};

    if (g_strv_contains(yes, text))
        *ret_word = "true";
    else if (g_strv_contains(no, text))
        *ret_word = "false";
    else
        return cob_fail(
            COB_INVALID, "invalid argument \"%s\" for --%s: use true or false", text, name);
    return NULL;
}

static struct cob_error *set_option(struct cli_call *call, size_t n, const char *value)
{
    const struct cli_option *option = &call->command->options[n];

    if (option->is_refused)
        return cob_fail(COB_UNIMPLEMENTED, "--%s is not carried out yet", option->name);
    if (option->kind == CLI_FLAG)
        COB_TRY(parse_bool(option->name, value, &value));
    append_value(&call->values[n], g_strdup(value));
    return NULL;
}

/* "--name", "--name=value", or "--name" and the value in the next word.
 * at: the word; moved to the value if that is the next word. */
static struct cob_error *parse_long(struct cli_call *call, const char *const **at)
{
    const char *word = **at + 2;
    const char *equals = strchr(word, '=');
    g_autofree char *name = equals ? g_strndup(word, equals - word) : g_strdup(word);
    const struct cli_command *command = call->command;

    for (size_t i = 0; i < cli_n_options(command); i++) {
        if (strcmp(command->options[i].name, name))
            continue;
        if (equals)
            return set_option(call, i, equals + 1);
        if (command->options[i].kind == CLI_FLAG)
            return set_option(call, i, "true");
        if (command->options[i].kind == CLI_SOME)
            return set_option(call, i, "");
        if (!(*at)[1] && !command->options[i].is_refused)
            return cob_fail(COB_INVALID, "flag needs an argument: --%s", name);
        return set_option(call, i, (*at)[1] ? *++*at : "");
    }
    if (!strcmp(name, "help")) {
        call->is_help = true;
        return NULL;
    }
    return fail_unknown(command, name);
}

/* One letter of "-it"; what stands behind it is its value, if it takes one: "-tname", "-t=name".
 * letter: moved to the last letter that was used. */
static struct cob_error *parse_letter(
    struct cli_call *call, const char *const **at, const char **letter)
{
    const struct cli_command *command = call->command;

    for (size_t i = 0; i < cli_n_options(command); i++) {
        const char *rest = *letter + 1;

        if (command->options[i].letter != **letter)
            continue;
        if (command->options[i].kind == CLI_FLAG && *rest != '=')
            return set_option(call, i, "true");
        *letter = *letter + strlen(*letter) - 1;
        if (*rest)
            return set_option(call, i, *rest == '=' ? rest + 1 : rest);
        if (!(*at)[1])
            return cob_fail(COB_INVALID, "flag needs an argument: '%c' in %s", **letter, **at);
        return set_option(call, i, *++*at);
    }
    if (**letter == 'h') {
        call->is_help = true;
        return NULL;
    }
    g_autofree char *visible = cob_text_visible(**at);

    return cob_fail(COB_INVALID, "unknown shorthand flag: '%c' in %s",
        g_ascii_isgraph(**letter) ? **letter : '?', visible);
}

static struct cob_error *parse_word(struct cli_call *call, const char *const **at)
{
    const char *word = **at;

    if (word[0] != '-' || word[1] == '\0') {
        append_value(&call->args, g_strdup(word));
        return NULL;
    }
    if (word[1] == '-')
        return parse_long(call, at);
    for (const char *letter = word + 1; *letter; letter++)
        COB_TRY(parse_letter(call, at, &letter));
    return NULL;
}

static struct cob_error *check_n_args(const struct cli_call *call)
{
    const struct cli_command *command = call->command;
    const unsigned n = call->args->len - 1;
    const unsigned bound = n < command->min_args ? command->min_args : command->max_args;
    const char *how = command->min_args == command->max_args ? "exactly"
                      : n < command->min_args                ? "at least"
                                                             : "at most";

    if (n >= command->min_args && n <= command->max_args)
        return NULL;
    if (command->max_args == 0)
        return cob_fail(COB_INVALID, "\"cob %s\" accepts no arguments", command->name);
    return cob_fail(COB_INVALID, "\"cob %s\" requires %s %u argument%s", command->name, how, bound,
        bound == 1 ? "" : "s");
}

static struct cob_error *parse_words(struct cli_call *call, const char *const *at)
{
    bool is_rest = false;

    for (; *at && !call->is_help; at++) {
        if (is_rest)
            append_value(&call->args, g_strdup(*at));
        else if (!strcmp(*at, "--"))
            is_rest = true;
        else
            COB_TRY(parse_word(call, &at));
        is_rest = is_rest || (call->command->is_program && call->args->len > 1);
    }
    return call->is_help ? NULL : check_n_args(call);
}

struct cob_error *cli_call_parse(
    const struct cli_command *command, const char *const *args, struct cli_call *ret_call)
{
    struct cli_call call = {
        .command = command,
        .values = g_new0(GPtrArray *, cli_n_options(command) + 1),
        .args = g_ptr_array_new_with_free_func(g_free),
    };
    struct cob_error *err;

    g_ptr_array_add(call.args, NULL);
    err = parse_words(&call, args);
    if (err)
        cli_call_done(&call);
    else
        *ret_call = call;
    return err;
}

void cli_call_done(struct cli_call *call)
{
    for (size_t i = 0; call->values && i < cli_n_options(call->command); i++)
        g_clear_pointer(&call->values[i], g_ptr_array_unref);
    g_clear_pointer(&call->values, g_free);
    g_clear_pointer(&call->args, g_ptr_array_unref);
}

struct cob_error *cli_command_find(
    const char *const *args, const struct cli_command **ret_command, unsigned *ret_n_words)
{
    const char *known[MAX_COMMANDS + 1] = {NULL};
    size_t n_known = 0;
    g_autofree char *pair = args[1] ? g_strjoin(" ", args[0], args[1], NULL) : NULL;
    g_autofree char *visible = NULL;
    const char *meant;

    for (const struct cli_command *const *at = cli_commands; *at; at++) {
        const bool is_pair = !g_strcmp0((*at)->name, pair);

        if (is_pair || !strcmp((*at)->name, args[0])) {
            *ret_command = *at;
            *ret_n_words = is_pair ? 2 : 1;
            return NULL;
        }
        g_assert(n_known < MAX_COMMANDS);
        known[n_known++] = (*at)->name;
    }
    visible = cob_text_visible(
        pair && (!strcmp(args[0], "debug") || cli_group_find(args[0])) ? pair : args[0]);
    meant = cob_text_suggest(visible, known);
    if (meant)
        return cob_fail(COB_INVALID, "unknown command: %s (did you mean %s?)", visible, meant);
    return cob_fail(COB_INVALID, "unknown command: %s", visible);
}
