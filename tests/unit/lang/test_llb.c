/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "check.h"
#include "lang/llb/llb.h"
#include "util/digest.h"

#define AMD64 ((struct cob_llb_platform){.os = "linux", .architecture = "amd64"})

/* A builder with a graph that uses every op; the digests below were made from the same messages by
 * protoc --deterministic_output out of BuildKit's own ops.proto. */
struct sample {
    struct cob_llb_builder *builder;
    struct cob_llb_ref image, local, copy, exec, diff, merge, scratch;
};

static const char *const sample_digests[] = {
    "sha256:c3c32fc17a5ccca3cd9c2925d03d8fd767955cf822701fb56ded114e1fd3071c", /* image */
    "sha256:030f36963cda9c56702755767c4a736644d59003a8d431dd5d19cce7d19a43a2", /* local */
    "sha256:4195c867c7422453e0cedc5dfcf225f18912db6c3326ea85797d00d6f18ea8c2", /* copy */
    "sha256:42f2a0c5f73d622d6694d0eb1c13134a7a64f95792d9b25df4db6fb1801551f6", /* exec */
    "sha256:7b0c13c62a65b367e7b99d73d843fa41d8b4367afe917edfe185088468e6e288", /* diff */
    "sha256:fbd8ea20ebe27c84779d6eb798e1127f1f0eb5738e07b5bbc47069a0e09630e3", /* merge */
    "sha256:5b46f605622f7f79242384d38cceeba36414bd369ed053f291f740dff4eaa376", /* last */
};
static const char scratch_digest[] =
    "sha256:382d45aac8c912f13f07531b5584ba38a7260d885350ea61e9563be63d77212d";

static struct cob_llb_ref add_copy(struct sample *s)
{
    const struct cob_llb_action actions[] = {
        {.kind = COB_LLB_MKDIR,
            .path = "/app",
            .mode = 0755,
            .flags = COB_LLB_MAKE_PARENTS,
            .time_ns = COB_LLB_TIME_KEEP},
        {.kind = COB_LLB_COPY,
            .source = "/go.mod",
            .path = "/app/",
            .from = s->local,
            .owner = "web:root",
            .mode = COB_LLB_MODE_KEEP,
            .flags = COB_LLB_FOLLOW_LINKS | COB_LLB_CONTENTS_ONLY | COB_LLB_MAKE_PARENTS |
                     COB_LLB_WILDCARD | COB_LLB_ALLOW_NOTHING,
            .time_ns = COB_LLB_TIME_KEEP},
    };

    return cob_llb_add_file(s->builder, s->image, actions, G_N_ELEMENTS(actions), NULL);
}

static struct cob_llb_ref add_exec(struct sample *s, const struct cob_llb_about *about)
{
    const struct cob_llb_mount mounts[] = {
        {.type = PB__MOUNT_TYPE__SSH,
            .dest = "/run/ssh",
            .id = "default",
            .mode = 0600,
            .is_optional = true},
        {.type = PB__MOUNT_TYPE__SECRET,
            .dest = "/run/secrets/x",
            .id = "x",
            .mode = 0400,
            .env = "X"},
        {.type = PB__MOUNT_TYPE__TMPFS, .dest = "/tmp", .size_bytes = 4096},
        {.dest = "/src", .source = s->local, .selector = "sub", .is_readonly = true},
        {.dest = "/", .source = s->copy},
        {.type = PB__MOUNT_TYPE__CACHE,
            .dest = "/cache",
            .id = "/go",
            .sharing = PB__CACHE_SHARING_OPT__LOCKED,
            .source = COB_LLB_SCRATCH},
    };
    const struct cob_llb_ulimit ulimit = {"nofile", 1, 2};
    const struct cob_llb_exec exec = {
        .args = (const char *[]){"/bin/sh", "-c", "make", NULL},
        .env = (const char *[]){"PATH=/bin", NULL},
        .cwd = "/app",
        .user = "web",
        .hosts = (const char *[]){"db=10.0.0.1", NULL},
        .proxies = (const char *[]){"p", NULL, "", NULL, NULL},
        .ulimits = &ulimit,
        .n_ulimits = 1,
        .network = PB__NET_MODE__NONE,
        .mounts = mounts,
        .n_mounts = G_N_ELEMENTS(mounts),
    };

    return cob_llb_add_exec(s->builder, &exec, about);
}

