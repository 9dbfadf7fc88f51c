/* SPDX-License-Identifier: Apache-2.0 */
/* LLB as text: one line a field, by the descriptors that protobuf-c makes, so that no field can be
 * forgotten here. A field that has its default value is left out, but for indexes of inputs and
 * outputs, where 0 says something. */
#include <inttypes.h>
#include <string.h>

#include "lang/llb/llb_private.h"
#include "util/text.h"

struct dump {
    GString *out;
    GHashTable *numbers; /* digest, borrowed -> number of the op, from 1 */
};

static void print_message(struct dump *dump, const ProtobufCMessage *message, int indent);

static void print_quoted(GString *out, const char *text, size_t len)
{
    g_string_append_c(out, '"');
    for (size_t i = 0; i < len;) {
        size_t run = 0;

        while (
            i + run < len && text[i + run] != '"' && text[i + run] != '\\' && text[i + run] != '\n')
            run++;
        cob_text_append_visible(out, text + i, run);
        i += run;
        if (i == len)
            break;
        g_string_append_c(out, '\\');
        g_string_append_c(out, text[i] == '\n' ? 'n' : text[i]);
        i++;
    }
    g_string_append_c(out, '"');
}

static void print_indent(struct dump *dump, int indent)
{
    g_string_append_printf(dump->out, "%*s", 2 * indent, "");
}

/* The message of an input, as "#3", and ".1" for another output than the first. */
static void print_ref(struct dump *dump, const Pb__Input *input)
{
    int number = GPOINTER_TO_INT(g_hash_table_lookup(dump->numbers, input->digest));

    if (number > 0)
        g_string_append_printf(dump->out, "#%d", number);
    else
        cob_text_append_visible(dump->out, input->digest, strlen(input->digest));
    if (input->index != 0)
        g_string_append_printf(dump->out, ".%" PRId64, input->index);
}

static void print_nested(struct dump *dump, const ProtobufCMessage *message, int indent)
{
    if (!message) {
        g_string_append(dump->out, " none\n");
    } else if (message->descriptor == &pb__text_entry__descriptor) {
        const Pb__TextEntry *entry = (const void *)message;

        g_string_append(dump->out, " ");
        cob_text_append_visible(
            dump->out, entry->key ? entry->key : "", entry->key ? strlen(entry->key) : 0);
        g_string_append(dump->out, " = ");
        print_quoted(
            dump->out, entry->value ? entry->value : "", entry->value ? strlen(entry->value) : 0);
        g_string_append(dump->out, "\n");
    } else if (message->descriptor == &pb__input__descriptor) {
        g_string_append(dump->out, " ");
        print_ref(dump, (const void *)message);
        g_string_append(dump->out, "\n");
    } else {
        g_string_append(dump->out, "\n");
        print_message(dump, message, indent + 1);
    }
}

static void print_enum(GString *out, const ProtobufCEnumDescriptor *descriptor, int value)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(descriptor, value);

    if (known)
        g_string_append(out, known->name);
    else
        g_string_append_printf(out, "%d", value);
}

