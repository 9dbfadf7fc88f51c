/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rules say of a Dockerfile: a row each, what it warns of as one line a warning.
 * The texts are BuildKit's, and most of the cases those of its own tests.
 */
#include "check.h"
#include "fake_images.h"
#include "lang/ignore/ignore.h"
#include "util/limits.h"

struct row {
    const char *name, *text;
    const char *want;     /* "Rule: text (line 3)\n" for each */
    const char *ignore;   /* patterns between spaces; NULL: none */
    const char *arg;      /* "NAME=value"; NULL: none */
    const char *error;    /* a glob of its message; NULL: none */
    const char *platform; /* of the target; NULL: the machine's */
    bool is_built;        /* not only checked: what is not reached is not looked at */
};

#define F "FROM scratch\n"

static const struct row rules[] = {
    {.name = "stage-name-casing",
        "FROM scratch AS BadName\n",
        "StageNameCasing: Stage name 'BadName' should be lowercase (line 1)\n"},
    {.name = "stage-name-lower", "FROM scratch AS good\n", ""},
    {.name = "from-as-casing",
        "FROM scratch as base\n",
        "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)\n"},
    {.name = "from-as-casing-lower",
        "from scratch AS base\n",
        "FromAsCasing: 'AS' and 'from' keywords' casing do not match (line 1)\n"},
    {.name = "from-as-lower", "from scratch as base\n", ""},
    {.name = "empty-continuation",
        F "COPY a \\\n\n b\nCOPY a \\\n b\n",
        "NoEmptyContinuation: Empty continuation line (line 4)\n"},
    {.name = "comment-is-no-empty-continuation", F "COPY a \\\n# x\n b\n", ""},
    {.name = "instruction-casing",
        F "copy a /b\nCOPY a /c\n",
        "ConsistentInstructionCasing: Command 'copy' should match the case of the command majority "
        "(uppercase) (line 2)\n"},
    {.name = "instruction-casing-lower",
        "from scratch\nCOPY a /b\ncopy a /c\n",
        "ConsistentInstructionCasing: Command 'COPY' should match the case of the command majority "
        "(lowercase) (line 2)\n"},
    {.name = "instruction-casing-mixed",
        "frOM scratch as base\nfrom scratch as base2\n",
        "ConsistentInstructionCasing: Command 'frOM' should match the case of the command majority "
        "(lowercase) (line 1)\n"},
    {.name = "instruction-casing-same", "from scratch\ncopy a /b\n", ""},
    {.name = "duplicate-stage",
        "FROM scratch AS b\nFROM scratch AS b\n",
        "DuplicateStageName: Duplicate stage name \"b\", stage names should be unique (line 2)\n"},
    {.name = "reserved-stage",
        "FROM scratch AS scratch\nFROM empty AS context\n",
        "ReservedStageName: Stage name should not use the same name as reserved stage \"scratch\" "
        "(line 1)\n"
        "ReservedStageName: Stage name should not use the same name as reserved stage \"context\" "
        "(line 2)\n"},
    {.name = "json-args",
        F "CMD run\nENTRYPOINT run\n",
        "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior "
        "related to OS signals (line 2)\n"
        "JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended "
        "behavior related to OS signals (line 3)\n"},
    {.name = "json-args-with-own-shell",
        "FROM scratch AS a\nSHELL [\"/sh\"]\nFROM a\nCMD run\nENTRYPOINT run\n",
        ""},
    {.name = "json-args-given", F "CMD [\"run\"]\n", ""},
    {.name = "maintainer",
        F "MAINTAINER me\n",
        "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line "
        "2)\n"},
    {.name = "from-arg",
        "ARG tag=latest\nFROM busybox:${tag}${version} AS b\n",
        "UndefinedArgInFrom: FROM argument 'version' is not declared (line 2)\n"},
    {.name = "from-arg-without-value", "ARG DEBUG\nFROM scratch${DEBUG}\n", ""},
    {.name = "from-arg-default", "ARG DEBUG\nFROM scra${DEBUG:-tch}\n", ""},
    {.name = "from-platform-arg",
        "FROM --platform=$BULIDPLATFORM scratch\n",
        "UndefinedArgInFrom: FROM argument 'BULIDPLATFORM' is not declared (did you mean "
        "BUILDPLATFORM?) (line 1)\n",
        .error = "empty platform value from expression $BULIDPLATFORM (did you mean "
                 "BUILDPLATFORM?)"},
    {.name = "from-platform-part",
        "ARG MY_ARCH=amd64\nFROM --platform=linux/${MYARCH} busybox\n",
        "UndefinedArgInFrom: FROM argument 'MYARCH' is not declared (did you mean MY_ARCH?) (line "
        "2)\n",
        .error = "failed to parse platform linux/${MYARCH}: *(did you mean MY_ARCH?)"},
    {.name = "workdir",
        F "WORKDIR app/\nWORKDIR more\n",
        "WorkdirRelativePath: Relative workdir \"app/\" can have unexpected results if the base "
        "image changes (line 2)\n"},
    {.name = "workdir-in-base-stage", "FROM scratch AS a\nWORKDIR /app\nFROM a\nWORKDIR b\n", ""},
    {.name = "undefined",
        "FROM empty\nCOPY $foo .\nARG foo=bar\nCOPY $foo .\n",
        "UndefinedVar: Usage of undefined variable '$foo' (line 2)\n"},
    {.name = "undefined-near",
        F "ARG DIR_ASSETS=assets/\nENV A=$DIR_ASSET\n",
        "UndefinedVar: Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?) (line "
        "3)\n"},
    {.name = "undefined-path",
        F "ENV PATH=$PAHT:/bin\n",
        "UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?) (line 2)\n"},
    {.name = "undefined-in-document",
        F "COPY <<E /a\n$x\nE\nCOPY <<\"E\" /a\n$x\nE\n",
        "UndefinedVar: Usage of undefined variable '$x' (line 2)\n"},
    {.name = "undefined-in-arg",
        F "ARG A=$x B=$A\n",
        "UndefinedVar: Usage of undefined variable '$x' (line 2)\n"},
    {.name = "undefined-is-the-shells-in-run", "FROM empty\nRUN echo $x\nCMD [\"$x\"]\n", ""},
    {.name = "declared-without-value", F "ARG foo\nCOPY a$foo .\n", ""},
    {.name = "declared-in-base-stage", "FROM scratch AS b\nARG foo\nFROM b\nCOPY a$foo .\n", ""},
    {.name = "set-by-image", "FROM golang\nCOPY a $GOPATH/b\n", ""},
    {.name = "multiple",
        F "CMD [\"a\"]\nCMD [\"b\"]\nHEALTHCHECK NONE\nHEALTHCHECK CMD [\"a\"]\n"
          "ENTRYPOINT [\"a\"]\nUSER x\nENTRYPOINT [\"b\"]\n",
        "MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same "
        "stage because only the last one will be used (line 2)\n"
        "MultipleInstructionsDisallowed: Multiple HEALTHCHECK instructions should not be used in "
        "the same stage because only the last one will be used (line 4)\n"
        "MultipleInstructionsDisallowed: Multiple ENTRYPOINT instructions should not be used in "
        "the same stage because only the last one will be used (line 6)\n"},
    {.name = "once-in-each-stage", "FROM scratch AS a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]\n", ""},
    {.name = "legacy-pair",
        F "ENV k value\nLABEL k value\nENV a=b\nLABEL a=b\n",
        "LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key "
        "value\" format (line 2)\n"
        "LegacyKeyValueFormat: \"LABEL key=value\" should be used instead of legacy \"LABEL key "
        "value\" format (line 3)\n"},
    {.name = "base-platform",
        "FROM busybox\nCOPY --from=debian a b\n",
        "InvalidBaseImagePlatform: Base image debian was pulled with platform \"linux/amd64\", "
        "expected \"linux/arm64\" for current build (line 2)\n"
        "InvalidBaseImagePlatform: Base image busybox was pulled with platform \"linux/amd64\", "
        "expected \"linux/arm64\" for current build (line 1)\n",
        .platform = "linux/arm64"},
    {.name = "base-platform-right",
        "FROM --platform=$BUILDPLATFORM busybox\n",
        "",
        .platform = "linux/arm64"},
    {.name = "redundant-platform",
        "FROM --platform=${TARGETPLATFORM} scratch\n",
        "RedundantTargetPlatform: Setting platform to predefined ${TARGETPLATFORM} in FROM is "
        "redundant as this is the default behavior (line 1)\n"},
    {.name = "build-platform", "FROM --platform=$BUILDPLATFORM scratch\n", ""},
    {.name = "secret",
        F "ARG SECRET_PASSPHRASE\nENV SUPER_Secret=foo\nENV password=bar secret=baz\nENV git_key=\n"
          "ENV PUBLIC_KEY=\nARG public_token\nARG SECRET_FILE\nARG AUTH_MODULE_VERSION\nARG keys\n",
        "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "
        "\"SECRET_PASSPHRASE\") (line 2)\n"
        "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "
        "\"SUPER_Secret\") (line 3)\n"
        "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "
        "\"password\") (line 4)\n"
        "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "
        "\"secret\") (line 4)\n"
        "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "
        "\"git_key\") (line 5)\n"},
    {.name = "default-arg-empty-tag",
        "ARG VERSION\nFROM busybox:$VERSION\n",
        "InvalidDefaultArgInFrom: Default value for ARG busybox:$VERSION results in empty or "
        "invalid base image name (line 2)\n",
        .arg = "VERSION=latest"},
    {.name = "default-arg-no-name",
        "ARG IMAGE\nFROM $IMAGE\n",
        "InvalidDefaultArgInFrom: Default value for ARG $IMAGE results in empty or invalid base "
        "image name (line 2)\n",
        .arg = "IMAGE=busybox"},
    {.name = "default-arg-is-warned-of-once",
        "ARG IMAGE\nFROM $IMAGE\n",
        "InvalidDefaultArgInFrom: Default value for ARG $IMAGE results in empty or invalid base "
        "image name (line 2)\n",
        .error = "base name ($IMAGE) should not be blank"},
    {.name = "default-arg-good",
        "ARG VARIANT\nFROM busybox:stable${VARIANT}\n",
        "",
        .arg = "VARIANT=-x"},
    {.name = "const-platform",
        "FROM --platform=linux/amd64 scratch\n",
        "FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "
        "\"linux/amd64\" (line 1)\n"},
    {.name = "const-platform-of-stage",
        "FROM --platform=linux/amd64 scratch AS my_amd64_stage\n",
        ""},
    {.name = "ignored-file",
        F "COPY Dockerfile .\nADD ./Dockerfile /w\nCOPY x .\n",
        "CopyIgnoredFile: Attempting to Copy file \"Dockerfile\" that is excluded by .dockerignore "
        "(line 2)\n"
        "CopyIgnoredFile: Attempting to Add file \"Dockerfile\" that is excluded by .dockerignore "
        "(line 3)\n",
        .ignore = "Dockerfile"},
    {.name = "ignored-below",
        F "COPY a/b/c .\n",
        "CopyIgnoredFile: Attempting to Copy file \"a/b/c\" that is excluded by .dockerignore "
        "(line 2)\n",
        .ignore = "a"},
    {.name = "ignored-but-brought-back", F "COPY Dockerfile .\n", "", .ignore = "** !Dockerfile"},
    {.name = "ignored-with-a-file-brought-back", F "COPY dir .\n", "", .ignore = "dir !dir/x"},
    {.name = "ignored-in-a-stage",
        "FROM scratch AS b\nFROM b\nCOPY --from=b /foo /x\n",
        "",
        .ignore = "foo"},
    {.name = "ignored-dot-files", F "COPY . .\n", "", .ignore = ".*"},
    {.name = "ignored-all",
        F "COPY . .\n",
        "CopyIgnoredFile: Attempting to Copy file \".\" that is excluded by .dockerignore (line "
        "2)\n",
        .ignore = "*"},
    {.name = "description",
        "# check=experimental=InvalidDefinitionDescription\n# bar this\nARG foo=bar\n"
        "# BasE this\nFROM scratch AS base\n# bad\nARG version=1\n# bad\nARG foo=1 bar=2\n"
        "# version fine\nARG version=1\n# bad\n#\nARG x\n",
        "InvalidDefinitionDescription: Comment for ARG should follow the format: `# foo "
        "<description>` (line 3)\n"
        "InvalidDefinitionDescription: Comment for FROM should follow the format: `# base "
        "<description>` (line 5)\n"
        "InvalidDefinitionDescription: Comment for ARG should follow the format: `# version "
        "<description>` (line 7)\n"
        "InvalidDefinitionDescription: Comment for ARG should follow the format: `# <arg_key> "
        "<description>` (line 9)\n"},
    {.name = "description-is-experimental", "# bad\nARG foo=bar\n" F, ""},
    {.name = "description-with-all",
        "# check=skip=all;experimental=all\n# bad\nARG foo\nfrom scratch\n",
        "InvalidDefinitionDescription: Comment for ARG should follow the format: `# foo "
        "<description>` (line 3)\n"},
    {.name = "expose-casing",
        F "EXPOSE 80/TcP 8080/udp\n",
        "ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase "
        "(line 2)\n"},
    {.name = "expose-format",
        F "EXPOSE 127.0.0.1:80:80 [::1]:8080:8080 5000:5000 8000\n",
        "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port "
        "mapping, found '127.0.0.1:80:80' (line 2)\n"
        "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port "
        "mapping, found '5000:5000' (line 2)\n"
        "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port "
        "mapping, found '[::1]:8080:8080' (line 2)\n"},
    {.name = "mount-variable",
        "FROM empty\nRUN --mount=type=cache,target=$HOME/.cache make\n",
        "UndefinedVar: Usage of undefined variable '$HOME' (line 2)\n"},
    {.name = "mount-tilde",
        "FROM empty\nRUN --mount=type=cache,target=~/.cache --mount=type=cache,target=/~,id=$(id) "
        "make\n",
        "MountShellSyntax: '~' in mount option 'target=~/.cache' is taken as it stands, no shell "
        "reads it (line 2)\n"
        "MountShellSyntax: '$(...)' in mount option 'id=$(id)' is taken as it stands, no shell "
        "reads it (line 2)\n"},
    {.name = "mount-good",
        "FROM empty\nENV HOME=/root\nRUN --mount=type=cache,target=$HOME/.cache make\n",
        ""},
    {.name = "cache-mount",
        "FROM golang\nRUN go build && npm ci\nRUN --mount=type=cache,target=/c go build\n"
        "RUN echo go build\n",
        "CacheMountSuggested: RUN calls go, npm: keep the cache from build to build with "
        "--mount=type=cache,target=/root/.cache/go-build --mount=type=cache,target=/go/pkg/mod "
        "--mount=type=cache,target=/root/.npm, or build with --cache-mounts=auto (line 2)\n"},
    {.name = "cache-mount-locked",
        "FROM empty\nUSER app\nRUN cargo build\n",
        "CacheMountSuggested: RUN calls cargo: keep the cache from build to build with "
        "--mount=type=cache,target=/home/app/.cargo/registry,sharing=locked "
        "--mount=type=cache,target=/home/app/.cargo/git,sharing=locked, or build with "
        "--cache-mounts=auto (line 3)\n"},
    {.name = "cache-mount-of-a-build", "FROM golang\nRUN go build\n", "", .is_built = true},
    {.name = "cache-mount-of-an-unknown-base",
        "FROM missing\nRUN go build\n",
        "",
        .error = "missing: docker.io/library/missing:latest: not found"},
};