static struct cob_llb_ref add_scratch(struct sample *s)
{
    g_autoptr(GBytes) data = g_bytes_new("x\n", 2);
    const struct cob_llb_action actions[] = {
        {.kind = COB_LLB_MKFILE, .path = "/a", .mode = 0644, .data = data, .time_ns = 5},
        {.kind = COB_LLB_SYMLINK, .source = "a", .path = "/b", .time_ns = COB_LLB_TIME_KEEP},
        {.kind = COB_LLB_RM, .path = "/c*", .flags = COB_LLB_ALLOW_NOTHING | COB_LLB_WILDCARD},
    };

    return cob_llb_add_file(s->builder, COB_LLB_SCRATCH, actions, G_N_ELEMENTS(actions), NULL);
}

static struct sample sample_new(const struct cob_llb_about *about)
{
    const struct cob_llb_attr image[] = {
        {"image.resolvemode", "local"}, {"image.empty", ""}, {NULL, NULL}};
    const struct cob_llb_attr local[] = {
        {"local.sharedkeyhint", "context"}, {"local.followpaths", "[\"go.mod\"]"}, {NULL, NULL}};
    const struct cob_llb_platform amd64 = AMD64;
    struct sample s = {.builder = cob_llb_builder_new(&amd64)};

    s.image = cob_llb_add_source(
        s.builder, "docker-image://docker.io/library/busybox:latest", image, NULL, about);
    s.local = cob_llb_add_source(s.builder, "local://context", local, NULL, NULL);
    s.copy = add_copy(&s);
    s.exec = add_exec(&s, about);
    s.diff = cob_llb_add_diff(s.builder, s.copy, s.exec, NULL);
    s.scratch = add_scratch(&s);
    struct cob_llb_ref both[] = {s.image, COB_LLB_SCRATCH, s.diff};
    s.merge = cob_llb_add_merge(s.builder, both, G_N_ELEMENTS(both), NULL);
    return s;
}

static const struct cob_llb_op *op_at(const struct cob_llb_definition *definition, unsigned i)
{
    return g_ptr_array_index(definition->ops, i);
}

static void test_digests_are_buildkits(void)
{
    struct sample s = sample_new(NULL);
    g_autoptr(cob_llb_definition) all = cob_llb_builder_finish(s.builder, s.merge);
    g_autoptr(cob_llb_definition) file = cob_llb_builder_finish(s.builder, s.scratch);

    g_assert_cmpint(all->ops->len, ==, G_N_ELEMENTS(sample_digests));
    for (unsigned i = 0; i < all->ops->len; i++)
        g_assert_cmpstr(op_at(all, i)->digest, ==, sample_digests[i]);
    g_assert_cmpint(file->ops->len, ==, 2); /* nothing that the result does not need */
    g_assert_cmpstr(op_at(file, 0)->digest, ==, scratch_digest);
    cob_llb_builder_free(s.builder);
}

static void test_equal_ops_are_one(void)
{
    struct sample s = sample_new(NULL);
    struct cob_llb_ref again = add_exec(&s, NULL);
    struct cob_llb_ref one[] = {COB_LLB_SCRATCH, s.image};

    g_assert_cmpint(again.vertex, ==, s.exec.vertex);
    g_assert_cmpint(cob_llb_add_merge(s.builder, one, 2, NULL).vertex, ==, s.image.vertex);
    g_assert_cmpint(cob_llb_add_merge(s.builder, one, 1, NULL).vertex, ==, -1);
    g_assert_cmpint(
        cob_llb_add_diff(s.builder, COB_LLB_SCRATCH, s.exec, NULL).vertex, ==, s.exec.vertex);
    cob_llb_builder_free(s.builder);
}

