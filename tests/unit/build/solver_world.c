/* SPDX-License-Identifier: Apache-2.0 */
#include "solver_world.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "util/digest.h"

/* One solve: ops find the node of a vertex by its number, which is the vertex' digest. */
struct attempt {
    struct world *world;
    const struct node *nodes;
};

static void told_free(void *data)
{
    struct told *told = data;

    g_free(told->error);
    g_free(told);
}

static void result_unref(void *result)
{
    cob_solver_result_unref(result);
}

void world_init(struct world *world)
{
    *world = (struct world){
        .records = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, result_unref),
        .locks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .runs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, told_free),
        .order = g_string_new(NULL),
    };
    g_mutex_init(&world->lock);
    g_cond_init(&world->news);
}

void world_done(struct world *world)
{
    g_assert_cmpuint(g_hash_table_size(world->locks), ==, 0);
    g_hash_table_unref(world->records);
    g_hash_table_unref(world->locks);
    g_hash_table_unref(world->runs);
    g_hash_table_unref(world->told);
    g_string_free(world->order, TRUE);
    g_mutex_clear(&world->lock);
    g_cond_clear(&world->news);
}

/* --- ops --- */

static const struct node *node_of(
    const struct attempt *attempt, const struct cob_llb_vertex *vertex)
{
    return &attempt->nodes[g_ascii_strtoull(vertex->digest, NULL, 10)];
}

static struct cob_error *key(
    void *arg, const struct cob_llb_vertex *vertex, struct cob_solver_key *ret_key)
{
    const struct node *node = node_of(arg, vertex);
    guint n = vertex->inputs->len;

    if (node->version && strcmp(node->version, "broken") == 0)
        return cob_fail(COB_UNIMPLEMENTED, "%s has no key", node->name);
    *ret_key = (struct cob_solver_key){
        .by_content = node->flags & NODE_BY_CONTENT ? UINT64_C(1) << (n - 1) : 0};
    if (!(node->flags & NODE_KEYLESS))
        ret_key->digest = g_strdup_printf("%s %s", node->name, node->version ? node->version : "1");
    return NULL;
}

static struct cob_error *content(void *arg, const struct cob_llb_vertex *vertex, size_t input,
    struct cob_solver_result *from, struct cob_cancel *cancel, char **ret_digest)
{
    struct attempt *attempt = arg;

    (void)input;
    COB_TRY(cob_cancel_check(cancel));
    if (node_of(attempt, vertex)->flags & NODE_LATE_CONTENT) {
        world_wait(attempt->world, &attempt->world->n_digested, 1);
        g_usleep(10000); /* time in which a solver that is wrong goes on with the other one */
    }
    *ret_digest = g_strdup(from->data);
    world_add(attempt->world, &attempt->world->n_digested);
    return NULL;
}

static struct cob_solver_result *new_result(struct world *world, const struct node *node)
{
    g_mutex_lock(&world->lock);
    g_autofree char *id = g_strdup_printf("%s %d", node->name, ++world->n_results);
    g_mutex_unlock(&world->lock);
    return cob_solver_result_new(id, g_strdup(node->files ? node->files : id), g_free);
}

static struct cob_error *run(void *arg, const struct cob_llb_vertex *vertex,
    struct cob_solver_result *const *inputs, struct cob_cancel *cancel,
    struct cob_solver_result **ret_result)
{
    const struct attempt *attempt = arg;
    const struct node *node = node_of(attempt, vertex);
    struct world *world = attempt->world;

    for (guint i = 0; i < vertex->inputs->len; i++) {
        bool is_scratch = g_array_index(vertex->inputs, struct cob_llb_ref, i).vertex < 0;
        g_assert_true(is_scratch == (inputs[i] == NULL));
    }
    g_mutex_lock(&world->lock);
    int n = GPOINTER_TO_INT(g_hash_table_lookup(world->runs, node->name));
    g_hash_table_insert(world->runs, g_strdup(node->name), GINT_TO_POINTER(n + 1));
    g_mutex_unlock(&world->lock);
    if (node->run)
        COB_TRY(node->run(world, cancel));
    *ret_result = new_result(world, node);
    return NULL;
}

/* --- the index --- */

static struct cob_error *lookup(void *arg, const char *key, struct cob_solver_result **ret_result)
{
    struct world *world = arg;
    struct cob_solver_result *result;

