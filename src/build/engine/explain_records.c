/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "build/engine/explain.h"
#include "util/digest.h"
#include "util/fs.h"
#include "util/json.h"

#define KEPT_A_PLACE "4"   /* newest steps of one place that are kept */
#define MAX_SAME "400"     /* steps of a stage that are looked at */
#define MAX_ELSEWHERE "20" /* of other projects */

/* --- names --- */

static void append_dir(GString *out, int dir_fd)
{
    struct stat st;

    if (dir_fd >= 0 && fstat(dir_fd, &st) == 0)
        g_string_append_printf(
            out, "%" PRIu64 ":%" PRIu64, (uint64_t)st.st_dev, (uint64_t)st.st_ino);
}

char *explain_project(const struct cob_engine_request *request, const struct contexts *contexts)
{
    const struct context_tree *tree = g_ptr_array_index(contexts->trees, 0);
    g_autoptr(GString) name = g_string_new(NULL);

    if (tree->snapshot || tree->draft)
        g_string_append(name, request->context);
    else
        append_dir(name, tree->dir_fd);
    g_string_append_c(name, '\n');
    append_dir(name, contexts->file_dir_fd);
    g_string_append_printf(name, "/%s",
        request->dockerfile_bytes ? "-"
        : contexts->file_name     ? contexts->file_name
                                  : "");
    return cob_digest_of(name->str, name->len);
}

static char *text_key(const struct explain_step *step)
{
    return cob_digest_of(step->text, strlen(step->text));
}

/* --- finding --- */

/* The nearest row so far. */
struct search {
    const struct explain_step *now;
    GHashTable *texts;                 /* NULL: places do not count */
    struct explain_step *same, *other; /* with the same text; in the same place. NULL: none yet */
    unsigned same_distance;
    bool is_place_known; /* the newest in the same place was looked at: older ones do not count */
};

static json_t *facts_of(const struct cob_db_row *row, int column)
{
    const char *text = cob_db_row_text(row, column);
    json_t *facts = NULL;

    if (text)
        cob_error_free(cob_json_parse(text, strlen(text), "facts", &facts));
    return facts;
}

static struct explain_step *step_of_row(json_t *facts, const struct cob_db_row *row)
{
    struct explain_step *step = g_new(struct explain_step, 1);

    *step =
        (struct explain_step){.facts = json_incref(facts), .is_well = cob_db_row_int(row, 1) != 0};
    return step;
}

static void keep_nearer(
    struct search *search, json_t *facts, const struct cob_db_row *row, unsigned distance)
{
    if (search->same && distance >= search->same_distance)
        return;
    explain_step_free(search->same);
    search->same = step_of_row(facts, row);
    search->same_distance = distance;
}

/* Does a step of this build have the text, so that the row is that one's past? */
static bool is_taken(const struct search *search, const json_t *facts)
{
    const char *text = json_string_value(json_object_get(facts, "text"));
    g_autofree char *key = g_strdup_printf("%s\n%s", search->now->stage, text ? text : "");

    return g_hash_table_contains(search->texts, key);
}

static bool is_same_member(const json_t *a, const json_t *b, const char *key)
{
    return g_strcmp0(json_string_value(json_object_get(a, key)),
               json_string_value(json_object_get(b, key))) == 0;
}

static struct cob_error *look_at_row(void *arg, const struct cob_db_row *row)
{
    struct search *search = arg;
    json_auto_t *facts = facts_of(row, 0);
    const unsigned place = (unsigned)cob_db_row_int(row, 2);
    const unsigned distance = facts ? cob_why_distance(facts, search->now->facts) : 0;

    if (!facts || !is_same_member(facts, search->now->facts, "kind"))
        return NULL;
    if (is_same_member(facts, search->now->facts, "text")) {
        keep_nearer(search, facts, row, distance + (place != search->now->place));
    } else if (place != 0 && place == search->now->place && !search->is_place_known) {
        search->is_place_known = true;
        if (!is_taken(search, facts))
            search->other = step_of_row(facts, row);
    }
    return NULL;
}

/* Elsewhere, what it stands on must be the same. */
static bool is_on_same_base(const json_t *before, const json_t *now)
{
    const json_t *old = json_object_get(before, "inputs"), *new = json_object_get(now, "inputs");

    if (json_array_size(old) != json_array_size(new))
        return false;
    for (size_t i = 0; i < json_array_size(new); i++) {
        const json_t *a = json_array_get(old, i), *b = json_array_get(new, i);

        if (!json_object_get(b, "content") && !is_same_member(a, b, "definition"))
            return false;
    }
    return true;
}

static struct cob_error *look_elsewhere(void *arg, const struct cob_db_row *row)
{
    struct search *search = arg;
    json_auto_t *facts = facts_of(row, 0);

    if (facts && is_same_member(facts, search->now->facts, "kind") &&
        is_on_same_base(facts, search->now->facts))
        keep_nearer(search, facts, row, cob_why_distance(facts, search->now->facts));
    return NULL;
}

static struct cob_error *search_all(struct cob_store *store, struct search *search)
{
    const struct explain_step *now = search->now;
    g_autofree char *text = text_key(now);
    struct cob_db *db = cob_store_db(store);

    COB_TRY(cob_db_run(db, look_at_row, search,
        "SELECT facts, is_well, place FROM steps WHERE project = ?1 AND stage = ?2"
        " ORDER BY seq DESC LIMIT " MAX_SAME,
        COB_DB_T(now->project), COB_DB_T(now->stage)));
    if (search->same || search->other)
        return NULL;
    return cob_db_run(db, look_elsewhere, search,
        "SELECT facts, is_well, place FROM steps WHERE text = ?1"
        " ORDER BY seq DESC LIMIT " MAX_ELSEWHERE,
        COB_DB_T(text));
}