static const struct row options[] = {
    {.name = "skip",
        "# check=skip=FromAsCasing,ConsistentInstructionCasing\nFROM scratch as b\ncopy a b\n",
        ""},
    {.name = "skip-one",
        "# check=skip=ConsistentInstructionCasing\nFROM scratch as b\ncopy a b\n",
        "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)\n"},
    {.name = "skip-all", "# check=skip=all;error=true\nFROM scratch as b\ncopy a b\n", ""},
    {.name = "unknown-rules", "# check=skip=NoSuchRule\n" F "CMD [\"a\"]\n", ""},
    {.name = "error",
        "# check=error=true\nFROM scratch as b\nMAINTAINER x\nMAINTAINER y\n",
        "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)\n"
        "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line "
        "3)\n"
        "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line "
        "4)\n",
        .error = "lint violation found for rules: FromAsCasing, MaintainerDeprecated"},
    {.name = "error-of-a-build",
        "# check=error=true\nFROM scratch as b\n",
        "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)\n",
        .error = "lint violation found for rules: FromAsCasing",
        .is_built = true},
    {.name = "suggestion-is-no-error",
        "# check=error=true\nFROM empty\nRUN npm ci\n",
        "CacheMountSuggested: RUN calls npm: keep the cache from build to build with "
        "--mount=type=cache,target=/root/.npm, or build with --cache-mounts=auto (line 3)\n"},
    {.name = "suggestion-is-skipped",
        "# check=skip=CacheMountSuggested\nFROM empty\nRUN npm ci\n",
        ""},
    {.name = "suggestion-is-skipped-once",
        "FROM empty\n# check=skip=CacheMountSuggested\nRUN npm ci\n",
        ""},
    {.name = "error-without-one", "# check=error=true\n" F, "", .is_built = true},
    {.name = "argument-before-file",
        "# check=skip=all\nFROM scratch as b\n",
        "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)\n",
        .arg = "BUILDKIT_DOCKERFILE_CHECK=error=true",
        .error = "lint violation found for rules: FromAsCasing"},
    {.name = "above-an-instruction",
        F "# check=skip=SecretsUsedInArgOrEnv // for a reason\nENV password=a\n"
          "# check=skip=all\nARG password\nENV password=a\n",
        "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "
        "\"password\") (line 6)\n"},
    {.name = "above-a-stage",
        "#\n\n# check=skip=RedundantTargetPlatform\n"
        "FROM --platform=$TARGETPLATFORM scratch\n",
        ""},
    {.name = "error-above-an-instruction-is-none",
        F "# check=error=true\nMAINTAINER x\n",
        "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line "
        "3)\n"},
    {.name = "bad-option",
        "# check=skip\n" F,
        "",
        .error = "failed to parse check options: invalid check option \"skip\""},
    {.name = "bad-bool",
        "# check=error=maybe\n" F,
        "",
        .error = "failed to parse check options: failed to parse check option \"error=maybe\": "
                 "strconv.ParseBool: parsing \"maybe\": invalid syntax"},
    {.name = "bad-argument",
        F,
        "",
        .arg = "BUILDKIT_DOCKERFILE_CHECK=a=b",
        .error = "failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK: invalid check option \"a\""},
    {.name = "every-stage",
        "FROM scratch AS a\nENV A=$foo\nFROM scratch\nENV A=$bar\n",
        "UndefinedVar: Usage of undefined variable '$foo' (line 2)\n"
        "UndefinedVar: Usage of undefined variable '$bar' (line 4)\n"},
    {.name = "a-build-looks-where-it-goes",
        "FROM scratch AS a\nENV A=$foo\nFROM scratch\nENV A=$bar\n",
        "UndefinedVar: Usage of undefined variable '$bar' (line 4)\n",
        .is_built = true},
    {.name = "missing-image-is-no-end",
        "FROM missing\nENV A=$GOPATH\nCMD run\nFROM scratch\nENV A=$x\n",
        "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior "
        "related to OS signals (line 3)\n"
        "UndefinedVar: Usage of undefined variable '$x' (line 5)\n",
        .error = "missing: docker.io/library/missing:latest: not found"},
    {.name = "before-a-parse-error",
        "FROM scratch AS Bad\nMAINTAINER x\nBADCMD\nMAINTAINER y\n",
        "StageNameCasing: Stage name 'Bad' should be lowercase (line 1)\n"
        "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line "
        "2)\n",
        .error = "dockerfile parse error on line 3: unknown instruction: BADCMD*"},
};

