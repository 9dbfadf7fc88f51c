/* SPDX-License-Identifier: Apache-2.0 */
/* LLB as JSON, by the rules that protobuf has for it: names in camel case, 64-bit numbers as texts,
 * bytes as base64, enums by name, fields with their default value left out. Maps, repeated entries
 * in ops.proto, are objects again. */
#include <inttypes.h>
#include <string.h>

#include "lang/llb/llb_private.h"

static json_t *message_json(const ProtobufCMessage *message);

/* Text that is not UTF-8 cannot stand in JSON: what is wrong in it is replaced. */
static json_t *text_json(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);

    return json_string(valid);
}

static json_t *bytes_json(const ProtobufCBinaryData *data)
{
    g_autofree char *text = g_base64_encode(data->data, data->len);

    return json_string(text);
}

static json_t *enum_json(const ProtobufCEnumDescriptor *descriptor, int value)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(descriptor, value);

    return known ? json_string(known->name) : json_integer(value);
}

/* The kinds of numbers that ops.proto has, and those of the same size. */
static json_t *number_json(ProtobufCType type, const void *value)
{
    g_autofree char *text = NULL;

    if (type == PROTOBUF_C_TYPE_UINT32)
        return json_integer(*(const uint32_t *)value);
    if (llb_field_size(type) == sizeof(int32_t))
        return json_integer(*(const int32_t *)value);
    if (type == PROTOBUF_C_TYPE_UINT64)
        text = g_strdup_printf("%" PRIu64, *(const uint64_t *)value);
    else
        text = g_strdup_printf("%" PRId64, *(const int64_t *)value);
    return json_string(text);
}

static json_t *value_json(const ProtobufCFieldDescriptor *field, const void *value)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return message_json(*(ProtobufCMessage *const *)value);
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return text_json(*(char *const *)value);
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return bytes_json(value);
    if (field->type == PROTOBUF_C_TYPE_ENUM)
        return enum_json(field->descriptor, *(const int *)value);
    if (field->type == PROTOBUF_C_TYPE_BOOL)
        return json_boolean(*(const protobuf_c_boolean *)value);
    return number_json(field->type, value);
}

/* "proxy_env" is "proxyEnv". */
static char *name_of(const ProtobufCFieldDescriptor *field)
{
    GString *name = g_string_new(NULL);

    for (const char *at = field->name; *at; at++) {
        if (*at == '_' && at[1])
            g_string_append_c(name, g_ascii_toupper(*++at));
        else
            g_string_append_c(name, *at);
    }
    return g_string_free(name, FALSE);
}

static bool is_map(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *message = field->descriptor;

    return field->type == PROTOBUF_C_TYPE_MESSAGE && g_str_has_suffix(message->name, "Entry");
}

/* One entry of a map, which has a key and a value, in this order. */
static void put_entry(json_t *object, const ProtobufCMessage *entry)
{
    const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
    const char *key = *(char *const *)llb_field_at(entry, fields[0].offset);
    g_autofree char *valid = g_utf8_make_valid(key ? key : "", -1);

    json_object_set_new(
        object, valid, value_json(&fields[1], llb_field_at(entry, fields[1].offset)));
}

/* A list, or the object that a map is. */
static json_t *repeated_json(const ProtobufCFieldDescriptor *field, const char *items, size_t n)
{
    const bool is_object = is_map(field);
    json_t *json = is_object ? json_object() : json_array();

    for (size_t i = 0; i < n; i++) {
        const void *item = items + i * llb_field_size(field->type);

        if (is_object)
            put_entry(json, *(ProtobufCMessage *const *)item);
        else
            json_array_append_new(json, value_json(field, item));
    }
    return json;
}

/* Messages nest a few levels deep, by their nature: see llb_dump.c. */
static json_t *message_json(const ProtobufCMessage *message)
{
    json_t *json = json_object();

    for (unsigned i = 0; message && i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const void *value = llb_field_at(message, field->offset);
        const bool is_list = field->label == PROTOBUF_C_LABEL_REPEATED;
        size_t n = is_list ? *(const size_t *)llb_field_at(message, field->quantifier_offset)
                           : llb_field_is_set(message, field);
        g_autofree char *name = n > 0 ? name_of(field) : NULL;

        if (is_list && n > 0)
            json_object_set_new(json, name, repeated_json(field, *(char *const *)value, n));
        else if (n > 0)
            json_object_set_new(json, name, value_json(field, value));
    }
    return json;
}

/* What stands beside an op has the names of BuildKit's own struct. */
static json_t *metadata_json(const struct cob_llb_op *op)
{
    json_t *json = json_object();

    if (op->is_ignoring_cache)
        json_object_set_new(json, "ignore_cache", json_true());
    if (op->name)
        json_object_set_new(
            json, "description", json_pack("{so}", "llb.customname", text_json(op->name)));
    if (op->group_id) {
        json_t *group = json_pack("{so}", "id", text_json(op->group_id));

        if (op->group_name && *op->group_name)
            json_object_set_new(group, "name", text_json(op->group_name));
        if (op->is_weak_group)
            json_object_set_new(group, "weak", json_true());
        json_object_set_new(json, "progress_group", group);
    }
    return json;
}

static int by_digest(const void *a, const void *b)
{
    const struct cob_llb_op *const *one = a, *const *other = b;

    return strcmp((*one)->digest, (*other)->digest);
}

static struct cob_error *put_ops(
    const struct cob_llb_definition *definition, json_t *ops, json_t *metadata)
{
    g_autoptr(GPtrArray) sorted = g_ptr_array_copy(definition->ops, NULL, NULL);

    g_ptr_array_set_free_func(sorted, NULL);
    g_ptr_array_sort(sorted, by_digest);
    for (unsigned i = 0; i < sorted->len; i++) {
        const struct cob_llb_op *op = g_ptr_array_index(sorted, i);
        Pb__Op *message = NULL;

        COB_TRY(cob_wrap(llb_op_decode(op->bytes, &message), "LLB op %s", op->digest));
        json_object_set_new(ops, op->digest, message_json(&message->base));
        json_object_set_new(metadata, op->digest, metadata_json(op));
        pb__op__free_unpacked(message, NULL);
    }
    return NULL;
}

/* The lines, as they are on the wire. */
static json_t *source_json(const struct cob_llb_definition *definition)
{
    g_autoptr(GBytes) bytes = cob_llb_definition_bytes(definition);
    size_t len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    Pb__Definition *message = pb__definition__unpack(NULL, len, data);

    g_assert(message);
    json_t *json = message->source ? message_json(&message->source->base) : json_object();
    pb__definition__free_unpacked(message, NULL);
    return json;
}

struct cob_error *cob_llb_json(const struct cob_llb_definition *definition, json_t **ret_json)
{
    json_auto_t *ops = json_object(), *metadata = json_object();

    COB_TRY(put_ops(definition, ops, metadata));
    *ret_json =
        json_pack("{sOsOso}", "def", ops, "metadata", metadata, "source", source_json(definition));
    return NULL;
}
