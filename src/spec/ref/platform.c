/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "spec/ref/ref.h"

#define MAX_PART_BYTES 64

/* Other names of an architecture. The rank of amd64 and arm lies in their variants. */
static const struct {
    const char *word, *arch, *variant;
} synonyms[] = {
    {"i386", "386", ""},
    {"i486", "386", ""},
    {"i586", "386", ""},
    {"i686", "386", ""},
    {"x86_64", "amd64", NULL},
    {"x86-64", "amd64", NULL},
    {"aarch64", "arm64", NULL},
    {"armhf", "arm", "v7"},
    {"armel", "arm", "v6"},
    {"armv5tel", "arm", "v5"},
    {"armv5tejl", "arm", "v5"},
    {"armv6l", "arm", "v6"},
    {"armv7l", "arm", "v7"},
    {"armv8l", "arm", "v8"},
    {"loongarch64", "loong64", NULL},
};

static const char *const known_archs[] = {"386", "amd64", "arm", "arm64", "loong64", "mips",
    "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x", "wasm", NULL};
static const char *const known_oses[] = {"aix", "android", "darwin", "dragonfly", "freebsd",
    "illumos", "js", "linux", "netbsd", "openbsd", "plan9", "solaris", "wasip1", "windows", NULL};

/* The variant of an architecture in its one written form. */
static const char *normal_variant(const char *arch, const char *variant)
{
    static const struct {
        const char *arch, *variant, *normal;
    } rows[] = {
        {"amd64", "v1", ""},
        {"arm64", "8", ""},
        {"arm64", "v8", ""},
        {"arm64", "v8.0", ""},
        {"arm", "", "v7"},
        {"arm", "5", "v5"},
        {"arm", "6", "v6"},
        {"arm", "7", "v7"},
        {"arm", "8", "v8"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (strcmp(rows[i].arch, arch) == 0 && strcmp(rows[i].variant, variant) == 0)
            return rows[i].normal;
    }
    return variant;
}

struct cob_platform *cob_platform_new(
    const char *os, const char *arch, const char *variant, const char *os_version)
{
    struct cob_platform *platform = g_new(struct cob_platform, 1);
    g_autofree char *low_os = g_ascii_strdown(os, -1);
    g_autofree char *low_arch = g_ascii_strdown(arch, -1);
    g_autofree char *low_variant = g_ascii_strdown(variant ? variant : "", -1);
    const char *normal_arch = low_arch, *normal = low_variant;

    for (size_t i = 0; i < G_N_ELEMENTS(synonyms); i++) {
        if (strcmp(synonyms[i].word, low_arch) != 0)
            continue;
        normal_arch = synonyms[i].arch;
        normal = synonyms[i].variant ? synonyms[i].variant : low_variant;
    }
    *platform = (struct cob_platform){
        .os = g_strdup(strcmp(low_os, "macos") == 0 ? "darwin" : low_os),
        .arch = g_strdup(normal_arch),
        .variant = g_strdup(normal_variant(normal_arch, normal)),
        .os_version = g_strdup(os_version ? os_version : ""),
    };
    return platform;
}

struct cob_platform *cob_platform_of_machine(const char *machine)
{
    return cob_platform_new("linux", machine, NULL, NULL);
}

#define WORD_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

static bool is_part(const char *part)
{
    size_t len = 0;

    while (g_ascii_isalnum(part[len]) || (part[len] && strchr("_.-", part[len])))
        len++;
    return len > 0 && len <= MAX_PART_BYTES && part[len] == '\0';
}

/* "windows(10.0.17763)": cut the version off, with what %28 and the like stand for.
 * ret_version: the caller's; NULL: none. */
static bool take_version(char *os, char **ret_version)
{
    char *open = strchr(os, '(');
    const size_t len = open ? strlen(open) : 0;

    if (open)
        *open = '\0';
    if (!is_part(os) || strchr(os, '.'))
        return false;
    if (!open)
        return true;
    if (len < 2 || open[len - 1] != ')' || len > MAX_PART_BYTES)
        return false;
    g_autofree char *version = g_strndup(open + 1, len - 2);
    if (version[strspn(version, WORD_LETTERS ".%")] != '\0')
        return false;
    *ret_version = g_uri_unescape_string(version, NULL);
    return *ret_version != NULL;
}

/* containerd's words. */
#define BAD_OS                                                                                     \
    "\"%.200s\" is an invalid OS component of \"%.200s\": OSAndVersion specifier component must "  \
    "match "                                                                                       \
    "\"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%%-]*)((?:\\\\+[A-Za-z0-9_.%%-]+)*)\\\\))?$\": "      \
    "invalid argument"
#define BAD_PART                                                                                   \
    "\"%.200s\" is an invalid component of \"%.200s\": platform specifier component must match "   \
    "\"^[A-Za-z0-9_.-]+$\": invalid argument"

/* One word: "local", an OS, or an architecture. NULL when it is none of them. */
static struct cob_platform *from_word(
    const char *word, const char *version, const struct cob_platform *host)
{
    g_autoptr(cob_platform) as_os = cob_platform_new(word, host->arch, host->variant, version);
    g_autoptr(cob_platform) as_arch = cob_platform_new(host->os, word, NULL, NULL);

    if (strcmp(word, "local") == 0)
        return cob_platform_new(host->os, host->arch, host->variant, host->os_version);
    if (g_strv_contains(known_oses, as_os->os))
        return g_steal_pointer(&as_os);
    if (!version && g_strv_contains(known_archs, as_arch->arch))
        return g_steal_pointer(&as_arch);
    return NULL;
}

/* "linux(1+feature)": containerd's rule allows it, but neither an image's config nor the choice of
 * one out of an index would heed the features here. */
static struct cob_error *refuse_features(const char *os)
{
    const char *open = strchr(os, '('), *plus = open ? strchr(open, '+') : NULL;

    if (!plus || open == os || plus[1] == '\0' || plus[1] == ')' ||
        plus[strspn(plus, WORD_LETTERS ".%+")] != ')')
        return NULL;
    return cob_fail(COB_UNIMPLEMENTED,
        "features of an OS are not supported: \"%.200s\": leave out what follows the first '+'",
        os);
}

struct cob_error *cob_platform_parse(
    const char *text, const struct cob_platform *host, struct cob_platform **ret_platform)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 4);
    unsigned n_parts = g_strv_length(parts);
    g_autofree char *os = g_strdup(parts[0]);
    g_autofree char *version = NULL;

    if (strchr(text, '*'))
        return cob_fail(
            COB_INVALID, "\"%.200s\": wildcards not yet supported: invalid argument", text);
    if (os)
        COB_TRY(refuse_features(os));
    if (os && !take_version(os, &version))
        return cob_fail(COB_INVALID, BAD_OS, parts[0], text);
    for (unsigned i = 1; i < n_parts; i++) {
        if (!is_part(parts[i]))
            return cob_fail(COB_INVALID, BAD_PART, parts[i], text);
    }
    if (n_parts < 1 || n_parts > 3)
        return cob_fail(COB_INVALID,
            "\"%.200s\": cannot parse platform specifier: invalid argument: write os/arch or "
            "os/arch/variant, as in linux/arm/v7",
            text);
    if (n_parts == 1) {
        struct cob_platform *platform = from_word(os, version, host);

        if (!platform)
            return cob_fail(COB_INVALID,
                "\"%s\": unknown operating system or architecture: invalid argument", text);
        *ret_platform = platform;
        return NULL;
    }
    *ret_platform = cob_platform_new(os, parts[1], n_parts == 3 ? parts[2] : NULL, version);
    return NULL;
}