static struct cob_error *check(
    struct cob_srcfile *file, struct cob_dockerfile_request *request, const struct row *row)
{
    g_autoptr(cob_dockerfile) dockerfile = NULL;
    struct cob_dockerfile_result result = {0};
    struct cob_error *err = cob_dockerfile_parse(file, &dockerfile);

    if (err) {
        cob_dockerfile_warn_unparsed(file, request);
        return err;
    }
    if (!row->is_built)
        return cob_dockerfile_check(dockerfile, request, &fake_images);
    err = cob_dockerfile_to_llb(dockerfile, request, &fake_images, &result);
    cob_dockerfile_result_done(&result);
    return err;
}

static char *show(const GPtrArray *warnings)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < warnings->len; i++) {
        const struct cob_dockerfile_warning *warning = g_ptr_array_index(warnings, i);

        g_string_append_printf(
            out, "%s: %s (line %d)\n", warning->rule, warning->text, warning->range.first_line);
    }
    return g_string_free(out, FALSE);
}

/* Say what was got and wanted, where it differs. */
static void compare(const struct row *row, const char *got, const char *want)
{
    if (g_pattern_match_simple(want, got))
        return;
    g_test_message("%s: got\n%s\nwanted\n%s", row->name, got, want);
    g_test_fail();
}