static void check_sample_graph(const struct cob_llb_graph *graph)
{
    const struct cob_llb_vertex *image = graph->vertices->pdata[0];
    const struct cob_llb_vertex *copy = graph->vertices->pdata[2];
    const struct cob_llb_vertex *exec = graph->vertices->pdata[3];

    g_assert_cmpint(graph->vertices->len, ==, 6);
    g_assert_cmpint(g_array_index(graph->results, struct cob_llb_ref, 0).vertex, ==, 5);
    g_assert_cmpstr(image->name, ==, "[1/2] FROM busybox");
    g_assert_cmpstr(copy->name, ==, "mkdir /app, copy /go.mod /app/");
    g_assert_true(exec->is_ignoring_cache);
    g_assert_cmpstr(exec->group_name, ==, "linux");
    g_assert_cmpint(exec->inputs->len, ==, 2);
    g_assert_cmpint(g_array_index(exec->inputs, struct cob_llb_ref, 0).vertex, ==, 2);
    g_assert_nonnull(exec->file);
    g_assert_cmpstr(exec->file->name, ==, "Dockerfile");
    g_assert_cmpint(exec->range.last_line, ==, 3);
    g_assert_cmpstr(cob_llb_source_attr(image->op->source, "image.resolvemode"), ==, "local");
    g_assert_cmpstr(cob_llb_source_attr(image->op->source, "image.empty"), ==, "");
    g_assert_null(cob_llb_source_attr(image->op->source, "image"));
}

/* Through the wire and back, nothing is lost, and the bytes are the same again. */
static void test_graph_after_the_wire(void)
{
    g_autoptr(GBytes) text = g_bytes_new_static("FROM busybox\nRUN \\\nmake\n", 24);
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", text);
    const struct cob_range range = {2, 3};
    const struct cob_llb_about about = {.name = "[1/2] FROM busybox",
        .is_ignoring_cache = true,
        .group_id = "g",
        .group_name = "linux",
        .file = file,
        .ranges = &range,
        .n_ranges = 1};
    struct sample s = sample_new(&about);
    g_autoptr(cob_llb_definition) definition = cob_llb_builder_finish(s.builder, s.merge);
    g_autoptr(cob_llb_definition) parsed = NULL;
    g_autoptr(cob_llb_graph) graph = NULL, again = NULL;

    CHECK_OK(cob_llb_graph_new(definition, &graph));
    check_sample_graph(graph);
    g_autoptr(GBytes) bytes = cob_llb_definition_bytes(definition);
    CHECK_OK(cob_llb_definition_parse(bytes, &parsed));
    CHECK_OK(cob_llb_graph_new(parsed, &again));
    check_sample_graph(again);
    g_autoptr(GBytes) same = cob_llb_definition_bytes(parsed);
    g_assert_true(g_bytes_equal(bytes, same));
    cob_llb_builder_free(s.builder);
}

static void test_scratch(void)
{
    g_autoptr(cob_llb_builder) builder = cob_llb_builder_new(NULL);
    g_autoptr(cob_llb_definition) definition = cob_llb_builder_finish(builder, COB_LLB_SCRATCH);
    g_autoptr(cob_llb_definition) parsed = NULL;
    g_autoptr(cob_llb_graph) graph = NULL;
    g_autoptr(GBytes) bytes = cob_llb_definition_bytes(definition);
    g_autofree char *dump = NULL;

    g_assert_cmpint(g_bytes_get_size(bytes), ==, 0);
    CHECK_OK(cob_llb_definition_parse(bytes, &parsed));
    CHECK_OK(cob_llb_graph_new(parsed, &graph));
    g_assert_cmpint(g_array_index(graph->results, struct cob_llb_ref, 0).vertex, ==, -1);
    CHECK_OK(cob_llb_dump(parsed, &dump));
    g_assert_cmpstr(dump, ==, "result\n  scratch\n");
}

static struct cob_llb_definition *run_on(const char *image, const char *name)
{
    g_autoptr(cob_llb_builder) builder = cob_llb_builder_new(NULL);
    const struct cob_llb_about about = {.name = name};
    struct cob_llb_ref base = cob_llb_add_source(builder, image, NULL, NULL, &about);
    const struct cob_llb_action action = {
        .kind = COB_LLB_MKDIR, .path = "/x", .mode = 0755, .time_ns = -1};

    return cob_llb_builder_finish(builder, cob_llb_add_file(builder, base, &action, 1, NULL));
}

static int result_at(const struct cob_llb_graph *graph, unsigned i)
{
    return g_array_index(graph->results, struct cob_llb_ref, i).vertex;
}

