/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A long object, in parts that can be sent again by themselves.
 *
 *     POST ?uploads ------> UploadId
 *     PUT ?partNumber=n&uploadId= ------> an ETag for each
 *     POST ?uploadId=, all ETags ------> the object is there, whole; not before
 *     what fails: DELETE ?uploadId=
 *
 * spec:  Amazon S3 User Guide, "Uploading and copying objects using multipart upload".
 */
#include <inttypes.h>
#include <string.h>

#include "net/s3/s3_request.h"
#include "net/s3/sign.h"
#include "util/limits.h"
#include "util/log.h"

#define MAX_PARTS 10000
#define MAX_ID_BYTES 1000
#define PIECE_BYTES (256 * 1024)
#define HURRIED_MS 150
#define PATIENT_MS 2000
#define ANSWER_BYTES (1024 * 1024)

struct upload {
    struct cob_s3 *s3;
    const char *key;
    const struct cob_http_body *body;
    struct cob_cancel *cancel;
    char *id;       /* encoded */
    GString *etags; /* the document of the end, as far as it is known */
};

/* One part of the body, as a body. */
struct part {
    const struct cob_http_body *whole;
    uint64_t start;
};

static struct cob_error *read_part(
    void *arg, uint64_t offset, void *buffer, size_t len, size_t *ret_n)
{
    const struct part *part = arg;

    return part->whole->read(part->whole->arg, part->start + offset, buffer, len, ret_n);
}

static struct s3_call new_call(const struct upload *upload, const char *method, const char *query)
{
    return (struct s3_call){.s3 = upload->s3,
        .method = method,
        .key = upload->key,
        .query = query,
        .cancel = upload->cancel};
}

static struct cob_error *begin(struct upload *upload)
{
    static const struct cob_http_body nothing = {.size = 0};
    static const char *const headers[] = {"content-type:application/octet-stream", NULL};
    struct s3_call call = new_call(upload, "POST", "uploads=");
    struct cob_http_response response;

    call.body = &nothing;
    call.headers = headers;
    cob_http_response_init(&response);
    struct cob_error *err = s3_ask(&call, &response);
    if (!err)
        err = s3_check_status(&call, &response);
    g_autofree char *id = err ? NULL : s3_answer_text(&response, "UploadId");
    if (!err && (!id || !id[0] || strlen(id) > MAX_ID_BYTES))
        err = cob_fail(COB_UNKNOWN, "the answer has no UploadId");
    cob_http_response_done(&response);
    if (err)
        return err;
    g_autoptr(GString) encoded = g_string_new(NULL);
    s3_append_encoded(encoded, id, 0);
    upload->id = g_string_free(g_steal_pointer(&encoded), FALSE);
    return NULL;
}

/* The hash is a part of the signature, so each part is read twice. */
static struct cob_error *hash_part(
    const struct cob_http_body *body, struct cob_cancel *cancel, char **ret_hex)
{
    g_autoptr(cob_hasher) hasher = cob_hasher_new();
    g_autofree char *buffer = g_malloc(PIECE_BYTES);

    for (uint64_t at = 0; at < body->size;) {
        size_t n = 0;

        COB_TRY(cob_cancel_check(cancel));
        COB_TRY(body->read(
            body->arg, at, buffer, (size_t)MIN(body->size - at, (uint64_t)PIECE_BYTES), &n));
        cob_hasher_update(hasher, buffer, n);
        at += n;
    }
    struct cob_sha256 sha = cob_hasher_finish(hasher);
    g_autofree char *digest = cob_sha256_text(&sha);
    *ret_hex = g_strdup(digest + strlen(COB_DIGEST_PREFIX));
    return NULL;
}

/* What an answer calls a part goes back in XML. */
static struct cob_error *add_etag(
    struct upload *upload, unsigned number, const struct cob_http_response *response)
{
    const char *etag = cob_http_header(response, "etag");

    if (!etag || strlen(etag) > MAX_ID_BYTES)
        return cob_fail(COB_UNKNOWN, "the answer has no ETag");
    g_autofree char *escaped = g_markup_escape_text(etag, -1);
    g_string_append_printf(
        upload->etags, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", number, escaped);
    return NULL;
}

static struct cob_error *put_part(
    struct upload *upload, unsigned number, uint64_t start, uint64_t size)
{
    struct part part = {upload->body, start};
    const struct cob_http_body body = {.size = size, .read = read_part, .arg = &part};
    g_autofree char *query = g_strdup_printf("partNumber=%u&uploadId=%s", number, upload->id);
    struct s3_call call = new_call(upload, "PUT", query);
    g_autofree char *payload = NULL;
    struct cob_http_response response;

