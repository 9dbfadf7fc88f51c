/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "check.h"
#include "lang/dockerfile/dockerfile_go.h"
#include "lang/dockerfile/dockerfile_instructions.h"

static struct cob_error *parse(const char *text, struct cob_dockerfile **ret)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);

    return cob_dockerfile_parse(file, ret);
}

static void show_words(GString *out, const GPtrArray *words)
{
    for (guint i = 0; words && i < words->len; i++)
        g_string_append_printf(out, " [%s]", (const char *)g_ptr_array_index(words, i));
}

/* "3-4 RUN --network=none json [a] [b]"; here-documents follow as <name|content>. */
static void show(GString *out, const struct dockerfile_instruction *instruction)
{
    g_string_append_printf(out, "%d-%d %s", instruction->range.first_line,
        instruction->range.last_line, instruction->word);
    for (guint i = 0; i < instruction->flags->len; i++) {
        const struct dockerfile_flag *flag = g_ptr_array_index(instruction->flags, i);

        g_string_append_printf(out, " --%s=%s", flag->name, flag->value ? flag->value : "()");
    }
    if (instruction->command.is_json)
        g_string_append(out, " json");
    show_words(out, instruction->words);
    show_words(out, instruction->command.words);
    for (guint i = 0; i < instruction->pairs->len; i++) {
        const struct dockerfile_pair *pair = g_ptr_array_index(instruction->pairs, i);

        g_string_append_printf(out, " {%s=%s}%s", pair->key, pair->value ? pair->value : "()",
            pair->is_legacy ? "legacy" : "");
    }
    for (guint i = 0; i < instruction->heredocs->len; i++) {
        const struct dockerfile_heredoc *heredoc = g_ptr_array_index(instruction->heredocs, i);

        g_string_append_printf(out, " <%s%s%s|%s>", heredoc->name,
            heredoc->is_expanded ? "" : " quoted", heredoc->is_chomped ? " chomped" : "",
            heredoc->content);
    }
    g_string_append_c(out, '\n');
}

static char *show_all(const struct cob_dockerfile *dockerfile)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < dockerfile->global_args->len; i++)
        show(out, g_ptr_array_index(dockerfile->global_args, i));
    for (guint i = 0; i < dockerfile->stages->len; i++) {
        const struct dockerfile_stage *stage = g_ptr_array_index(dockerfile->stages, i);

        show(out, stage->from);
        for (guint j = 0; j < stage->instructions->len; j++)
            show(out, g_ptr_array_index(stage->instructions, j));
    }
    return g_string_free(out, FALSE);
}

#define F "FROM a\n"
#define F_OUT "1-1 FROM [a]\n"