/* Equal ops are one vertex, with the first one's name; different ones stay. */
static void test_join(void)
{
    g_autoptr(cob_llb_builder) builder = cob_llb_builder_new(NULL);
    g_autoptr(cob_llb_definition) scratch = cob_llb_builder_finish(builder, COB_LLB_SCRATCH);
    g_autoptr(cob_llb_definition) first = run_on("docker-image://a", "one");
    g_autoptr(cob_llb_definition) same = run_on("docker-image://a", "two");
    g_autoptr(cob_llb_definition) other = run_on("docker-image://b", "three");
    const struct cob_llb_definition *const all[] = {first, scratch, same, other};
    g_autoptr(cob_llb_graph) graph = NULL, none = NULL;

    CHECK_OK(cob_llb_graph_join(all, G_N_ELEMENTS(all), &graph));
    g_assert_cmpuint(graph->vertices->len, ==, 4);
    g_assert_cmpuint(graph->results->len, ==, 4);
    g_assert_cmpint(result_at(graph, 0), ==, 1);
    g_assert_cmpint(result_at(graph, 1), ==, -1);
    g_assert_cmpint(result_at(graph, 2), ==, 1);
    g_assert_cmpint(result_at(graph, 3), ==, 3);
    const struct cob_llb_vertex *base = g_ptr_array_index(graph->vertices, 0);
    g_assert_cmpstr(base->name, ==, "one");
    CHECK_OK(cob_llb_graph_join(NULL, 0, &none));
    g_assert_cmpuint(none->vertices->len, ==, 0);
}

static void test_dump(void)
{
    const struct cob_llb_platform amd64 = AMD64;
    const struct cob_llb_about about = {.name = "say \"hi\""};
    g_autoptr(cob_llb_builder) builder = cob_llb_builder_new(&amd64);
    const struct cob_llb_attr attrs[] = {{"image.resolvemode", "local"}, {NULL, NULL}};
    struct cob_llb_ref image =
        cob_llb_add_source(builder, "docker-image://busybox", attrs, NULL, &about);
    g_autoptr(GBytes) data = g_bytes_new_static("a\nb\0\x1b", 5);
    const struct cob_llb_action action = {
        .kind = COB_LLB_MKFILE, .path = "/x", .mode = 0644, .data = data, .time_ns = -1};
    struct cob_llb_ref file = cob_llb_add_file(builder, image, &action, 1, NULL);
    g_autoptr(cob_llb_definition) definition = cob_llb_builder_finish(builder, file);
    g_autofree char *dump = NULL;

    CHECK_OK(cob_llb_dump(definition, &dump));
    g_assert_cmpstr(dump, ==,
        "#1\n"
        "  name: \"say \\\"hi\\\"\"\n"
        "  source:\n"
        "    identifier: \"docker-image://busybox\"\n"
        "    attrs: image.resolvemode = \"local\"\n"
        "  platform:\n"
        "    Architecture: \"amd64\"\n"
        "    OS: \"linux\"\n"
        "  constraints:\n"
        "\n"
        "#2\n"
        "  inputs: #1\n"
        "  file:\n"
        "    actions:\n"
        "      input: 0\n"
        "      secondaryInput: -1\n"
        "      output: 0\n"
        "      mkfile:\n"
        "        path: \"/x\"\n"
        "        mode: 0644\n"
        "        data: \"a\\nb\\x00\\x1b\"\n"
        "        timestamp: -1\n"
        "  constraints:\n"
        "\n"
        "result\n"
        "  inputs: #2\n");
}

/* ---- hostile definitions ---- */

static void add_op(Pb__Definition *definition, const Pb__Op *op)
{
    size_t len = pb__op__get_packed_size(op);
    ProtobufCBinaryData *slot = &definition->def[definition->n_def++];

    slot->len = len;
    slot->data = g_malloc(len + 1);
    pb__op__pack(op, slot->data);
}

/* A definition of a source, of one op that uses it, and of the end; `edit` makes it hostile. */
struct hostile {
    Pb__Op source, op, last;
    Pb__SourceOp source_op;
    Pb__ExecOp exec;
    Pb__Meta meta;
    Pb__Mount root, mount;
    Pb__FileOp file;
    Pb__FileAction action;
    Pb__FileActionMkDir mkdir;
    Pb__DiffOp diff;
    Pb__LowerDiffInput lower;
    Pb__UpperDiffInput upper;
    Pb__PassthroughOp passthrough;
    Pb__Input input, last_input;
    Pb__Input *inputs[1], *last_inputs[1];
    Pb__Mount *mounts[2];
    Pb__FileAction *actions[1];
    char *args[1];
    int64_t outputs[1];
    char text[99];
};

static void use_file(struct hostile *h)
{
    h->op.op_case = PB__OP__OP_FILE;
    h->op.file = &h->file;
}