static void test_row(const struct row *row)
{
    g_autoptr(GBytes) bytes = g_bytes_new_static(row->text, strlen(row->text));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);
    g_autoptr(GPtrArray) warnings = cob_dockerfile_warnings_new();
    g_autoptr(GHashTable) args = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) patterns = g_strsplit(row->ignore ? row->ignore : "", " ", -1);
    g_autoptr(cob_ignore) ignore = NULL;
    const char *equals = row->arg ? strchr(row->arg, '=') : NULL;
    struct cob_dockerfile_request request = {.build_platform = "linux/amd64",
        .target_platform = row->platform,
        .build_args = args,
        .warnings = warnings,
        .is_check = !row->is_built};

    if (equals)
        g_hash_table_insert(args, g_strndup(row->arg, (size_t)(equals - row->arg)),
            (char *)(uintptr_t)(equals + 1));
    CHECK_OK(cob_ignore_new((const char *const *)patterns, &ignore));
    request.ignore = row->ignore ? ignore : NULL;
    g_autoptr(cob_error) err = check(file, &request, row);
    g_autofree char *message = err ? cob_error_message(err) : g_strdup("");
    g_autofree char *got = show(warnings);
    compare(row, message, row->error ? row->error : "");
    compare(row, got, row->want);
}

static void test_rules(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
        test_row(&rules[i]);
}

