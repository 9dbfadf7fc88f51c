/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "check.h"
#include "spec/oci/oci.h"
#include "util/limits.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHA "sha256:" HEX
#define DESC "{\"mediaType\":\"x\",\"digest\":\"" SHA "\",\"size\":7}"
#define CONFIG "\"config\":" DESC
#define MANIFEST "{\"schemaVersion\":2," CONFIG ",\"layers\":[" DESC "]}"
#define TYPED                                                                                      \
    "{\"schemaVersion\":2,\"mediaType\":\"" COB_OCI_TYPE_MANIFEST "\"," CONFIG ",\"layers\":[]}"
#define INDEX "{\"schemaVersion\":2,\"manifests\":[" DESC "]}"

static GBytes *bytes_of(const char *text)
{
    return g_bytes_new(text, strlen(text));
}

/* The table of the header, and what documents of the wild do wrong. */
static const struct {
    const char *text, *content_type;
    enum cob_oci_kind kind; /* OTHER: an error, `want` */
    const char *want;
} recognise_rows[] = {
    {MANIFEST, NULL, COB_OCI_MANIFEST, NULL},
    {INDEX, NULL, COB_OCI_INDEX, NULL},
    {MANIFEST, COB_DOCKER_TYPE_MANIFEST, COB_OCI_MANIFEST, NULL},
    {MANIFEST, COB_OCI_TYPE_MANIFEST "; charset=utf-8", COB_OCI_MANIFEST, NULL},
    {TYPED, "application/json", COB_OCI_MANIFEST, NULL},
    {TYPED, "", COB_OCI_MANIFEST, NULL},
    {TYPED, COB_OCI_TYPE_MANIFEST ";x", COB_OCI_MANIFEST, NULL},
    {MANIFEST, "application/json", COB_OCI_OTHER, "*neither its mediaType nor its Content-Type*"},
    {MANIFEST, "text/plain; charset=utf-8", COB_OCI_OTHER, "*neither its mediaType nor*"},
    {INDEX, "", COB_OCI_OTHER, "*neither its mediaType nor its Content-Type says what it is"},
    {TYPED, COB_DOCKER_TYPE_MANIFEST, COB_OCI_OTHER,
        "*its mediaType is " COB_OCI_TYPE_MANIFEST
        ", and its Content-Type " COB_DOCKER_TYPE_MANIFEST},
    {INDEX, COB_DOCKER_TYPE_INDEX, COB_OCI_INDEX, NULL},
    {MANIFEST, COB_OCI_TYPE_INDEX, COB_OCI_OTHER, "*Content-Type is *index*a manifest's"},
    {INDEX, COB_OCI_TYPE_MANIFEST, COB_OCI_OTHER, "*Content-Type is *manifest*an index's"},
    {MANIFEST, "application/x", COB_OCI_OTHER, "*Content-Type is application/x*"},
    {"{\"schemaVersion\":2,\"mediaType\":\"" COB_OCI_TYPE_INDEX "\"," CONFIG ",\"layers\":[]}",
        COB_OCI_TYPE_INDEX, COB_OCI_OTHER, "*its mediaType is *index*a manifest's"},
    {"{\"schemaVersion\":2,\"mediaType\":\"" COB_OCI_TYPE_MANIFEST "\",\"manifests\":[]}", NULL,
        COB_OCI_OTHER, "*its mediaType is *manifest*an index's"},
    {"{\"schemaVersion\":2," CONFIG ",\"manifests\":[]}", NULL, COB_OCI_OTHER,
        "image document: it is a manifest and an index at once"},
    {"{\"schemaVersion\":2,\"layers\":[],\"manifests\":[]}", NULL, COB_OCI_OTHER,
        "*a manifest and an index at once"},
    {"{\"schemaVersion\":2}", NULL, COB_OCI_OTHER, "*neither a manifest nor an index"},
    {"{" CONFIG ",\"layers\":[]}", NULL, COB_OCI_OTHER, "*schemaVersion is 0 and not 2"},
    {"{\"schemaVersion\":-2," CONFIG "}", NULL, COB_OCI_OTHER, "*schemaVersion is not a whole*"},
    {"{\"schemaVersion\":2,\"layers\":[]}", NULL, COB_OCI_OTHER, "*it has no config"},
    {"[]", NULL, COB_OCI_OTHER, "*it is not an object"},
    {"", NULL, COB_OCI_OTHER, "*parse it: line*"},
    {"{\"config\":1,\"config\":2}", NULL, COB_OCI_OTHER, "*parse it:*"},
};