    COB_TRY(hash_part(&body, upload->cancel, &payload));
    call.body = &body;
    call.payload = payload;
    call.size = size;
    cob_http_response_init(&response);
    struct cob_error *err = s3_ask(&call, &response);
    if (!err)
        err = s3_check_status(&call, &response);
    if (!err)
        err = add_etag(upload, number, &response);
    cob_http_response_done(&response);
    return err;
}

static struct cob_error *put_all(struct upload *upload)
{
    uint64_t part_bytes =
        MAX(upload->s3->part_bytes, (upload->body->size + MAX_PARTS - 1) / MAX_PARTS);
    unsigned number = 1;

    for (uint64_t start = 0; start < upload->body->size; start += part_bytes, number++) {
        uint64_t size = MIN(part_bytes, upload->body->size - start);

        COB_TRY(cob_wrap(put_part(upload, number, start, size), "part %u", number));
    }
    return NULL;
}

/* When the answer to the end was lost, a second try finds no upload, and the object there. */
static struct cob_error *is_there_after_all(struct upload *upload, struct cob_error *err)
{
    struct cob_s3_object object;
    struct cob_error *head_err = NULL;

    if (cob_error_code(err) == COB_CANCELLED)
        return err;
    head_err = cob_s3_head(upload->s3, upload->key, upload->cancel, &object);
    bool is_there = !head_err && object.is_there && object.size >= 0 &&
                    (uint64_t)object.size == upload->body->size;
    if (!head_err)
        cob_s3_object_done(&object);
    cob_error_free(head_err);
    if (!is_there)
        return err;
    cob_error_free(err);
    return NULL;
}

static struct cob_error *end(struct upload *upload)
{
    g_autofree char *xml = g_strdup_printf(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">%s"
        "</CompleteMultipartUpload>",
        upload->etags->str);
    g_autoptr(GBytes) bytes = g_bytes_new(xml, strlen(xml));
    const struct cob_http_body body = cob_http_body_of(bytes);
    g_autofree char *query = g_strconcat("uploadId=", upload->id, NULL);
    struct s3_call call = new_call(upload, "POST", query);
    g_autofree char *payload = NULL;
    struct cob_http_response response;

    COB_TRY(hash_part(&body, NULL, &payload));
    call.body = &body;
    call.payload = payload;
    call.max_body = ANSWER_BYTES;
    cob_http_response_init(&response);
    struct cob_error *err = s3_ask(&call, &response);
    if (!err)
        err = s3_check_status(&call, &response);
    g_autofree char *code = err ? NULL : s3_answer_text(&response, "Code");
    if (code) /* it may fail after its status was sent */
        err = cob_fail(COB_UNAVAILABLE, "the parts were not joined: %.100s", code);
    cob_http_response_done(&response);
    return err ? is_there_after_all(upload, err) : NULL;
}

/* Parts cost money until they are removed. Also after a wish to stop, which is therefore not
 * looked at, but the time is short. */
static void give_up(const struct upload *upload)
{
    g_autofree char *query = g_strconcat("uploadId=", upload->id, NULL);
    struct s3_call call = new_call(upload, "DELETE", query);
    struct cob_http_response response;

    call.cancel = NULL;
    call.once_ms = cob_cancel_is_set(upload->cancel) ? HURRIED_MS : PATIENT_MS;
    cob_http_response_init(&response);
    g_autoptr(cob_error) err = s3_ask(&call, &response);
    if (err)
        cob_trace(1, "s3: the parts of %s were not removed", upload->key);
    cob_http_response_done(&response);
}

struct cob_error *s3_put_parts(
    struct cob_s3 *s3, const char *key, const struct cob_http_body *body, struct cob_cancel *cancel)
{
    struct upload upload = {
        .s3 = s3, .key = key, .body = body, .cancel = cancel, .etags = g_string_new(NULL)};
    struct cob_error *err = begin(&upload);

    if (!err)
        err = put_all(&upload);
    if (!err)
        err = end(&upload);
    if (err && upload.id)
        give_up(&upload);
    g_string_free(upload.etags, TRUE);
    g_free(upload.id);
    return err;
}