static void use_diff(struct hostile *h)
{
    h->op.op_case = PB__OP__OP_DIFF;
    h->op.diff = &h->diff;
}

#define EDIT(name, ...)                                                                            \
    static void name(struct hostile *h)                                                            \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
EDIT(edit_nothing, (void)h;)
EDIT(edit_index_1, h->input.index = 1;)
EDIT(edit_index_minus, h->input.index = -1;)
EDIT(edit_index_huge, h->input.index = INT64_MAX;)
EDIT(edit_digest_missing, memset(h->text, 'a', 60); h->input.digest = h->text;)
EDIT(edit_digest_empty, h->text[0] = 0; h->input.digest = h->text;)
EDIT(edit_nil_op, h->op.op_case = PB__OP__OP__NOT_SET;)
EDIT(edit_no_meta, h->exec.meta = NULL;)
EDIT(edit_no_args, h->meta.n_args = 0;)
EDIT(edit_no_mounts, h->exec.n_mounts = 0;)
EDIT(edit_two_roots, h->mounts[1] = &h->root; h->exec.n_mounts = 2; h->root.output = -1;)
EDIT(edit_mount_input_1, h->root.input = 1;)
EDIT(edit_mount_input_minus, h->root.input = -2;)
EDIT(edit_mount_input_huge, h->root.input = INT64_MAX;)
EDIT(edit_mount_output, h->root.output = 1;)
EDIT(edit_mount_output_minus, h->root.output = INT64_MIN;)
EDIT(edit_mount_output_twice, h->exec.n_mounts = 2;)
EDIT(edit_mount_type, h->root.mounttype = 5;)
EDIT(edit_mount_type_minus, h->root.mounttype = -1;)
EDIT(edit_cache, h->root.mounttype = PB__MOUNT_TYPE__CACHE;)
EDIT(edit_secret, h->root.mounttype = PB__MOUNT_TYPE__SECRET;)
EDIT(edit_content_cache, h->root.contentcache = 9;)
EDIT(edit_network, h->exec.network = 3;)
EDIT(edit_security, h->exec.security = 2;)
EDIT(edit_file, use_file(h);)
EDIT(edit_no_actions, use_file(h); h->file.n_actions = 0;)
EDIT(edit_nil_action, use_file(h); h->action.action_case = PB__FILE_ACTION__ACTION__NOT_SET;)
EDIT(edit_action_self, use_file(h); h->action.input = 1;)
EDIT(edit_action_minus, use_file(h); h->action.secondaryinput = -2;)
EDIT(edit_action_output, use_file(h); h->action.output = 1;)
EDIT(edit_action_none, use_file(h); h->action.output = -1;)
EDIT(edit_diff, use_diff(h);)
EDIT(edit_diff_nil, use_diff(h); h->diff.lower = NULL;)
EDIT(edit_diff_range, use_diff(h); h->upper.input = 1;)
EDIT(edit_passthrough, h->op.op_case = PB__OP__OP_PASSTHROUGH; h->op.passthrough = &h->passthrough;
     h->passthrough.id = h->text; h->text[0] = 'x'; h->outputs[0] = 1;)
EDIT(edit_source_inputs, h->op.op_case = PB__OP__OP_SOURCE; h->op.source = &h->source_op;)
EDIT(edit_last_acts, h->last.op_case = PB__OP__OP_SOURCE; h->last.source = &h->source_op;)
EDIT(edit_last_bare, h->last.n_inputs = 0;)
EDIT(edit_last_index, h->last_input.index = 7;)