static void test_options(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
        test_row(&options[i]);
}

/* What a rule says beside the line itself. */
static void test_rules_explain_themselves(void)
{
    static const char text[] = F "CMD run\n";
    g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);
    g_autoptr(cob_dockerfile) dockerfile = NULL;
    g_autoptr(GPtrArray) warnings = cob_dockerfile_warnings_new();
    struct cob_dockerfile_request request = {.warnings = warnings, .is_check = true};

    CHECK_OK(cob_dockerfile_parse(file, &dockerfile));
    CHECK_OK(cob_dockerfile_check(dockerfile, &request, &fake_images));
    CHECK_OK(cob_dockerfile_check(dockerfile, &request, &fake_images)); /* the list begins anew */
    g_assert_cmpint(warnings->len, ==, 1);
    if (warnings->len != 1)
        return;
    const struct cob_dockerfile_warning *warning = g_ptr_array_index(warnings, 0);
    g_assert_cmpstr(
        warning->url, ==, "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/");
    g_assert_cmpstr(warning->description, ==,
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to "
        "OS signals");
}

/* A warning, and many names to suggest, on each of many lines: no more than so many are kept, and
 * none costs more than the first ones. */
static void test_there_are_only_so_many(void)
{
    g_autoptr(GString) text = g_string_new(F);
    g_autoptr(GPtrArray) warnings = cob_dockerfile_warnings_new();
    g_autoptr(cob_dockerfile) dockerfile = NULL;
    struct cob_dockerfile_request request = {.warnings = warnings, .is_check = true};

    for (int i = 0; i < 5000; i++)
        g_string_append_printf(text, "ARG some_long_name_%d=1\n", i);
    for (int i = 0; i < 90000; i++)
        g_string_append_printf(text, "USER $some_lung_name_%d_%060d\n", i, 0);
    g_autoptr(GBytes) bytes = g_bytes_new(text->str, text->len);
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);
    const gint64 start_us = g_get_monotonic_time();
    CHECK_OK(cob_dockerfile_parse(file, &dockerfile));
    CHECK_OK(cob_dockerfile_check(dockerfile, &request, &fake_images));
    g_test_message(
        "%zu bytes: %d ms", text->len, (int)((g_get_monotonic_time() - start_us) / 1000));
    g_assert_cmpint(warnings->len, ==, COB_LIMIT_LINT_WARNINGS + 1);
    const struct cob_dockerfile_warning *last = g_ptr_array_index(warnings, warnings->len - 1);
    g_assert_cmpstr(last->rule, ==, "TooManyWarnings");
    g_assert_cmpstr(last->text, ==, "More than 1000 warnings, only the first are shown");
}

