/* SPDX-License-Identifier: Apache-2.0 */
#include "lang/toml/toml.h"

#include <inttypes.h>
#include <string.h>

#include "lang/toml/toml_parts.h"
#include "util/limits.h"

#define BARE_KEY G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_-"

/* --- values --- */

void cob_toml_free(struct cob_toml_value *value)
{
    if (!value)
        return;
    g_free(value->text);
    g_clear_pointer(&value->items, g_ptr_array_unref);
    g_clear_pointer(&value->members, g_hash_table_unref);
    g_clear_pointer(&value->keys, g_ptr_array_unref);
    g_free(value);
}

static void free_value(void *value)
{
    cob_toml_free(value);
}

static struct cob_toml_value *new_table(int32_t line, enum cob_toml_origin origin)
{
    struct cob_toml_value *table = g_new(struct cob_toml_value, 1);

    *table = (struct cob_toml_value){.type = COB_TOML_TABLE,
        .line = line,
        .origin = origin,
        .keys = g_ptr_array_new_with_free_func(g_free),
        .members = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_value)};
    return table;
}

static struct cob_toml_value *new_array(int32_t line, enum cob_toml_origin origin)
{
    struct cob_toml_value *array = g_new(struct cob_toml_value, 1);

    *array = (struct cob_toml_value){.type = COB_TOML_ARRAY,
        .line = line,
        .origin = origin,
        .items = g_ptr_array_new_with_free_func(free_value)};
    return array;
}

/* value: taken. */
static void add_member(struct cob_toml_value *table, const char *key, struct cob_toml_value *value)
{
    char *own = g_strdup(key);

    g_ptr_array_add(table->keys, own);
    g_hash_table_insert(table->members, own, value);
}

const struct cob_toml_value *cob_toml_get(const struct cob_toml_value *table, const char *key)
{
    return g_hash_table_lookup(table->members, key);
}

const char *cob_toml_type_text(enum cob_toml_type type)
{
    switch (type) {
    case COB_TOML_TEXT:
        return "a string";
    case COB_TOML_INT:
        return "an integer";
    case COB_TOML_FLOAT:
        return "a float";
    case COB_TOML_BOOL:
        return "a boolean";
    case COB_TOML_ARRAY:
        return "an array";
    case COB_TOML_TABLE:
        return "a table";
    }
    g_assert_not_reached();
}

/* --- reading --- */

struct cob_error *toml_fail_at(struct toml_reader *reader, struct cob_error *err)
{
    return cob_error_at(err, reader->file, (struct cob_range){reader->line, reader->line});
}

char toml_peek(const struct toml_reader *reader)
{
    return reader->at < reader->end ? *reader->at : '\0';
}

bool toml_sees(const struct toml_reader *reader, const char *text)
{
    const size_t len = strlen(text);

    return (size_t)(reader->end - reader->at) >= len && memcmp(reader->at, text, len) == 0;
}

static void skip_blanks(struct toml_reader *reader)
{
    while (toml_peek(reader) == ' ' || toml_peek(reader) == '\t')
        reader->at++;
}

/* A comment, if there is one, up to the line's end. */
static struct cob_error *skip_comment(struct toml_reader *reader)
{
    if (toml_peek(reader) != '#')
        return NULL;
    while (reader->at < reader->end && !toml_sees(reader, "\n") && !toml_sees(reader, "\r\n")) {
        const unsigned char c = (unsigned char)*reader->at++;

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return toml_fail(reader, "a control character in a comment");
    }
    return NULL;
}

/* ret: false: there is none here. */
static bool take_newline(struct toml_reader *reader)
{
    if (!toml_sees(reader, "\n") && !toml_sees(reader, "\r\n"))
        return false;
    reader->at += *reader->at == '\r' ? 2 : 1;
    reader->line++;
    return true;
}