/* The initializers that protobuf-c writes cast const away. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
static void hostile_init(struct hostile *h)
{
    *h = (struct hostile){0};
    pb__op__init(&h->source);
    pb__op__init(&h->op);
    pb__op__init(&h->last);
    pb__source_op__init(&h->source_op);
    pb__exec_op__init(&h->exec);
    pb__meta__init(&h->meta);
    pb__mount__init(&h->root);
    pb__mount__init(&h->mount);
    pb__file_op__init(&h->file);
    pb__file_action__init(&h->action);
    pb__file_action_mk_dir__init(&h->mkdir);
    pb__diff_op__init(&h->diff);
    pb__lower_diff_input__init(&h->lower);
    pb__upper_diff_input__init(&h->upper);
    pb__passthrough_op__init(&h->passthrough);
    pb__input__init(&h->input);
    pb__input__init(&h->last_input);
    h->source.op_case = PB__OP__OP_SOURCE;
    h->source.source = &h->source_op;
    h->source_op.identifier = g_strdup("local://x");
    h->args[0] = g_strdup("true");
    h->meta.args = h->args;
    h->meta.n_args = 1;
    h->root.dest = g_strdup("/");
    h->mount.dest = g_strdup("/x");
    h->mounts[0] = &h->root;
    h->mounts[1] = &h->mount;
    h->exec.meta = &h->meta;
    h->exec.mounts = h->mounts;
    h->exec.n_mounts = 1;
    h->mkdir.path = h->mount.dest;
    h->action.action_case = PB__FILE_ACTION__ACTION_MKDIR;
    h->action.mkdir = &h->mkdir;
    h->actions[0] = &h->action;
    h->file.actions = h->actions;
    h->file.n_actions = 1;
    h->diff.lower = &h->lower;
    h->diff.upper = &h->upper;
    h->passthrough.outputs = h->outputs;
    h->passthrough.n_outputs = 1;
    h->op.op_case = PB__OP__OP_EXEC;
    h->op.exec = &h->exec;
    h->inputs[0] = &h->input;
    h->op.inputs = h->inputs;
    h->op.n_inputs = 1;
    h->last_inputs[0] = &h->last_input;
    h->last.inputs = h->last_inputs;
    h->last.n_inputs = 1;
}
#pragma GCC diagnostic pop

static GBytes *pack_definition(Pb__Definition *definition)
{
    size_t len = pb__definition__get_packed_size(definition);
    uint8_t *data = g_malloc(len);

    pb__definition__pack(definition, data);
    for (size_t i = 0; i < definition->n_def; i++)
        g_free(definition->def[i].data);
    return g_bytes_new_take(data, len);
}

static GBytes *hostile_bytes(void (*edit)(struct hostile *h))
{
    struct hostile h;
    Pb__Definition definition = PB__DEFINITION__INIT;
    ProtobufCBinaryData ops[3];

    hostile_init(&h);
    definition.def = ops;
    add_op(&definition, &h.source);
    g_autofree char *source = cob_digest_of(ops[0].data, ops[0].len);
    h.input.digest = source;
    edit(&h);
    add_op(&definition, &h.op);
    g_autofree char *op = cob_digest_of(ops[1].data, ops[1].len);
    h.last_input.digest = op;
    add_op(&definition, &h.last);
    g_free(h.source_op.identifier);
    g_free(h.args[0]);
    g_free(h.root.dest);
    g_free(h.mount.dest);
    return pack_definition(&definition);
}

static const struct {
    void (*edit)(struct hostile *h);
    const char *want; /* NULL: it is fine */
} hostile_rows[] = {
    {edit_nothing, NULL},
    {edit_file, NULL},
    {edit_diff, NULL},
    {edit_index_1, "LLB op 1: input 0: op sha256:* has 1 outputs, and no output 1"},
    {edit_index_minus, "LLB op 1: input 0: op sha256:* no output -1"},
    {edit_index_huge, "LLB op 1: input 0: op sha256:* no output 9223372036854775807"},
    {edit_digest_missing, "LLB op 1: input 0: no op before it has the digest aaa*"},
    {edit_digest_empty, "LLB op 1: input 0: no op before it has the digest \"\""},
    {edit_nil_op, "LLB op 1: it is of no kind that cob knows"},
    {edit_no_meta, "LLB op 1: an exec op needs its meta"},
    {edit_no_args, "LLB op 1: an exec op needs args"},
    {edit_no_mounts, "LLB op 1: an exec op needs one mount on /, this has 0"},
    {edit_two_roots, "LLB op 1: an exec op needs one mount on /, this has 2"},
    {edit_mount_input_1, "LLB op 1: mount 0: its source is input 1 of 1"},
    {edit_mount_input_minus, "LLB op 1: mount 0: its source is input -2 of 1"},
    {edit_mount_input_huge, "LLB op 1: mount 0: its source is input 9223372036854775807 of 1"},
    {edit_mount_output, "LLB op 1: mount 0: it is output 1"},
    {edit_mount_output_minus, "LLB op 1: mount 0: it is output -9223372036854775808"},
    {edit_mount_output_twice, "LLB op 1: mount 1: output 0 is there twice"},
    {edit_mount_type, "LLB op 1: mount 0: its type has no value 5"},
    {edit_mount_type_minus, "LLB op 1: mount 0: its type has no value -1"},
    {edit_cache, "LLB op 1: mount 0: a cache mount needs its options"},
    {edit_secret, "LLB op 1: mount 0: a secret mount needs its options"},
    {edit_content_cache, "LLB op 1: mount 0: its content cache has no value 9"},
    {edit_network, "LLB op 1: network has no value 3"},
    {edit_security, "LLB op 1: security has no value 2"},
    {edit_no_actions, "LLB op 1: a file op needs an action"},
    {edit_nil_action, "LLB op 1: action 0: it is none that cob knows"},
    {edit_action_self, "LLB op 1: action 0: its input is 1 of 1"},
    {edit_action_minus, "LLB op 1: action 0: its source is -2 of 1"},
    {edit_action_output, "LLB op 1: action 0: its output is 1"},
    {edit_action_none, "LLB op 2: input 0: op sha256:* has 0 outputs, and no output 0"},
    {edit_diff_nil, "LLB op 1: a diff op needs both sides"},
    {edit_diff_range, "LLB op 1: the upper side is input 1 of 1"},
    {edit_passthrough, "LLB op 1: output 0 is input 1 of 1"},
    {edit_source_inputs, "LLB op 1: a source op has no inputs, this has 1"},
    {edit_last_acts, "LLB op 2: the last op is not to do anything"},
    {edit_last_bare, "LLB op 2: the last op has no input to be the result"},
    {edit_last_index, "LLB op 2: input 0: op sha256:* has 1 outputs, and no output 7"},
};