/* --- outline and targets --- */

static void show_inputs(GString *out, const char *title, const GPtrArray *inputs)
{
    for (guint i = 0; i < inputs->len; i++) {
        const struct cob_dockerfile_input *input = g_ptr_array_index(inputs, i);

        g_string_append_printf(out, "%s %s=%s (%s)%s line %d\n", title, input->name,
            input->value ? input->value : "", input->description ? input->description : "",
            input->is_required ? " required" : "", input->range.first_line);
    }
}

static char *outline_of(const char *text, const char *target, const char *arg)
{
    g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);
    g_autoptr(cob_dockerfile) dockerfile = NULL;
    g_autoptr(GHashTable) args = g_hash_table_new(g_str_hash, g_str_equal);
    struct cob_dockerfile_request request = {.target = target, .build_args = args};
    struct cob_dockerfile_outline outline = {0};
    GString *out = g_string_new(NULL);

    g_hash_table_insert(args, (char *)(uintptr_t) "BAR", (char *)(uintptr_t)arg);
    CHECK_OK(cob_dockerfile_parse(file, &dockerfile));
    CHECK_OK(cob_dockerfile_outline(dockerfile, &request, &fake_images, &outline));
    g_string_append_printf(out, "%s: %s\n", outline.name ? outline.name : "",
        outline.description ? outline.description : "");
    show_inputs(out, "arg", outline.args);
    show_inputs(out, "secret", outline.secrets);
    show_inputs(out, "ssh", outline.ssh);
    cob_dockerfile_outline_done(&outline);
    return g_string_free(out, FALSE);
}