static void test_recognise(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(recognise_rows); i++) {
        g_autoptr(GBytes) bytes = bytes_of(recognise_rows[i].text);
        enum cob_oci_kind kind = COB_OCI_OTHER;
        const char *type = recognise_rows[i].content_type;

        if (recognise_rows[i].want)
            CHECK_ERROR(cob_oci_recognise(bytes, type, &kind), COB_INVALID, recognise_rows[i].want);
        else
            CHECK_OK(cob_oci_recognise(bytes, type, &kind));
        check_row(kind == recognise_rows[i].kind, i, recognise_rows[i].text);
    }
}

static void test_schema_1(void)
{
    g_autoptr(GBytes) bytes = bytes_of("{\"schemaVersion\":1,\"fsLayers\":[]}");
    enum cob_oci_kind kind = COB_OCI_OTHER;

    CHECK_ERROR(cob_oci_recognise(bytes, NULL, &kind), COB_UNIMPLEMENTED,
        "*Docker's schema 1*push the image again");
}

static const struct {
    enum cob_code code;
    const char *layers, *want;
} layer_rows[] = {
    {COB_INVALID, "{\"digest\":\"" SHA "\",\"size\":-1}", "*layers[0]: size is not a whole*"},
    {COB_INVALID, "{\"digest\":\"" SHA "\",\"size\":1.5}", "*layers[0]: size is not a whole*"},
    {COB_INVALID, "{\"digest\":\"" SHA "\",\"size\":\"7\"}", "*layers[0]: size is not a whole*"},
    {COB_INVALID, "{\"digest\":\"" SHA "\"}", "*layers[0]: size is not a whole*"},
    {COB_INVALID, "{\"digest\":\"" SHA "\",\"size\":99999999999999999999}", "*parse it:*"},
    {COB_EXHAUSTED, "{\"digest\":\"" SHA "\",\"size\":9223372036854775807}",
        "image manifest: layers[0] has 9223372036854775807 bytes, more than *"},
    {COB_INVALID, "{\"size\":7}", "*layers[0]: digest (none) is not one"},
    {COB_INVALID, "{\"digest\":\"sha256:ABC\",\"size\":7}", "*digest sha256:ABC is not one"},
    {COB_INVALID, "{\"digest\":\"sha256:../../../etc/passwd\",\"size\":7}", "*is not one"},
    {COB_INVALID, "{\"digest\":\"md5:" HEX "\",\"size\":7}", "*is not one"},
    {COB_INVALID, "{\"digest\":\"" SHA "0\",\"size\":7}", "*is not one"},
    {COB_INVALID, "{\"digest\":7,\"size\":7}", "*layers[0]: digest is not a string"},
    {COB_INVALID, DESC ",null", "*layers[1]: it is not an object"},
    {COB_INVALID, "{\"digest\":\"" SHA "\",\"size\":7,\"annotations\":{\"a\":1}}",
        "*annotations: a is not a string"},
};

static void test_hostile_layers(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(layer_rows); i++) {
        g_autofree char *text = g_strdup_printf(
            "{\"schemaVersion\":2," CONFIG ",\"layers\":[%s]}", layer_rows[i].layers);
        g_autoptr(GBytes) bytes = bytes_of(text);
        g_autoptr(cob_oci_manifest) manifest = NULL;

        CHECK_ERROR(
            cob_oci_manifest_parse(bytes, NULL, &manifest), layer_rows[i].code, layer_rows[i].want);
        check_row(manifest == NULL, i, layer_rows[i].layers);
    }
}

