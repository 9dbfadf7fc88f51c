/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/why/why_parts.h"
#include "lang/dockerfile/dockerfile.h"
#include "util/digest.h"
#include "util/limits.h"

#define SECRET_DIGITS 8 /* enough to see a change, too few to find a value by trying */

/* --- a step's name and text --- */

unsigned cob_why_place(const char *name, char **ret_stage)
{
    const char *end = *name == '[' ? strchr(name, ']') : NULL;
    const char *slash = end ? g_strrstr_len(name, end - name, "/") : NULL;
    const char *from = slash;

    *ret_stage = g_strdup("");
    while (from && from > name + 1 && g_ascii_isdigit(from[-1]))
        from--;
    if (!from || from == slash || !g_ascii_isdigit(slash[1]))
        return 0;
    const char *stage_end = from;
    while (stage_end > name + 1 && stage_end[-1] == ' ')
        stage_end--;
    g_free(*ret_stage);
    *ret_stage = g_strndup(name + 1, (gsize)(stage_end - name - 1));
    return (unsigned)g_ascii_strtoull(from, NULL, 10);
}

/* Blanks and line ends as one blank each, and no backslash where a line goes on. */
static char *squeeze(const char *text, size_t len)
{
    GString *out = g_string_new(NULL);
    bool is_pending = false;

    for (size_t i = 0; i < len && out->len < COB_LIMIT_WHY_TEXT_BYTES; i++) {
        const bool goes_on = text[i] == '\\' && i + 1 < len && text[i + 1] == '\n';

        if (g_ascii_isspace(text[i]) || text[i] == '\0' || goes_on) {
            is_pending = out->len > 0;
            continue;
        }
        if (is_pending)
            g_string_append_c(out, ' ');
        is_pending = false;
        g_string_append_c(out, text[i]);
    }
    return g_string_free(out, FALSE);
}

/* Behind "[builder 2/6] ". */
static const char *behind_place(const char *name)
{
    const char *end = *name == '[' ? strstr(name, "] ") : NULL;

    return end ? end + strlen("] ") : name;
}

char *cob_why_text(const struct cob_llb_vertex *vertex)
{
    const GArray *starts = vertex->file ? vertex->file->starts : NULL;
    const struct cob_range range = vertex->range;
    gsize len;

    if (!starts || range.first_line < 1 || (guint)range.last_line > starts->len ||
        range.last_line < range.first_line)
        return g_utf8_make_valid(behind_place(vertex->name), -1);
    const char *data = g_bytes_get_data(vertex->file->data, &len);
    const size_t from = g_array_index(starts, size_t, range.first_line - 1);
    const size_t end =
        (guint)range.last_line < starts->len ? g_array_index(starts, size_t, range.last_line) : len;
    g_autofree char *text = squeeze(data + from, end - from);
    return g_utf8_make_valid(text, -1);
}

/* --- arguments --- */

/* "NAME=value", or "NAME". */
static void add_arg(GHashTable *args, const char *word)
{
    const char *equals = strchr(word, '=');
    const size_t len = equals ? (size_t)(equals - word) : strlen(word);

    if (len > 0 && (equals || !g_hash_table_contains(args, word)))
        g_hash_table_replace(args, g_strndup(word, len), equals ? g_strdup(equals + 1) : NULL);
}

/* Take the next word of a line, its quotes left out.  Returns what follows. */
static const char *take_word(const char *at, GString *word)
{
    char quote = '\0';

    g_string_truncate(word, 0);
    while (*at == ' ' || *at == '\t' || *at == '\r')
        at++;
    for (; *at && (quote || !g_ascii_isspace(*at)); at++) {
        if (*at == quote)
            quote = '\0';
        else if (!quote && (*at == '"' || *at == '\''))
            quote = *at;
        else
            g_string_append_c(word, *at);
    }
    return at;
}