/* spec: BuildKit dockerfile_outline_test.go, testOutlineArgs and testOutlineSecrets. */
static void test_outline(void)
{
    g_autofree char *got = outline_of(
        "\nARG inherited=box\nARG inherited2=box2\nARG unused=abc${inherited2}\n"
        "# sfx is a suffix\nARG sfx=\"usy${inherited}\"\n\nFROM b${sfx} AS first\n"
        "# this is not assigned to anything\nARG FOO=123\n# BAR is a number\nARG BAR=456\n"
        "RUN --mount=type=secret,target=/etc/passwd,required=true true\n\n"
        "FROM alpine${unused} AS second\nARG BAZ\nRUN --mount=type=secret,id=unused true\n\n"
        "FROM scratch AS third\nARG ABC=a\n# password will show up\n# check=skip=all\n"
        "ARG password\n\n# target defines build target\nFROM third AS target\n"
        "ARG BAR\nRUN --mount=type=secret,id=second${BAR} true\n"
        "COPY --from=first /etc/passwd /\n\nFROM second\n",
        "target", "678");

    g_assert_cmpstr(got, ==,
        "target: defines build target\n"
        "arg inherited=box () line 2\n"
        "arg sfx=usybox (is a suffix) line 6\n"
        "arg FOO=123 () line 10\n"
        "arg ABC=a () line 20\n"
        "arg password= (will show up) line 23\n"
        "arg BAR=678 () line 27\n"
        "secret passwd= () required line 13\n"
        "secret second678= () line 28\n");
}