    g_mutex_lock(&world->lock);
    bool is_broken = world->is_index_broken;
    world->n_lookups++;
    result = g_hash_table_lookup(world->records, key);
    *ret_result = result ? cob_solver_result_ref(result) : NULL;
    g_mutex_unlock(&world->lock);
    if (!is_broken)
        return NULL;
    g_clear_pointer(ret_result, cob_solver_result_unref);
    return cob_fail(COB_DATA_LOSS, "the index is broken");
}

static struct cob_error *save(void *arg, const struct cob_solver_record *record)
{
    struct world *world = arg;
    const char *const keys[] = {record->definition_key, record->result_key};

    g_mutex_lock(&world->lock);
    for (size_t i = 0; i < 2; i++) {
        if (keys[i])
            g_hash_table_insert(
                world->records, g_strdup(keys[i]), cob_solver_result_ref(record->result));
    }
    g_mutex_unlock(&world->lock);
    return NULL;
}

static struct cob_error *try_lock(void *arg, const char *key, void **ret_lock)
{
    struct world *world = arg;

    g_mutex_lock(&world->lock);
    bool is_free = !g_hash_table_contains(world->locks, key);
    if (is_free)
        g_hash_table_add(world->locks, g_strdup(key));
    g_mutex_unlock(&world->lock);
    if (!is_free)
        world_add(world, &world->n_refused_locks);
    *ret_lock = is_free ? g_strdup(key) : NULL;
    return NULL;
}

static void unlock(void *arg, void *lock)
{
    struct world *world = arg;

    g_mutex_lock(&world->lock);
    g_assert_true(g_hash_table_remove(world->locks, lock));
    g_mutex_unlock(&world->lock);
    g_free(lock);
}

/* --- what is told --- */

static void on_log(void *arg, const struct cob_event_log *event)
{
    (void)arg, (void)event;
}

static void on_vertex(void *arg, const struct cob_event_vertex *event)
{
    struct world *world = arg;

    g_mutex_lock(&world->lock);
    struct told *told = g_hash_table_lookup(world->told, event->name);
    if (!told) {
        told = g_new0(struct told, 1);
        g_hash_table_insert(world->told, g_strdup(event->name), told);
    }
    if (event->completed_us) {
        told->n_ended++;
        told->n_cached += event->is_cached;
        g_string_append_printf(world->order, "%s ", event->name);
        g_assert_cmpint(event->started_us, >, 0);
        g_assert_cmpint(event->started_us, <=, event->completed_us);
    } else {
        told->n_started++;
    }
    if (event->error) {
        g_free(told->error);
        told->error = g_strdup(event->error);
    }
    g_cond_broadcast(&world->news);
    g_mutex_unlock(&world->lock);
}

const struct told *world_told(struct world *world, const char *name)
{
    static const struct told nothing;

    g_mutex_lock(&world->lock);
    const struct told *told = g_hash_table_lookup(world->told, name);
    g_mutex_unlock(&world->lock);
    return told ? told : &nothing;
}

int world_runs(struct world *world, const char *name)
{
    g_mutex_lock(&world->lock);
    int n = GPOINTER_TO_INT(g_hash_table_lookup(world->runs, name));
    g_mutex_unlock(&world->lock);
    return n;
}

bool world_wait(struct world *world, const int *counter, int n)
{
    const gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
    bool is_in_time = true;

    g_mutex_lock(&world->lock);
    while (*counter < n && is_in_time)
        is_in_time = g_cond_wait_until(&world->news, &world->lock, end);
    bool is_there = *counter >= n;
    g_mutex_unlock(&world->lock);
    return is_there;
}

void world_add(struct world *world, int *counter)
{
    g_mutex_lock(&world->lock);
    ++*counter;
    g_cond_broadcast(&world->news);
    g_mutex_unlock(&world->lock);
}

/* --- graphs --- */

static void vertex_free(void *data)
{
    struct cob_llb_vertex *vertex = data;

    g_free(vertex->digest);
    g_free(vertex->name);
    g_array_unref(vertex->inputs);
    cob_srcfile_unref(vertex->file);
    g_free(vertex);
}