struct cob_error *explain_find_nearest(struct cob_store *store, const struct explain_step *now,
    GHashTable *texts, struct explain_step **ret_step)
{
    struct search search = {.now = now, .texts = texts};
    struct cob_error *err = search_all(store, &search);

    if (!err && search.same)
        *ret_step = g_steal_pointer(&search.same);
    else if (!err)
        *ret_step = g_steal_pointer(&search.other);
    explain_step_free(search.same);
    explain_step_free(search.other);
    return err;
}

static struct cob_error *take_bytes(void *arg, const struct cob_db_row *row)
{
    GBytes **bytes = arg;

    *bytes = cob_db_row_bytes(row, 0);
    return NULL;
}

struct cob_error *explain_files_of(
    struct cob_store *store, const json_t *facts, size_t input, GBytes **ret_files)
{
    const json_t *item = json_array_get(json_object_get(facts, "inputs"), input);
    const char *content = json_string_value(json_object_get(item, "content"));

    *ret_files = NULL;
    if (!content)
        return NULL;
    return cob_db_run(cob_store_db(store), take_bytes, ret_files,
        "SELECT files FROM file_lists WHERE content = ?1", COB_DB_T(content));
}

static struct cob_error *take_eviction(void *arg, const struct cob_db_row *row)
{
    struct explain_eviction *eviction = arg;

    g_free(eviction->rule);
    *eviction = (struct explain_eviction){
        .rule = g_strdup(cob_db_row_text(row, 0)), .at_us = cob_db_row_int(row, 1)};
    return NULL;
}

struct cob_error *explain_find_eviction(struct cob_store *store, const struct cob_solver_miss *miss,
    struct explain_eviction *ret_eviction)
{
    return cob_db_run(cob_store_db(store), take_eviction, ret_eviction,
        "SELECT rule, at_us FROM evictions WHERE key IN (?1, ?2) ORDER BY at_us DESC LIMIT 1",
        COB_DB_T(miss->is_tainted ? NULL : miss->definition_key), COB_DB_T(miss->result_key));
}

/* --- keeping --- */

static struct cob_error *take_number(void *arg, const struct cob_db_row *row)
{
    *(int64_t *)arg = cob_db_row_int(row, 0);
    return NULL;
}

static struct cob_error *save_lists(struct cob_db *db, const struct explain_step *step, int64_t seq)
{
    const json_t *inputs = json_object_get(step->facts, "inputs");

    for (guint i = 0; i < step->lists->len; i++) {
        GBytes *list = g_ptr_array_index(step->lists, i);
        const char *content =
            json_string_value(json_object_get(json_array_get(inputs, i), "content"));

        if (!list || !content)
            continue;
        COB_TRY(cob_db_run(db, NULL, NULL,
            "INSERT OR IGNORE INTO file_lists(content, files) VALUES(?1, ?2)", COB_DB_T(content),
            COB_DB_B(list)));
        COB_TRY(cob_db_run(db, NULL, NULL,
            "INSERT OR IGNORE INTO step_files(step, content) VALUES(?1, ?2)", COB_DB_I(seq),
            COB_DB_T(content)));
    }
    return NULL;
}

static struct cob_error *save_step(struct cob_db *db, const struct explain_step *step)
{
    g_autofree char *facts = json_dumps(step->facts, COB_JSON_DUMP), *text = text_key(step);
    int64_t seq = 0;

    COB_TRY(cob_db_run(db, take_number, &seq,
        "INSERT INTO steps(project, stage, place, text, facts, is_well, at_us)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING seq",
        COB_DB_T(step->project), COB_DB_T(step->stage), COB_DB_I(step->place), COB_DB_T(text),
        COB_DB_T(facts), COB_DB_I(step->is_well), COB_DB_I(g_get_real_time())));
    COB_TRY(save_lists(db, step, seq));
    COB_TRY(cob_db_run(db, NULL, NULL,
        "DELETE FROM steps WHERE project = ?1 AND stage = ?2 AND place = ?3 AND text = ?4"
        " AND seq NOT IN (SELECT seq FROM steps WHERE project = ?1 AND stage = ?2 AND place = ?3"
        " AND text = ?4 ORDER BY seq DESC LIMIT " KEPT_A_PLACE ")",
        COB_DB_T(step->project), COB_DB_T(step->stage), COB_DB_I(step->place), COB_DB_T(text)));
    if (!step->is_well)
        return NULL;
    return cob_db_run(db, NULL, NULL, "DELETE FROM evictions WHERE key IN (?1, ?2)",
        COB_DB_T(step->keys[0]), COB_DB_T(step->keys[1]));
}

struct cob_error *explain_save(struct cob_store *store, const struct explain_step *step)
{
    struct cob_db *db = cob_store_db(store);

    COB_TRY(cob_db_begin(db));
    struct cob_error *err = save_step(db, step);
    if (!err)
        return cob_db_commit(db);
    cob_db_rollback(db);
    return err;
}

struct cob_error *explain_trim(struct cob_store *store, int64_t max_age_s)
{
    return cob_db_run(cob_store_db(store), NULL, NULL, "DELETE FROM steps WHERE at_us < ?1",
        COB_DB_I(g_get_real_time() - max_age_s * G_USEC_PER_SEC));
}