/* Lines: how the file falls into instructions. */
static void test_lines(void)
{
    static const struct {
        const char *name, *text, *want;
    } rows[] = {
        {"plain", F "RUN x", F_OUT "2-2 RUN [x]\n"},
        {"byte order mark", "\xef\xbb\xbf" F, F_OUT},
        {"carriage returns", "FROM a\r\nRUN x \\\r\n y\r\n", F_OUT "2-3 RUN [x  y]\n"},
        {"continuation", F "RUN a \\\n  b \\  \n c", F_OUT "2-4 RUN [a   b  c]\n"},
        {"two escapes continue nothing", F "RUN a \\\\\nUSER b",
            F_OUT "2-2 RUN [a \\\\]\n"
                  "3-3 USER [b]\n"},
        {"comment within", F "RUN a \\\n  # no\n#no\n  b", F_OUT "2-5 RUN [a   b]\n"},
        {"empty line within", F "RUN a \\\n\n  b", F_OUT "2-4 RUN [a   b]\n"},
        {"ends in a continuation", F "RUN a \\", F_OUT "2-2 RUN [a]\n"},
        {"backtick", "# escape=`\nFROM a\nRUN a\\ `\n b", "2-2 FROM [a]\n3-4 RUN [a\\  b]\n"},
        {"escape after a comment is one too", "# x\n# escape=`\nFROM a\nRUN a `\nUSER b",
            "3-3 FROM [a]\n4-4 RUN [a `]\n5-5 USER [b]\n"},
        {"directive names in any case", "#  ESCAPE = `  \nFROM a\nRUN a `\n b",
            "2-2 FROM [a]\n3-4 RUN [a  b]\n"},
        {"shebang, then directives", "#!/usr/bin/env x\n# escape=`\nFROM a\nRUN a `\n b",
            "3-3 FROM [a]\n4-5 RUN [a  b]\n"},
        {"indented", "  FROM a\n\tRUN x", F_OUT "2-2 RUN [x]\n"},
        {"any case", "from a\nrUn x", "1-1 from [a]\n2-2 rUn [x]\n"},
        {"global arguments", "ARG A=1\n" F, "1-1 ARG {A=1}\n2-2 FROM [a]\n"},
        {"vertical tab", F "RUN\vx", F_OUT "2-2 RUN [x]\n"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_dockerfile) dockerfile = NULL;

        CHECK_OK(parse(rows[i].text, &dockerfile));
        g_autofree char *got = dockerfile ? show_all(dockerfile) : NULL;
        g_assert_cmpstr(got, ==, rows[i].want);
        check_row(g_strcmp0(got, rows[i].want) == 0, i, rows[i].name);
    }
}

/* One instruction in each of its forms; FROM stands before it. */
static void test_forms(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"RUN [\"a\", \"b c\"]", "RUN json [a] [b c]"},
        {"RUN ['a']", "RUN [['a']]"},
        {"RUN [\"a\"", "RUN [[\"a\"]"},
        {"RUN [\"a\"] x", "RUN [[\"a\"] x]"},
        {"RUN [ ]", "RUN json"},
        {"RUN", "RUN"},
        {"RUN --network=none --mount=type=tmpfs,target=/t x --y",
            "RUN --network=none --mount=type=tmpfs,target=/t [x --y]"},
        {"RUN --mount=type=cache,target=\"/a b\" x", "RUN --mount=type=cache,target=/a b [x]"},
        {"RUN -- --x", "RUN [--x]"},
        {"CMD a  b", "CMD [a  b]"},
        {"CMD []", "CMD json"},
        {"ENTRYPOINT [\"./app\"]", "ENTRYPOINT json [./app]"},
        {"SHELL [\"/bin/bash\",\"-c\"]", "SHELL json [/bin/bash] [-c]"},
        {"ENV a=b c='d e' f=\"g h\" i=j\\ k", "ENV {a=b} {c='d e'} {f=\"g h\"} {i=j\\ k}"},
        {"ENV a b  c=d", "ENV {a=b  c=d}legacy"},
        {"ENV a=", "ENV {a=}"},
        {"LABEL a.b=c \"d e\"=f", "LABEL {a.b=c} {\"d e\"=f}"},
        {"ARG a b=c d=", "ARG {a=()} {b=c} {d=}"},
        {"COPY a b /c/", "COPY [a] [b] [/c/]"},
        {"COPY [\"a b\", \"/c/\"]", "COPY json [a b] [/c/]"},
        {"COPY --from=x --chown=1:2 --link --exclude=a --exclude=b c d",
            "COPY --from=x --chown=1:2 --link=() --exclude=a --exclude=b [c] [d]"},
        {"ADD --checksum=sha256:0 --keep-git-dir=false --unpack=TRUE a b",
            "ADD --checksum=sha256:0 --keep-git-dir=false --unpack=TRUE [a] [b]"},
        {"EXPOSE 90/udp 80-82", "EXPOSE [80-82] [90/udp]"},
        {"VOLUME /a /b", "VOLUME [/a] [/b]"},
        {"VOLUME [\"/a b\"]", "VOLUME json [/a b]"},
        {"USER a b", "USER [a b]"},
        {"WORKDIR /a b", "WORKDIR [/a b]"},
        {"STOPSIGNAL SIGTERM", "STOPSIGNAL [SIGTERM]"},
        {"MAINTAINER Me <me@x>", "MAINTAINER [Me <me@x>]"},
        {"HEALTHCHECK NONE", "HEALTHCHECK [NONE]"},
        {"HEALTHCHECK --interval=1m30s --retries=3 cmd curl x",
            "HEALTHCHECK --interval=1m30s --retries=3 [CMD] [curl x]"},
        {"HEALTHCHECK CMD [\"a\"]", "HEALTHCHECK json [CMD] [a]"},
        {"ONBUILD RUN --network=none x", "ONBUILD [RUN --network=none x]"},
        {"FROM --platform=linux/arm64 b:1 AS C", "FROM --platform=linux/arm64 [b:1] [AS] [C]"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strconcat(F, rows[i].text, NULL);
        g_autofree char *want = g_strconcat(F_OUT "2-2 ", rows[i].want, "\n", NULL);
        g_autoptr(cob_dockerfile) dockerfile = NULL;

        CHECK_OK(parse(text, &dockerfile));
        g_autofree char *got = dockerfile ? show_all(dockerfile) : NULL;
        g_assert_cmpstr(got, ==, want);
        check_row(g_strcmp0(got, want) == 0, i, rows[i].text);
    }
}