char *cob_platform_text(const struct cob_platform *platform)
{
    bool has_variant = platform->variant[0] != '\0', has_version = platform->os_version[0] != '\0';
    g_autoptr(GString) version = g_string_new(platform->os_version);

    g_string_replace(version, "%", "%25", 0);
    for (const char *mark = "+()/"; *mark; mark++) {
        const char from[] = {*mark, '\0'};
        g_autofree char *to = g_strdup_printf("%%%02X", (unsigned)*mark);

        g_string_replace(version, from, to, 0);
    }
    return g_strconcat(platform->os, has_version ? "(" : "", version->str, has_version ? ")" : "",
        "/", platform->arch, has_variant ? "/" : "", platform->variant, NULL);
}

/* The number of a variant: v3 is 3, "" is `standard`; 0 when it is no number. */
static int level(const char *variant, int standard)
{
    if (variant[0] == '\0')
        return standard;
    if (variant[0] == 'v' && g_ascii_isdigit(variant[1]) && variant[2] == '\0')
        return variant[1] - '0';
    return 0;
}

/* Lower levels run on higher ones: how many levels down is `have`? */
static int levels_down(int want, int have)
{
    return want > 0 && have > 0 && have <= want ? want - have : -1;
}

/* Windows images run on their own build alone; other systems have no such number. */
static bool is_version_fit(const struct cob_platform *want, const struct cob_platform *have)
{
    if (strcmp(want->os, "windows") != 0 || !want->os_version[0] || !have->os_version[0])
        return true;
    return g_str_has_prefix(have->os_version, want->os_version);
}

int cob_platform_rank(const struct cob_platform *want, const struct cob_platform *have)
{
    const char *want_arch = want->arch, *have_arch = have->arch;

    if (strcmp(want->os, have->os) != 0 || !is_version_fit(want, have))
        return -1;
    if (cob_platform_equal(want, have))
        return 0;
    if (strcmp(want_arch, "amd64") == 0) {
        int top = level(want->variant, 1);

        if (strcmp(have_arch, "amd64") == 0)
            return levels_down(top, level(have->variant, 1));
        return strcmp(have_arch, "386") == 0 && top > 0 ? top : -1;
    }
    if (strcmp(want_arch, "arm") == 0 && strcmp(have_arch, "arm") == 0)
        return levels_down(level(want->variant, 7), level(have->variant, 7));
    if (strcmp(want_arch, "arm64") == 0 && strcmp(have_arch, "arm") == 0) {
        int down = levels_down(8, level(have->variant, 7));

        return down < 0 ? -1 : down + 10; /* behind each kind of arm64 */
    }
    if (strcmp(want_arch, "arm64") == 0 && strcmp(have_arch, "arm64") == 0)
        return have->variant[0] == '\0' ? 1 : -1; /* plain arm64 runs on v9 */
    return -1;
}

bool cob_platform_matches(const struct cob_platform *want, const struct cob_platform *have)
{
    return cob_platform_rank(want, have) >= 0;
}

bool cob_platform_equal(const struct cob_platform *a, const struct cob_platform *b)
{
    return strcmp(a->os, b->os) == 0 && strcmp(a->arch, b->arch) == 0 &&
           strcmp(a->variant, b->variant) == 0;
}

void cob_platform_free(struct cob_platform *platform)
{
    if (!platform)
        return;
    g_free(platform->os);
    g_free(platform->arch);
    g_free(platform->variant);
    g_free(platform->os_version);
    g_free(platform);
}