static void test_limits(void)
{
    g_autoptr(GString) text = g_string_new("{\"schemaVersion\":2," CONFIG ",\"layers\":[" DESC);
    g_autoptr(cob_oci_manifest) manifest = NULL;

    for (int i = 0; i < COB_LIMIT_DESCRIPTORS; i++)
        g_string_append(text, "," DESC);
    g_string_append(text, "]}");
    g_autoptr(GBytes) bytes = g_bytes_new(text->str, text->len);
    CHECK_ERROR(cob_oci_manifest_parse(bytes, NULL, &manifest), COB_EXHAUSTED,
        "image manifest: layers has 10001 entries, more than 10000");
    g_string_set_size(text, COB_LIMIT_MANIFEST_BYTES + 1);
    g_autoptr(GBytes) huge = g_bytes_new(text->str, text->len);
    CHECK_ERROR(cob_oci_manifest_parse(huge, NULL, &manifest), COB_EXHAUSTED,
        "image manifest: it has 4194305 bytes, more than 4194304");
}

static void test_manifest_goes_round(void)
{
    g_autoptr(cob_oci_manifest) manifest = cob_oci_manifest_new(), parsed = NULL;

    manifest->config = cob_oci_descriptor_new(COB_OCI_TYPE_CONFIG, SHA, 12);
    g_ptr_array_add(
        manifest->layers, cob_oci_descriptor_new(COB_OCI_TYPE_LAYER_GZIP, SHA, 1 << 20));
    g_autoptr(GBytes) bytes = cob_oci_manifest_bytes(manifest);
    g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_assert_cmpstr(text, ==,
        "{\"config\":{\"digest\":\"" SHA "\",\"mediaType\":\"" COB_OCI_TYPE_CONFIG
        "\",\"size\":12},\"layers\":[{\"digest\":\"" SHA
        "\",\"mediaType\":\"" COB_OCI_TYPE_LAYER_GZIP
        "\",\"size\":1048576}],\"mediaType\":\"" COB_OCI_TYPE_MANIFEST "\",\"schemaVersion\":2}");
    CHECK_OK(cob_oci_manifest_parse(bytes, COB_OCI_TYPE_MANIFEST, &parsed));
    g_autoptr(GBytes) again = cob_oci_manifest_bytes(parsed);
    g_assert_true(g_bytes_equal(bytes, again));
}

#define ENTRY(os, arch, more)                                                                      \
    "{\"mediaType\":\"" COB_OCI_TYPE_MANIFEST "\",\"digest\":\"" SHA                               \
    "\",\"size\":7,\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"" more "}}"
#define ATTESTATION                                                                                \
    "{\"mediaType\":\"" COB_OCI_TYPE_MANIFEST "\",\"digest\":\"" SHA "\",\"size\":7,"              \
    "\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"},"                              \
    "\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\"}}"

static const struct {
    const char *entries, *os, *arch, *variant;
    int want; /* which entry; -1: none */
} choose_rows[] = {
    {ENTRY("linux", "amd64", "") "," ENTRY("linux", "arm64", ""), "linux", "arm64", "", 1},
    {ENTRY("linux", "arm64", ",\"variant\":\"v8\""), "linux", "arm64", "", 0},
    {ENTRY("linux", "arm", ",\"variant\":\"v6\"") "," ENTRY("linux", "arm", ",\"variant\":\"v7\""),
        "linux", "arm", "v7", 1},
    {ENTRY("windows", "amd64", "") "," ENTRY("linux", "386", ""), "linux", "arm64", "", -1},
    {ATTESTATION "," ENTRY("linux", "amd64", ""), "linux", "amd64", "", 1},
    {ATTESTATION, "linux", "amd64", "", -1},
    {DESC, "linux", "amd64", "", -1}, /* of a type that is no image */
    {"{\"digest\":\"" SHA "\",\"size\":7}," ATTESTATION, "linux", "amd64", "", 0},
    {"", "linux", "amd64", "", -1},
};

static void test_choose(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(choose_rows); i++) {
        g_autofree char *text =
            g_strdup_printf("{\"schemaVersion\":2,\"manifests\":[%s]}", choose_rows[i].entries);
        g_autoptr(GBytes) bytes = bytes_of(text);
        g_autoptr(cob_oci_index) index = NULL;
        g_autoptr(cob_platform) platform =
            cob_platform_new(choose_rows[i].os, choose_rows[i].arch, choose_rows[i].variant, NULL);
        const struct cob_oci_descriptor *chosen = NULL;

        CHECK_OK(cob_oci_index_parse(bytes, NULL, &index));
        g_autoptr(cob_error) err = cob_oci_index_choose(index, platform, &chosen);
        const struct cob_oci_descriptor *want =
            choose_rows[i].want < 0 ? NULL : index->manifests->pdata[choose_rows[i].want];
        check_row(chosen == want && !err == (want != NULL), i, choose_rows[i].entries);
    }
}