/* Blanks, comments and line ends. */
static struct cob_error *skip_space(struct toml_reader *reader)
{
    do {
        skip_blanks(reader);
        COB_TRY(skip_comment(reader));
    } while (take_newline(reader));
    return NULL;
}

/* What a statement must be followed by. */
static struct cob_error *end_line(struct toml_reader *reader)
{
    skip_blanks(reader);
    COB_TRY(skip_comment(reader));
    if (reader->at < reader->end && !take_newline(reader))
        return toml_fail(reader, "\"%.1s\" after the end of a value or a header", reader->at);
    return NULL;
}

static struct cob_error *read_simple_key(struct toml_reader *reader, char **ret_key)
{
    size_t len = 0;

    if (toml_peek(reader) == '"' || toml_peek(reader) == '\'')
        return toml_read_text(reader, /* is_key= */ true, ret_key);
    while (reader->at + len < reader->end && strchr(BARE_KEY, reader->at[len]))
        len++;
    if (len == 0)
        return toml_fail(reader, "a key is missing");
    *ret_key = g_strndup(reader->at, len);
    reader->at += len;
    return NULL;
}

/* "a.b.c".  keys: char *, owned. */
static struct cob_error *read_key(struct toml_reader *reader, GPtrArray *keys)
{
    for (;;) {
        char *key = NULL;

        skip_blanks(reader);
        COB_TRY(read_simple_key(reader, &key));
        g_ptr_array_add(keys, key);
        if (keys->len > COB_LIMIT_TOML_DEPTH)
            return toml_fail(reader, "a key of more than %d parts", COB_LIMIT_TOML_DEPTH);
        skip_blanks(reader);
        if (toml_peek(reader) != '.')
            return NULL;
        reader->at++;
    }
}

static struct cob_error *read_value(struct toml_reader *reader, struct cob_toml_value **ret_value);

/* The bracket comes next. */
static struct cob_error *read_array(struct toml_reader *reader, struct cob_toml_value *array)
{
    reader->at++;
    COB_TRY(skip_space(reader));
    while (toml_peek(reader) != ']') {
        struct cob_toml_value *item = NULL;

        COB_TRY(read_value(reader, &item));
        g_ptr_array_add(array->items, item);
        COB_TRY(skip_space(reader));
        if (toml_peek(reader) == ',')
            reader->at++;
        else if (toml_peek(reader) != ']')
            return toml_fail(reader, "an array without , or ] after an item");
        COB_TRY(skip_space(reader));
    }
    reader->at++;
    return NULL;
}

static struct cob_error *read_pair(struct toml_reader *reader, struct cob_toml_value *table);

/* Nobody may add to what was written in braces, or to what stands in there. */
static void close_tables(struct cob_toml_value *table)
{
    GHashTableIter iter;
    void *member;

    table->origin = COB_TOML_CLOSED;
    g_hash_table_iter_init(&iter, table->members);
    while (g_hash_table_iter_next(&iter, NULL, &member)) {
        if (((struct cob_toml_value *)member)->type == COB_TOML_TABLE)
            close_tables(member);
    }
}

/* The brace comes next; all of it is on one line. */
static struct cob_error *read_inline_table(struct toml_reader *reader, struct cob_toml_value *table)
{
    reader->at++;
    skip_blanks(reader);
    while (toml_peek(reader) != '}') {
        COB_TRY(read_pair(reader, table));
        skip_blanks(reader);
        if (toml_peek(reader) == '}')
            break;
        if (toml_peek(reader) != ',')
            return toml_fail(reader, "a table in braces without , or } after a value");
        reader->at++;
        skip_blanks(reader);
        if (toml_peek(reader) == '}')
            return toml_fail(reader, "a table in braces ends with a comma");
    }
    reader->at++;
    close_tables(table);
    return NULL;
}

static struct cob_error *fill_value(struct toml_reader *reader, struct cob_toml_value **value)
{
    const char next = toml_peek(reader);

