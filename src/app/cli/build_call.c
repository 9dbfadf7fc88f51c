/* SPDX-License-Identifier: Apache-2.0 */
#include "app/cli/build_call.h"

#include <jansson.h>
#include <string.h>

static const struct {
    const char *word;
    enum cob_engine_method method;
} methods[] = {
    {"check", COB_ENGINE_LINT},
    {"lint", COB_ENGINE_LINT},
    {"outline", COB_ENGINE_OUTLINE},
    {"targets", COB_ENGINE_TARGETS},
    {"convertllb", COB_ENGINE_CONVERT_LLB},
    {"subrequests.describe", COB_ENGINE_DESCRIBE},
};

static struct cob_error *read_bool(const char *field, const char *value, bool *ret)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True", NULL};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False", NULL};

    if (!g_strv_contains(yes, value) && !g_strv_contains(no, value))
        return cob_fail(COB_INVALID, "%s: it must be true or false", field);
    *ret = g_strv_contains(yes, value);
    return NULL;
}

static struct cob_error *read_option(const char *field, struct cli_build_call *asked)
{
    const char *value = strchr(field, '=') + 1;

    if (g_str_has_prefix(field, "ignorestatus="))
        return read_bool(field, value, &asked->ignores_status);
    if (!g_str_has_prefix(field, "format="))
        return cob_fail(COB_INVALID, "unknown field %s: use format or ignorestatus", field);
    asked->is_json = strcmp(value, "json") == 0;
    if (!asked->is_json && strcmp(value, "text") != 0)
        return cob_fail(COB_INVALID, "unknown format %s: use json or text", value);
    return NULL;
}

static struct cob_error *read_method(const char *word, struct cli_build_call *asked)
{
    asked->is_build = strcmp(word, "build") == 0;
    for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
        if (strcmp(word, methods[i].word) == 0) {
            asked->method = methods[i].method;
            return NULL;
        }
    }
    if (asked->is_build)
        return NULL;
    return cob_fail(COB_INVALID,
        "unknown method %s: use build, check, lint, outline, targets, convertllb or "
        "subrequests.describe",
        word);
}

struct cob_error *cli_build_call_parse(const char *text, struct cli_build_call *ret_asked)
{
    g_auto(GStrv) fields = g_strsplit(text, ",", -1);
    struct cli_build_call asked = {.is_build = true};
    bool has_method = false;

    for (char **field = fields; *field; field++) {
        if (strchr(*field, '=')) {
            COB_TRY(read_option(*field, &asked));
            continue;
        }
        if (has_method)
            return cob_fail(COB_INVALID, "more than one method in %s", text);
        has_method = true;
        COB_TRY(read_method(*field, &asked));
    }
    *ret_asked = asked;
    return NULL;
}

struct cob_error *cli_build_call_of(const struct cli_call *call, struct cli_build_call *ret_asked)
{
    const char *text = cli_call_text(call, "call");
    struct cli_build_call asked = {.is_build = true};

    if (text)
        COB_TRY(cob_wrap(cli_build_call_parse(text, &asked), "--call"));
    if (cli_call_flag(call, "check")) {
        if (!asked.is_build && asked.method != COB_ENGINE_LINT)
            return cob_fail(COB_INVALID, "--check and --call %s exclude each other", text);
        asked.is_build = false;
        asked.method = COB_ENGINE_LINT;
    }
    *ret_asked = asked;
    return NULL;
}

static void append_checked(GString *out, const struct cob_engine_answer *answer)
{
    if (answer->n_warnings == 1)
        g_string_append(out, "Check complete, 1 warning has been found!\n");
    else if (answer->n_warnings > 1)
        g_string_append_printf(
            out, "Check complete, %u warnings have been found!\n", answer->n_warnings);
    g_string_append(out, answer->text);
    if (answer->error && answer->n_warnings > 0)
        g_string_append_c(out, '\n');
    else if (!answer->error && answer->n_warnings == 0)
        g_string_append(out, "Check complete, no warnings found.\n");
    if (answer->suggestions)
        g_string_append(out, answer->suggestions);
}

void cli_build_call_append(
    GString *out, const struct cli_build_call *asked, const struct cob_engine_answer *answer)
{
    if (asked->is_json || !answer->text)
        g_string_append_printf(out, "%s\n", answer->json);
    else if (asked->method == COB_ENGINE_LINT)
        append_checked(out, answer);
    else
        g_string_append(out, answer->text);
}

static bool is_clean(const struct cob_engine_answer *answer)
{
    return answer->n_warnings == 0 && !answer->error;
}

/* What buildx writes there for an answer: result.json as it is, the others as texts. */
static struct cob_error *write_metadata(const struct cli_call *call,
    const struct cli_build_call *asked, const struct cob_engine_answer *answer)
{
    g_autofree char *text = NULL;

    if (!cli_call_text(call, "metadata-file"))
        return NULL;
    json_auto_t *object = json_object();
    json_object_set_new(object, "result.json", json_loads(answer->json, 0, NULL));
    if (answer->text)
        json_object_set_new(object, "result.txt", json_string(answer->text));
    if (asked->method == COB_ENGINE_LINT)
        json_object_set_new(object, "result.statuscode", json_string(is_clean(answer) ? "0" : "1"));
    json_object_set_new(object, "version", json_string(answer->version));
    text = json_dumps(object, JSON_INDENT(2));
    return cli_build_write_file(call, "metadata-file", text, strlen(text));
}

static struct cob_error *print_answer(
    struct cli_call *call, const struct cli_build_call *asked, struct cob_engine_answer *answer)
{
    g_autoptr(GString) out = g_string_new(NULL);

    COB_TRY(write_metadata(call, asked, answer));
    cli_build_call_append(out, asked, answer);
    COB_TRY(cli_print(out));
    if (answer->n_warnings > 0 && !asked->ignores_status)
        call->exit_code = 1;
    return g_steal_pointer(&answer->error);
}

/* A question on its way. */
struct question {
    const struct cob_engine_request *request;
    enum cob_engine_method method;
    struct cob_engine_answer answer;
};

static struct cob_error *ask(const struct cli_work *work)
{
    struct question *question = work->arg;

    return cob_engine_ask(work->engine, question->request, question->method, work->observer,
        work->call->cancel, &question->answer);
}

struct cob_error *cli_build_call_run(struct cli_call *call,
    const struct cob_engine_request *request, const struct cli_build_call *asked)
{
    struct question question = {.request = request, .method = asked->method};
    struct cob_error *err = cli_engine_work(call, ask, &question);

    if (!err)
        err = print_answer(call, asked, &question.answer);
    cob_engine_answer_done(&question.answer);
    return err;
}