static void test_choose_says_what_there_is(void)
{
    g_autoptr(GBytes) bytes = bytes_of("{\"schemaVersion\":2,\"manifests\":[" ENTRY("linux",
        "amd64", "") "," ENTRY("linux", "arm", ",\"variant\":\"v7\"") "," ATTESTATION "]}");
    g_autoptr(cob_oci_index) index = NULL;
    g_autoptr(cob_platform) platform = cob_platform_new("linux", "riscv64", NULL, NULL);
    const struct cob_oci_descriptor *chosen = NULL;

    CHECK_OK(cob_oci_index_parse(bytes, NULL, &index));
    CHECK_ERROR(cob_oci_index_choose(index, platform, &chosen), COB_NOT_FOUND,
        "no image for linux/riscv64; there are linux/amd64, linux/arm/v7");
}

static const char full_config[] =
    "{\"architecture\":\"amd64\",\"author\":\"me\",\"config\":{\"ArgsEscaped\":true,"
    "\"Cmd\":[\"a\",\"b\"],\"Entrypoint\":[],\"Env\":[\"PATH=/bin\",\"A=\"],"
    "\"ExposedPorts\":{\"53/udp\":{},\"80/tcp\":{}},\"Healthcheck\":{\"Interval\":1000000000,"
    "\"Retries\":3,\"StartInterval\":4,\"StartPeriod\":5,\"Test\":[\"CMD-SHELL\",\"x\"],"
    "\"Timeout\":2},\"Labels\":{\"k\":\"v\"},\"OnBuild\":[\"RUN x\"],\"Shell\":[\"/bin/bash\"],"
    "\"StopSignal\":\"SIGINT\",\"User\":\"web\",\"Volumes\":{\"/data\":{}},\"WorkingDir\":\"/\"},"
    "\"created\":\"2024-01-01T00:00:00Z\",\"history\":[{\"author\":\"me\",\"comment\":\"c\","
    "\"created\":\"2024-01-01T00:00:00Z\",\"created_by\":\"RUN\"},{\"empty_layer\":true}],"
    "\"os\":\"linux\",\"os.features\":[\"f\"],\"os.version\":\"1\",\"rootfs\":{\"diff_ids\":[\"" SHA
    "\"],\"type\":\"layers\"},\"variant\":\"v3\"}";

static void test_config_goes_round(void)
{
    g_autoptr(GBytes) bytes = bytes_of(full_config);
    g_autoptr(cob_oci_config) config = NULL;

    CHECK_OK(cob_oci_config_parse(bytes, &config));
    g_autoptr(cob_oci_config) copy = cob_oci_config_copy(config);
    g_autoptr(GBytes) again = cob_oci_config_bytes(copy);
    g_autofree char *text = g_strndup(g_bytes_get_data(again, NULL), g_bytes_get_size(again));
    g_assert_cmpstr(text, ==, full_config);
    g_assert_cmpstr(cob_oci_config_env(config, "A"), ==, "");
    g_assert_null(cob_oci_config_env(config, "PAT"));
}

static void test_config_changes(void)
{
    g_autoptr(cob_oci_config) config = cob_oci_config_new();

    cob_oci_config_set_env(config, "A", "1");
    cob_oci_config_set_env(config, "B", "2");
    cob_oci_config_set_env(config, "A", "3");
    cob_oci_config_set_label(config, "\xff", "\xfe");
    cob_oci_config_set_label(config, "k", "old");
    cob_oci_config_set_label(config, "k", "new");
    cob_oci_config_add_port(config, "80/tcp");
    cob_oci_config_add_port(config, "53/udp");
    cob_oci_config_add_port(config, "80/tcp");
    cob_oci_config_add_volume(config, "/data");
    cob_oci_config_add_history(config, NULL, "RUN x", NULL)->is_empty_layer = true;
    g_autoptr(GBytes) bytes = cob_oci_config_bytes(config);
    g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_assert_cmpstr(text, ==,
        "{\"config\":{\"Env\":[\"A=3\",\"B=2\"],\"ExposedPorts\":{\"53/udp\":{},\"80/tcp\":{}},"
        "\"Labels\":{\"k\":\"new\",\"\xef\xbf\xbd\":\"\xef\xbf\xbd\"},\"Volumes\":{\"/data\":{}}},"
        "\"history\":[{\"created_by\":\"RUN x\",\"empty_layer\":true}],"
        "\"rootfs\":{\"diff_ids\":[],\"type\":\"layers\"}}");
}