static void add_line(GHashTable *args, const char *line)
{
    g_autoptr(GString) word = g_string_new(NULL);
    const char *at = take_word(line, word);

    if (g_ascii_strcasecmp(word->str, "ARG") != 0)
        return;
    for (at = take_word(at, word); word->len > 0 && word->str[0] != '#'; at = take_word(at, word)) {
        if (strcmp(word->str, "\\") != 0)
            add_arg(args, word->str);
    }
}

GHashTable *cob_why_args(GBytes *dockerfile)
{
    GHashTable *args = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    gsize len;
    const char *data = g_bytes_get_data(dockerfile, &len);

    for (const char *at = data; at && at < data + len;) {
        const char *end = memchr(at, '\n', len - (size_t)(at - data));
        g_autofree char *line = g_strndup(at, (gsize)((end ? end : data + len) - at));

        add_line(args, line);
        at = end ? end + 1 : NULL;
    }
    return args;
}

/* --- facts --- */

void why_set(json_t *object, const char *key, const char *text)
{
    g_autofree char *valid = text && *text ? g_utf8_make_valid(text, -1) : NULL;

    if (!valid)
        return;
    if (strlen(valid) > COB_LIMIT_WHY_TEXT_BYTES) {
        g_autofree char *digest = cob_digest_of(text, strlen(text));
        g_autofree char *beginning = g_utf8_substring(valid, 0, COB_LIMIT_WHY_TEXT_BYTES / 4);

        json_object_set_new(object, key, json_sprintf("%s… (%s)", beginning, digest));
    } else {
        json_object_set_new(object, key, json_string(valid));
    }
}

void why_set_variable(json_t *facts, const char *name, const char *value, GHashTable *args)
{
    const bool is_arg = g_hash_table_contains(args, name);
    g_autofree char *key = g_strconcat(is_arg ? "ARG " : "ENV ", name, NULL);
    g_autofree char *valid_key = g_utf8_make_valid(key, -1);
    json_t *env = json_object_get(facts, "env");

    if (cob_dockerfile_is_secret_name(name)) {
        g_autofree char *digest = cob_digest_of(value, strlen(value));

        json_object_set_new(env, valid_key,
            json_sprintf(
                "%s%.*s", WHY_SECRET_PREFIX, SECRET_DIGITS, digest + strlen(COB_DIGEST_PREFIX)));
    } else {
        json_object_set_new(env, valid_key, json_string(""));
        why_set(env, valid_key, value);
    }
}

static const char *kind_of(const Pb__Op *op)
{
    static const char *const words[] = {[PB__OP__OP_EXEC] = "exec",
        [PB__OP__OP_SOURCE] = "source",
        [PB__OP__OP_FILE] = "file",
        [PB__OP__OP_MERGE] = "merge"};
    const unsigned number = op->op_case;

    return number < G_N_ELEMENTS(words) && words[number] ? words[number] : "other";
}

static json_t *input_facts(const struct cob_solver_ingredient *input)
{
    const struct cob_llb_vertex *vertex = input->vertex;
    const bool is_source = vertex && vertex->op->op_case == PB__OP__OP_SOURCE;
    g_autofree char *name =
        vertex ? cob_why_text(vertex) : NULL; /* arguments have no values here */
    json_t *facts = json_object();

    why_set(facts, "name", name);
    why_set(facts, "definition", input->definition);
    why_set(facts, "content", input->content);
    why_set(facts, "result", input->result ? input->result->id : NULL);
    why_set(facts, "source", is_source ? vertex->op->source->identifier : NULL);
    return facts;
}

json_t *cob_why_facts(const struct cob_solver_miss *miss, GHashTable *args)
{
    g_autofree char *text = cob_why_text(miss->vertex);
    json_t *inputs = json_array();
    json_t *facts =
        json_pack("{s:s, s:s, s:s, s:{}, s:{}, s:[], s:o}", "kind", kind_of(miss->vertex->op),
            "text", text, "op", miss->op, "values", "env", "mounts", "inputs", inputs);

    for (size_t i = 0; i < miss->n_inputs; i++)
        json_array_append_new(inputs, input_facts(&miss->inputs[i]));
    why_add_values(facts, miss->vertex, args);
    return facts;
}