void world_link(struct cob_llb_graph *graph, size_t vertex, int input)
{
    struct cob_llb_vertex *user = g_ptr_array_index(graph->vertices, vertex);
    const struct cob_llb_ref ref = {.vertex = input};

    g_array_append_val(user->inputs, ref);
}

/* Vertex i stands at line i + 1 of a file. */
struct cob_llb_graph *world_graph(const struct node *nodes, size_t n)
{
    static const char text[] = "one\ntwo\nthree\n";
    struct cob_llb_graph *graph = g_new0(struct cob_llb_graph, 1);
    g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);

    const struct cob_llb_ref last = {.vertex = (int)n - 1};
    *graph = (struct cob_llb_graph){.vertices = g_ptr_array_new_with_free_func(vertex_free),
        .results = g_array_new(FALSE, FALSE, sizeof(struct cob_llb_ref))};
    g_array_append_val(graph->results, last);
    for (size_t i = 0; i < n; i++) {
        struct cob_llb_vertex *vertex = g_new0(struct cob_llb_vertex, 1);

        *vertex = (struct cob_llb_vertex){.digest = g_strdup_printf("%zu", i),
            .name = g_strdup(nodes[i].name),
            .inputs = g_array_new(FALSE, FALSE, sizeof(struct cob_llb_ref)),
            .n_outputs = 1,
            .is_ignoring_cache = nodes[i].flags & NODE_NO_CACHE,
            .file = cob_srcfile_ref(file),
            .range = {(int)i + 1, (int)i + 1}};
        g_ptr_array_add(graph->vertices, vertex);
        for (const char *at = nodes[i].inputs; at && *at; at++)
            world_link(graph, i, *at == '-' ? -1 : *at - '0');
    }
    return graph;
}

void world_graph_free(struct cob_llb_graph *graph)
{
    g_ptr_array_unref(graph->vertices);
    g_array_unref(graph->results);
    g_free(graph);
}

struct cob_error *world_try_graph(struct world *world, const struct cob_llb_graph *graph,
    const struct node *nodes, unsigned n_parallel, struct cob_cancel *cancel)
{
    struct attempt attempt = {world, nodes};
    const struct cob_solver_ops ops = {.arg = &attempt, .key = key, .content = content, .run = run};
    const struct cob_solver_index index = {
        .arg = world, .lookup = lookup, .save = save, .try_lock = try_lock, .unlock = unlock};
    const struct cob_observer observer = {.arg = world, .vertex = on_vertex, .log = on_log};
    const struct cob_solver_request request = {.graph = graph,
        .ops = &ops,
        .index = &index,
        .observer = &observer,
        .n_parallel = n_parallel,
        .elsewhere = world->elsewhere,
        .ended = world->ended,
        .ended_arg = world->ended_arg};
    g_autoptr(GPtrArray) results = NULL;

    COB_TRY(cob_solver_solve(&request, cancel, &results));
    g_assert_cmpuint(results->len, ==, graph->results->len);
    for (guint i = 0; i < results->len; i++) {
        const struct cob_llb_ref *ref = &g_array_index(graph->results, struct cob_llb_ref, i);

        g_assert_true((results->pdata[i] == NULL) == (ref->vertex < 0));
    }
    return NULL;
}

struct cob_error *world_try(
    struct world *world, const struct node *nodes, unsigned n_parallel, struct cob_cancel *cancel)
{
    size_t n = 0;

    while (nodes[n].name)
        n++;
    struct cob_llb_graph *graph = world_graph(nodes, n);
    struct cob_error *err = world_try_graph(world, graph, nodes, n_parallel, cancel);
    world_graph_free(graph);
    return err;
}

char *world_solve(struct world *world, const struct node *nodes)
{
    g_hash_table_remove_all(world->runs);
    g_hash_table_remove_all(world->told);
    g_string_truncate(world->order, 0);
    world->n_lookups = 0;
    CHECK_OK(world_try(world, nodes, 0, NULL));
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(world->runs), (GCompareFunc)strcmp);
    GString *text = g_string_new(NULL);
    for (GList *at = names; at; at = at->next) {
        int n = GPOINTER_TO_INT(g_hash_table_lookup(world->runs, at->data));

        g_string_append_printf(text, "%s%s", text->len ? " " : "", (char *)at->data);
        if (n > 1)
            g_string_append_printf(text, "*%d", n);
    }
    return g_string_free(text, FALSE);
}