static const struct {
    const char *text, *want;
} config_rows[] = {
    {"{\"config\":{\"Env\":[1]}}", "image config: config: Env[0] is not a string"},
    {"{\"config\":{\"Env\":\"A=1\"}}", "image config: config: Env is not an array"},
    {"{\"config\":{\"Env\":[\"a\\u0000b\"]}}", "image config: *"},
    {"{\"config\":{\"Labels\":[]}}", "image config: config: Labels is not an object"},
    {"{\"config\":{\"Labels\":{\"a\":{}}}}", "image config: config: Labels: a is not a string"},
    {"{\"config\":[]}", "image config: config is not an object"},
    {"{\"config\":{\"Healthcheck\":{\"Retries\":\"x\"}}}", "*Retries is not a whole number"},
    {"{\"rootfs\":{\"diff_ids\":[\"sha256:x\"]}}", "*diff_ids[0] sha256:x is not a digest"},
    {"{\"history\":[7]}", "image config: history[0]: it is not an object"},
    {"{\"history\":[{\"empty_layer\":1}]}", "*empty_layer is neither true nor false"},
    {"[]", "image config: it is not an object"},
};

static void test_hostile_configs(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(config_rows); i++) {
        g_autoptr(GBytes) bytes = bytes_of(config_rows[i].text);
        g_autoptr(cob_oci_config) config = NULL;

        CHECK_ERROR(cob_oci_config_parse(bytes, &config), COB_INVALID, config_rows[i].want);
        check_row(config == NULL, i, config_rows[i].text);
    }
}

static void test_media_types(void)
{
    enum cob_oci_packing packing = COB_OCI_PLAIN;

    g_assert_true(cob_oci_layer_packing(COB_DOCKER_TYPE_LAYER_GZIP, &packing));
    g_assert_cmpint(packing, ==, COB_OCI_GZIP);
    g_assert_true(cob_oci_layer_packing(COB_OCI_TYPE_LAYER_ZSTD, &packing));
    g_assert_cmpint(packing, ==, COB_OCI_ZSTD);
    g_assert_false(cob_oci_layer_packing(COB_DOCKER_TYPE_LAYER_FOREIGN, &packing));
    g_assert_false(cob_oci_layer_packing(NULL, &packing));
    g_assert_cmpint(cob_oci_kind_of(COB_DOCKER_TYPE_INDEX), ==, COB_OCI_INDEX);
    g_assert_cmpint(cob_oci_kind_of(NULL), ==, COB_OCI_OTHER);
}

static void test_null_is_fine(void)
{
    cob_oci_descriptor_free(NULL);
    cob_oci_index_free(NULL);
    cob_oci_manifest_free(NULL);
    cob_oci_config_free(NULL);
    g_assert_null(cob_oci_config_copy(NULL));
    g_assert_null(cob_oci_descriptor_copy(NULL));
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/oci/recognise", test_recognise);
    g_test_add_func("/oci/schema-1", test_schema_1);
    g_test_add_func("/oci/hostile-layers", test_hostile_layers);
    g_test_add_func("/oci/limits", test_limits);
    g_test_add_func("/oci/manifest-goes-round", test_manifest_goes_round);
    g_test_add_func("/oci/choose", test_choose);
    g_test_add_func("/oci/choose-says-what-there-is", test_choose_says_what_there_is);
    g_test_add_func("/oci/config-goes-round", test_config_goes_round);
    g_test_add_func("/oci/config-changes", test_config_changes);
    g_test_add_func("/oci/hostile-configs", test_hostile_configs);
    g_test_add_func("/oci/media-types", test_media_types);
    g_test_add_func("/oci/null-is-fine", test_null_is_fine);
    return g_test_run();
}