    if (next == '[') {
        *value = new_array(reader->line, COB_TOML_CLOSED);
        return read_array(reader, *value);
    }
    if (next == '{') {
        *value = new_table(reader->line, COB_TOML_DOTTED);
        return read_inline_table(reader, *value);
    }
    *value = g_new0(struct cob_toml_value, 1);
    (*value)->line = reader->line;
    if (next == '"' || next == '\'')
        return toml_read_text(reader, /* is_key= */ false, &(*value)->text);
    return toml_read_scalar(reader, *value);
}

static struct cob_error *read_value(struct toml_reader *reader, struct cob_toml_value **ret_value)
{
    g_autoptr(cob_toml_value) value = NULL;

    if (++reader->depth > COB_LIMIT_TOML_DEPTH)
        return toml_fail(reader, "values stand more than %d deep", COB_LIMIT_TOML_DEPTH);
    if (++reader->n_values > COB_LIMIT_TOML_VALUES)
        return toml_fail(reader, "more than %d values", COB_LIMIT_TOML_VALUES);
    COB_TRY(fill_value(reader, &value));
    reader->depth--;
    *ret_value = g_steal_pointer(&value);
    return NULL;
}

/* --- tables --- */

/* The table below `table` that a dotted key goes through. */
static struct cob_error *step_dotted(
    struct toml_reader *reader, struct cob_toml_value **table, const char *key)
{
    struct cob_toml_value *next = g_hash_table_lookup((*table)->members, key);

    if (!next) {
        next = new_table(reader->line, COB_TOML_DOTTED);
        add_member(*table, key, next);
    }
    if (next->type != COB_TOML_TABLE || next->origin != COB_TOML_DOTTED)
        return toml_fail(reader, "the key \"%s\" was defined before, at line %d", key, next->line);
    *table = next;
    return NULL;
}

/* "a.b = value" */
static struct cob_error *read_pair(struct toml_reader *reader, struct cob_toml_value *table)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
    struct cob_toml_value *value = NULL;

    COB_TRY(read_key(reader, keys));
    if (toml_peek(reader) != '=')
        return toml_fail(reader, "no = after the key \"%s\"", (char *)keys->pdata[keys->len - 1]);
    reader->at++;
    for (guint i = 0; i + 1 < keys->len; i++)
        COB_TRY(step_dotted(reader, &table, keys->pdata[i]));
    const char *key = keys->pdata[keys->len - 1];
    const struct cob_toml_value *old = cob_toml_get(table, key);
    if (old)
        return toml_fail(reader, "the key \"%s\" was defined before, at line %d", key, old->line);
    skip_blanks(reader);
    COB_TRY(read_value(reader, &value));
    add_member(table, key, value);
    return NULL;
}

/* The table below `table` that a header goes through: of an array of tables, the last one. */
static struct cob_error *step_header(
    struct toml_reader *reader, struct cob_toml_value **table, const char *key)
{
    struct cob_toml_value *next = g_hash_table_lookup((*table)->members, key);

    if (!next) {
        next = new_table(reader->line, COB_TOML_IMPLIED);
        add_member(*table, key, next);
    }
    if (next->type == COB_TOML_ARRAY && next->origin == COB_TOML_DEFINED)
        next = g_ptr_array_index(next->items, next->items->len - 1);
    if (next->type != COB_TOML_TABLE || next->origin == COB_TOML_CLOSED)
        return toml_fail(reader,
            "\"%s\" was defined before, at line %d, and not as a table that can be added to", key,
            next->line);
    *table = next;
    return NULL;
}

/* [a.b] */
static struct cob_error *open_table(
    struct toml_reader *reader, const char *key, struct cob_toml_value **table)
{
    struct cob_toml_value *next = g_hash_table_lookup((*table)->members, key);