static void print_scalar(
    struct dump *dump, const ProtobufCFieldDescriptor *field, const void *value)
{
    GString *out = dump->out;

    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)value;

        print_quoted(out, text ? text : "", text ? strlen(text) : 0);
        break;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *data = value;

        print_quoted(out, (const char *)data->data, data->len);
        break;
    }
    case PROTOBUF_C_TYPE_ENUM:
        print_enum(out, field->descriptor, *(const int *)value);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        g_string_append(out, *(const protobuf_c_boolean *)value ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_UINT32:
        if (strcmp(field->name, "mode") == 0)
            g_string_append_printf(out, "0%" PRIo32, *(const uint32_t *)value);
        else
            g_string_append_printf(out, "%" PRIu32, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_INT32:
        if (strcmp(field->name, "mode") == 0 && *(const int32_t *)value > 0)
            g_string_append_printf(out, "0%" PRIo32, *(const uint32_t *)value);
        else
            g_string_append_printf(out, "%" PRId32, *(const int32_t *)value);
        break;
    case PROTOBUF_C_TYPE_INT64:
        g_string_append_printf(out, "%" PRId64, *(const int64_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        g_string_append_printf(out, "%" PRIu64, *(const uint64_t *)value);
        break;
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        g_string_append_printf(out, "%" PRIu32, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
}

/* Does the field say something? An index does, whatever it is. */
static bool is_shown(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    static const char *const always[] = {
        "input", "secondaryInput", "output", "index", "sourceIndex", NULL};

    return llb_field_is_set(message, field) ||
           (field->type == PROTOBUF_C_TYPE_INT64 && g_strv_contains(always, field->name));
}

static void print_one(
    struct dump *dump, const ProtobufCFieldDescriptor *field, const void *value, int indent)
{
    print_indent(dump, indent);
    g_string_append_printf(dump->out, "%s:", field->name);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        print_nested(dump, *(ProtobufCMessage *const *)value, indent);
        return;
    }
    g_string_append(dump->out, " ");
    print_scalar(dump, field, value);
    g_string_append(dump->out, "\n");
}

/* Fields are in the order of their numbers. The messages nest a few levels deep, by their nature:
 * those that could hold themselves are bytes here. */
static void print_message(struct dump *dump, const ProtobufCMessage *message, int indent)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const void *value = llb_field_at(message, field->offset);

        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            if (is_shown(message, field))
                print_one(dump, field, value, indent);
            continue;
        }
        size_t n = *(const size_t *)llb_field_at(message, field->quantifier_offset);
        const char *items = *(char *const *)value;

        for (size_t k = 0; k < n; k++)
            print_one(dump, field, items + k * llb_field_size(field->type), indent);
    }
}

static void print_about(
    struct dump *dump, const struct cob_llb_definition *definition, const struct cob_llb_op *op)
{
    GString *out = dump->out;

    if (op->name) {
        g_string_append(out, "  name: ");
        print_quoted(out, op->name, strlen(op->name));
        g_string_append(out, "\n");
    }
    if (op->is_ignoring_cache)
        g_string_append(out, "  ignore_cache: true\n");
    if (op->group_id) {
        g_string_append(out, "  progress_group: ");
        print_quoted(
            out, op->group_name ? op->group_name : "", op->group_name ? strlen(op->group_name) : 0);
        g_string_append(out, op->is_weak_group ? " weak\n" : "\n");
    }
    for (unsigned i = 0; i < op->places->len; i++) {
        const struct cob_llb_place *place = &g_array_index(op->places, struct cob_llb_place, i);
        const struct cob_srcfile *file = g_ptr_array_index(definition->files, place->file);

        g_string_append(out, "  lines: ");
        cob_text_append_visible(out, file->name, strlen(file->name));
        g_string_append_printf(
            out, ":%d-%d\n", (int)place->range.first_line, (int)place->range.last_line);
    }
}

struct cob_error *cob_llb_dump(const struct cob_llb_definition *definition, char **ret_text)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GHashTable) numbers = g_hash_table_new(g_str_hash, g_str_equal);
    struct dump dump = {.out = out, .numbers = numbers};

    for (unsigned i = 0; i < definition->ops->len; i++) {
        const struct cob_llb_op *op = g_ptr_array_index(definition->ops, i);
        bool is_last = i + 1 == definition->ops->len;
        Pb__Op *message = NULL;

        COB_TRY(cob_wrap(llb_op_decode(op->bytes, &message), "LLB op %u", i));
        if (is_last)
            g_string_append(out, "result\n");
        else
            g_string_append_printf(out, "#%u\n", i + 1);
        print_about(&dump, definition, op);
        print_message(&dump, &message->base, 1);
        g_string_append(out, is_last ? "" : "\n");
        pb__op__free_unpacked(message, NULL);
        g_hash_table_insert(numbers, op->digest, GINT_TO_POINTER(i + 1));
    }
    if (definition->ops->len == 0)
        g_string_append(out, "result\n  scratch\n");
    *ret_text = g_string_free(g_steal_pointer(&out), false);
    return NULL;
}