static void test_heredocs(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"RUN <<EOF\na\n b\nEOF\nUSER x", "2-5 RUN [<<EOF] <EOF|a\n b\n>\n6-6 USER [x]\n"},
        {"RUN cat <<-EOF\n\ta\n\tEOF", "2-4 RUN [cat <<-EOF] <EOF chomped|\ta\n>\n"},
        {"RUN <<'EOF'\n$a\nEOF", "2-4 RUN [<<'EOF'] <EOF quoted|$a\n>\n"},
        {"RUN <<\"E F\"\n$a\nE F", "2-4 RUN [<<\"E F\"] <E F quoted|$a\n>\n"},
        {"RUN 3<<A cat <<B\na\nA\nb\nB", "2-6 RUN [3<<A cat <<B] <A|a\n> <B|b\n>\n"},
        {"COPY <<a <<b /c/\n1\na\n2\nb", "2-6 COPY [<<a] [<<b] [/c/] <a|1\n> <b|2\n>\n"},
        {"RUN cat <<<x", "2-2 RUN [cat <<<x]\n"},
        {"RUN [\"cat\", \"<<EOF\"]", "2-2 RUN json [cat] [<<EOF]\n"},
        {"RUN echo '<<EOF'", "2-2 RUN [echo '<<EOF']\n"},
        {"CMD cat <<EOF", "2-2 CMD [cat <<EOF]\n"},
        {"RUN <<EOF\n#!/bin/sh\\\n\nEOF", "2-5 RUN [<<EOF] <EOF|#!/bin/sh\\\n\n>\n"},
        {"RUN <<EOF\nEOF", "2-3 RUN [<<EOF] <EOF|>\n"},
        {"ONBUILD RUN <<EOF\nx\nEOF", "2-4 ONBUILD [RUN <<EOF] <EOF|x\n>\n"},
        {"RUN << EOF\nx\nEOF", "2-4 RUN [<< EOF] <EOF|x\n>\n"},
        {"RUN <<EOF\r\nx\r\nEOF\r\n", "2-4 RUN [<<EOF] <EOF|x\r\n>\n"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strconcat(F, rows[i].text, NULL);
        g_autofree char *want = g_strconcat(F_OUT, rows[i].want, NULL);
        g_autoptr(cob_dockerfile) dockerfile = NULL;

        CHECK_OK(parse(text, &dockerfile));
        g_autofree char *got = dockerfile ? show_all(dockerfile) : NULL;
        g_assert_cmpstr(got, ==, want);
        check_row(g_strcmp0(got, want) == 0, i, rows[i].text);
    }
}

static const struct dockerfile_instruction *only(const struct cob_dockerfile *dockerfile)
{
    const struct dockerfile_stage *stage = g_ptr_array_index(dockerfile->stages, 0);

    return g_ptr_array_index(stage->instructions, 0);
}