/* spec: BuildKit dockerfile_outline_test.go, testOutlineRecursiveArgs. */
static void test_outline_of_arguments_of_arguments(void)
{
    g_autofree char *got = outline_of(
        "ARG FOO=123\nARG ABC=abc\nARG DEF=def\nARG FOO=${FOO}${ABC}\nARG BARR=${FOO}456\n"
        "ARG FOO=${FOO}456${BARR}\n" F "ARG FOO\nARG INFOO=123\nARG INBAR=${INFOO}456\n"
        "ARG INFOO=${INFOO}456${INBAR}\n",
        NULL, "unused");

    g_assert_cmpstr(got, ==,
        ": \narg ABC=abc () line 2\narg BARR=123abc456 () line 5\n"
        "arg FOO=123abc456123abc456 () line 6\narg INBAR=123456 () line 10\n"
        "arg INFOO=123456123456 () line 11\n");
}

static void test_targets(void)
{
    static const char text[] = "# build compiles\nFROM --platform=$BUILDPLATFORM go AS Build\n"
                               "# not said of it\nFROM scratch\n";
    g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);
    g_autoptr(cob_dockerfile) dockerfile = NULL;
    g_autoptr(GArray) targets = NULL;
    g_autoptr(GString) got = g_string_new(NULL);

    CHECK_OK(cob_dockerfile_parse(file, &dockerfile));
    cob_dockerfile_targets(dockerfile, &targets);
    for (guint i = 0; i < targets->len; i++) {
        const struct cob_dockerfile_target *one =
            &g_array_index(targets, struct cob_dockerfile_target, i);

        g_string_append_printf(got, "%s (%s) %s %s %d line %d\n", one->name ? one->name : "-",
            one->description ? one->description : "-", one->base,
            one->platform ? one->platform : "-", one->is_default, one->range.first_line);
    }
    g_assert_cmpstr(
        got->str, ==, "build (compiles) go $BUILDPLATFORM 0 line 2\n- (-) scratch - 1 line 4\n");
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/dockerfile/lint/rules", test_rules);
    g_test_add_func("/dockerfile/lint/options", test_options);
    g_test_add_func("/dockerfile/lint/rules-explain-themselves", test_rules_explain_themselves);
    g_test_add_func("/dockerfile/lint/there-are-only-so-many", test_there_are_only_so_many);
    g_test_add_func("/dockerfile/outline", test_outline);
    g_test_add_func(
        "/dockerfile/outline/arguments-of-arguments", test_outline_of_arguments_of_arguments);
    g_test_add_func("/dockerfile/targets", test_targets);
    return g_test_run();
}