static struct cob_error *load(GBytes *bytes)
{
    g_autoptr(cob_llb_definition) definition = NULL;
    g_autoptr(cob_llb_graph) graph = NULL;

    COB_TRY(cob_llb_definition_parse(bytes, &definition));
    return cob_llb_graph_new(definition, &graph);
}

static void test_hostile_definitions(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hostile_rows); i++) {
        g_autoptr(GBytes) bytes = hostile_bytes(hostile_rows[i].edit);

        if (hostile_rows[i].want)
            CHECK_ERROR(load(bytes), COB_INVALID, hostile_rows[i].want);
        else
            CHECK_OK(load(bytes));
    }
}

/* Bytes that decode, and yet say two things at once. */
static void test_hostile_bytes(void)
{
    static const struct {
        const char *name, *hex, *want;
    } rows[] = {
        {"not protobuf", "ffffff", "parse LLB definition: the bytes are not one"},
        {"op not protobuf", "0a02ffff", "LLB op 0: its bytes are not an op"},
        {"only the end", "0a00", "LLB op 0: the last op has no input to be the result"},
        {"NUL in a text", "0a081a060a04610062620a00", "LLB op 0: its bytes hold a NUL *"},
        {"field twice", "0a081a060a01610a01620a00", "LLB op 0: its bytes *, a field twice*"},
        {"overlong number",
            "0a090a071080808080"
            "8000"
            "0a00",
            "LLB op 0: its bytes *"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GByteArray) data = g_byte_array_new();

        for (const char *p = rows[i].hex; *p; p += 2) {
            uint8_t byte = (uint8_t)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));

            g_byte_array_append(data, &byte, 1);
        }
        g_autoptr(GBytes) bytes = g_bytes_new(data->data, data->len);
        g_test_message("%s", rows[i].name);
        CHECK_ERROR(load(bytes), COB_INVALID, rows[i].want);
    }
}

static void test_null_is_fine(void)
{
    cob_llb_builder_free(NULL);
    cob_llb_definition_free(NULL);
    cob_llb_graph_free(NULL);
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/llb/digests-are-buildkits", test_digests_are_buildkits);
    g_test_add_func("/llb/equal-ops-are-one", test_equal_ops_are_one);
    g_test_add_func("/llb/graph-after-the-wire", test_graph_after_the_wire);
    g_test_add_func("/llb/scratch", test_scratch);
    g_test_add_func("/llb/join", test_join);
    g_test_add_func("/llb/dump", test_dump);
    g_test_add_func("/llb/hostile-definitions", test_hostile_definitions);
    g_test_add_func("/llb/hostile-bytes", test_hostile_bytes);
    g_test_add_func("/llb/null-is-fine", test_null_is_fine);
    return g_test_run();
}