/* Every field of a mount, under all of its names. */
static void test_mounts(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"target=/a", "bind /a ro"},
        {"dst=/a,src=/b,from=c", "bind /a from=c source=/b ro"},
        {"destination=/a,rw", "bind /a rw"},
        {"target=/a,readwrite=false", "bind /a ro"},
        {"target=/a,ro=0", "bind /a rw"},
        {"type=cache,target=/a", "cache /a rw"},
        {"type=CACHE,target=/a,ID=x,sharing=Locked,mode=0700,uid=1,gid=2,ro",
            "cache /a id=x sharing=3 mode=700 uid=1 gid=2 ro"},
        {"type=tmpfs,target=/a,size=1.5k", "tmpfs /a size=1536 rw"},
        {"type=secret,id=x", "secret - id=x ro"},
        {"type=secret,id=x,env=Y,required", "secret - id=x env=Y required ro"},
        {"type=ssh,required=false", "ssh - ro"},
        {"\"target=/a,b\"", "bind /a,b ro"},
        {"from=$", "bind - from=$ ro"},
    };
    static const char *const types[] = {"bind", "cache", "tmpfs", "secret", "ssh"};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct dockerfile_expander expander = {.escape = '\\'};
        g_autoptr(dockerfile_mount) m = NULL;
        g_autoptr(GString) got = g_string_new(NULL);

        CHECK_OK(dockerfile_mount_parse(rows[i].text, &expander, &m));
        if (!m)
            continue;
        g_string_append_printf(got, "%s %s", types[m->type], m->target ? m->target : "-");
        if (m->from)
            g_string_append_printf(got, " from=%s", m->from);
        if (m->source)
            g_string_append_printf(got, " source=%s", m->source);
        if (m->id)
            g_string_append_printf(got, " id=%s", m->id);
        if (m->env)
            g_string_append_printf(got, " env=%s", m->env);
        if (m->sharing)
            g_string_append_printf(got, " sharing=%d", (int)m->sharing);
        if (m->has_mode)
            g_string_append_printf(got, " mode=%o", m->mode);
        if (m->has_uid)
            g_string_append_printf(got, " uid=%u gid=%u", m->uid, m->gid);
        if (m->size_bytes)
            g_string_append_printf(got, " size=%d", (int)m->size_bytes);
        g_string_append_printf(
            got, "%s %s", m->is_required ? " required" : "", m->is_readonly ? "ro" : "rw");
        g_assert_cmpstr(got->str, ==, rows[i].want);
        check_row(strcmp(got->str, rows[i].want) == 0, i, rows[i].text);
    }
}

static void test_durations(void)
{
    static const struct {
        const char *text;
        int64_t ns;
        const char *shown;
    } rows[] = {{"0", 0, "0s"}, {"1h2m3.5s", 3723500000000, "1h2m3.5s"},
        {"90s", 90000000000, "1m30s"}, {"1.5ms", 1500000, "1.5ms"}, {"10us", 10000, "10\xc2\xb5s"},
        {"7ns", 7, "7ns"}, {"+2h", 7200000000000, "2h0m0s"}, {"-1s", -1000000000, "-1s"}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text =
            g_strdup_printf(F "HEALTHCHECK --interval=%s --timeout=2s CMD x", rows[i].text);
        g_autoptr(cob_dockerfile) dockerfile = NULL;

        if (rows[i].ns == 0 || rows[i].ns >= 1000000) {
            CHECK_OK(parse(text, &dockerfile));
            if (!dockerfile)
                continue;
            g_assert_cmpint(only(dockerfile)->health.interval_ns, ==, rows[i].ns);
            g_assert_cmpint(only(dockerfile)->health.timeout_ns, ==, 2000000000);
        } else {
            CHECK_ERROR(parse(text, &dockerfile), COB_INVALID,
                "dockerfile parse error on line 2: Interval \"interval\" cannot be less than 1ms");
        }
        g_autofree char *shown = dockerfile_go_duration_text(rows[i].ns);
        g_assert_cmpstr(shown, ==, rows[i].shown);
        check_row(g_strcmp0(shown, rows[i].shown) == 0, i, rows[i].text);
    }
}