    if (!next) {
        next = new_table(reader->line, COB_TOML_DEFINED);
        add_member(*table, key, next);
    } else if (next->type != COB_TOML_TABLE || next->origin != COB_TOML_IMPLIED) {
        return toml_fail(
            reader, "the table \"%s\" was defined before, at line %d", key, next->line);
    }
    next->origin = COB_TOML_DEFINED;
    *table = next;
    return NULL;
}

/* [[a.b]] */
static struct cob_error *open_item(
    struct toml_reader *reader, const char *key, struct cob_toml_value **table)
{
    struct cob_toml_value *array = g_hash_table_lookup((*table)->members, key);

    if (!array) {
        array = new_array(reader->line, COB_TOML_DEFINED);
        add_member(*table, key, array);
    } else if (array->type != COB_TOML_ARRAY || array->origin != COB_TOML_DEFINED) {
        return toml_fail(reader, "\"%s\" was defined before, at line %d, and not by [[%s]]", key,
            array->line, key);
    }
    *table = new_table(reader->line, COB_TOML_DEFINED);
    g_ptr_array_add(array->items, *table);
    return NULL;
}

/* A header, which comes next.  ret_table: where the pairs behind it go; borrowed. */
static struct cob_error *read_header(
    struct toml_reader *reader, struct cob_toml_value *root, struct cob_toml_value **ret_table)
{
    const bool is_item = toml_sees(reader, "[[");
    const char *closing = is_item ? "]]" : "]";
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);

    if (++reader->n_values > COB_LIMIT_TOML_VALUES)
        return toml_fail(reader, "more than %d values", COB_LIMIT_TOML_VALUES);
    reader->at += is_item ? 2 : 1;
    COB_TRY(read_key(reader, keys));
    if (!toml_sees(reader, closing))
        return toml_fail(reader, "a header without its %s", closing);
    reader->at += strlen(closing);
    for (guint i = 0; i + 1 < keys->len; i++)
        COB_TRY(step_header(reader, &root, keys->pdata[i]));
    const char *key = keys->pdata[keys->len - 1];
    COB_TRY(is_item ? open_item(reader, key, &root) : open_table(reader, key, &root));
    *ret_table = root;
    return NULL;
}

static struct cob_error *read_document(struct toml_reader *reader, struct cob_toml_value *root)
{
    struct cob_toml_value *table = root;

    for (;;) {
        COB_TRY(skip_space(reader));
        if (reader->at >= reader->end)
            return NULL;
        if (*reader->at == '[')
            COB_TRY(read_header(reader, root, &table));
        else
            COB_TRY(read_pair(reader, table));
        COB_TRY(end_line(reader));
    }
}

/* The first byte that is not UTF-8, or NUL, decides the line. */
static struct cob_error *check_bytes(struct toml_reader *reader)
{
    const size_t len = (size_t)(reader->end - reader->at);
    const char *bad = NULL;

    if (len > COB_LIMIT_TOML_BYTES)
        return toml_fail(reader, "more than %" PRIu64 " bytes", COB_LIMIT_TOML_BYTES);
    if (g_utf8_validate_len(reader->at, len, &bad))
        return NULL;
    for (const char *at = reader->at; at < bad; at++)
        reader->line += *at == '\n';
    return toml_fail(reader, "a byte that is not UTF-8, or NUL");
}

struct cob_error *cob_toml_parse(struct cob_srcfile *file, struct cob_toml_value **ret_table)
{
    gsize len = 0;
    const char *data = g_bytes_get_data(file->data, &len);
    struct toml_reader reader = {.file = file, .at = data ? data : "", .line = 1};
    g_autoptr(cob_toml_value) root = new_table(1, COB_TOML_DEFINED);

    reader.end = reader.at + len;
    COB_TRY(check_bytes(&reader));
    if (toml_sees(&reader, "\xEF\xBB\xBF"))
        reader.at += 3;
    COB_TRY(read_document(&reader, root));
    *ret_table = g_steal_pointer(&root);
    return NULL;
}