static void test_onbuild_keeps_its_trigger(void)
{
    g_autoptr(cob_dockerfile) dockerfile = NULL;

    CHECK_OK(parse(F "onbuild  COPY --link <<A /b\nx\nA\n", &dockerfile));
    if (dockerfile)
        g_assert_cmpstr(only(dockerfile)->trigger, ==, "COPY --link <<A /b\nx\nA");
}

static void test_other_frontends_are_refused(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"# syntax=docker/dockerfile:1\n" F, NULL},
        {"# syntax = docker.io/docker/dockerfile:1@sha256:0 x\n" F, NULL},
        {"#syntax=dockerfile.v0\n" F, NULL},
        {"\xef\xbb\xbf# SynTax=docker/dockerfile-upstream:master-labs\r\n" F, NULL},
        {"# syntax=docker/dockerfile-other\n" F, "frontend docker/dockerfile-other is not *"},
        {"# syntax=example.com/docker/dockerfile\n" F, "frontend example.com/docker/* is not *"},
        {"# syntax=example/other:1\n" F, "frontend example/other:1 is not supported: "
                                         "docker/dockerfile is built in, and no other "
                                         "is run"},
        {"#!/usr/bin/x\n# syntax=o\n" F, "frontend o is not supported: *"},
        {"// syntax=o\n{}\n", "frontend o is not supported: *"},
        {"{\"syntax\": \"o\"}", "frontend o is not supported: *"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(cob_dockerfile) dockerfile = NULL;
        struct cob_error *err = parse(rows[i].text, &dockerfile);

        if (rows[i].want)
            CHECK_ERROR(err, COB_UNIMPLEMENTED, rows[i].want);
        else
            CHECK_OK(err);
        check_row((dockerfile == NULL) == (rows[i].want != NULL), i, rows[i].text);
    }
}

/* BUILDKIT_SYNTAX counts more than the file. */
static void test_frontend_by_argument(void)
{
    static const struct {
        const char *frontend, *text, *want;
    } rows[] = {
        {"docker/dockerfile:1", "# syntax=o\n" F, NULL},
        {"docker/dockerfile:1-labs@sha256:0 x", F, NULL},
        {"", "# syntax=o\n" F, "frontend o is not supported: *"},
        {"o:2", "# syntax=docker/dockerfile\n" F, "BUILDKIT_SYNTAX=o:2 is not supported: *"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(rows[i].text, strlen(rows[i].text));
        g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);
        g_autoptr(cob_dockerfile) dockerfile = NULL;
        struct cob_error *err = cob_dockerfile_parse_as(file, rows[i].frontend, &dockerfile);

        if (rows[i].want)
            CHECK_ERROR(err, COB_UNIMPLEMENTED, rows[i].want);
        else
            CHECK_OK(err);
        check_row((dockerfile == NULL) == (rows[i].want != NULL), i, rows[i].frontend);
    }
}

int main(int argc, char **argv)
{
    check_init(&argc, &argv);
    g_test_add_func("/dockerfile/parse/frontend-by-argument", test_frontend_by_argument);
    g_test_add_func("/dockerfile/parse/lines", test_lines);
    g_test_add_func("/dockerfile/parse/forms", test_forms);
    g_test_add_func("/dockerfile/parse/heredocs", test_heredocs);
    g_test_add_func("/dockerfile/parse/mounts", test_mounts);
    g_test_add_func("/dockerfile/parse/durations", test_durations);
    g_test_add_func("/dockerfile/parse/onbuild-keeps-its-trigger", test_onbuild_keeps_its_trigger);
    g_test_add_func("/dockerfile/parse/other-frontends", test_other_frontends_are_refused);
    return g_test_run();
}
