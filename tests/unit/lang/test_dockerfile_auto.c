/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Automatic cache mounts: a row is a Dockerfile, and the mounts that each of its RUNs gets, one
 * line a RUN; "!" behind a target: locked; "+apt": apt is told to keep its packages.
 */
#include <string.h>

#include "check.h"
#include "fake_images.h"
#include "lang/llb/llb.h"

struct row {
    const char *text; /* after "FROM empty", unless it begins with FROM itself */
    const char *want;
};

#define GO "/root/.cache/go-build /root/go/pkg/mod\n"
#define NPM "/root/.npm\n"
#define PIP "/root/.cache/pip\n"
#define APT "/var/cache/apt! +apt\n"
#define APT_AND_LISTS "/var/cache/apt! /var/lib/apt/lists! +apt\n"
#define CARGO "/root/.cargo/git! /root/.cargo/registry!\n"
#define NONE "\n"

/* Each tool, and who says where its cache is. */
static const struct row tools[] = {
    {"RUN go build", GO},
    {"FROM golang\nRUN go build", "/go/pkg/mod /root/.cache/go-build\n"},
    {"ENV GOCACHE=/c\nRUN go test ./...", "/c /root/go/pkg/mod\n"},
    {"ENV GOCACHE=/c GOMODCACHE=/m\nRUN go get x", "/c /m\n"},
    {"ARG GOCACHE=/c\nRUN go mod download", "/c /root/go/pkg/mod\n"},
    {"ENV GOPATH=/a:/b\nRUN go install x", "/a/pkg/mod /root/.cache/go-build\n"},
    {"ENV GOCACHE=off\nRUN go build", "/root/go/pkg/mod\n"},
    {"ENV XDG_CACHE_HOME=/x\nRUN go vet", "/root/go/pkg/mod /x/go-build\n"},
    {"ENV HOME=/h\nRUN go build", "/h/.cache/go-build /h/go/pkg/mod\n"},
    {"RUN go version", NONE},
    {"RUN go", NONE},
    {"RUN xx-go build", GO},
    {"RUN go clean -cache && go build", NONE},
    {"RUN npm ci", NPM},
    {"RUN npm install --omit=dev", NPM},
    {"RUN npx tsc", NONE},
    {"RUN npx exec tsc", NPM},
    {"RUN npm run build", NONE},
    {"ENV npm_config_cache=/n\nRUN npm i", "/n\n"},
    {"ENV NPM_CONFIG_CACHE=/n\nRUN npm i", "/n\n"},
    {"RUN npm ci --cache /n", "/n\n"},
    {"RUN npm ci --cache=/n/./m/..", "/n\n"},
    {"RUN npm ci && npm cache clean --force", NONE},
    {"RUN yarn", "/usr/local/share/.cache/yarn\n"},
    {"RUN yarn --frozen-lockfile", "/usr/local/share/.cache/yarn\n"},
    {"RUN yarn install", "/usr/local/share/.cache/yarn\n"},
    {"RUN yarn build", NONE},
    {"USER app\nRUN yarn install", "~/.cache/yarn\n"},
    {"ENV YARN_CACHE_FOLDER=/y\nRUN yarn install", "/y\n"},
    {"RUN yarn install && yarn cache clean", NONE},
    {"RUN pnpm install", "/root/.local/share/pnpm/store\n"},
    {"ENV PNPM_HOME=/pnpm\nRUN pnpm i", "/pnpm/store\n"},
    {"RUN pnpm i --store-dir /s", "/s\n"},
    {"RUN corepack pnpm fetch", "/root/.local/share/pnpm/store\n"},
    {"RUN corepack enable", NONE},
    {"RUN pip install -r requirements.txt", PIP},
    {"RUN pip3 install x", PIP},
    {"RUN pip3.11 install x", PIP},
    {"RUN python -m pip install x", PIP},
    {"RUN python3.11 -u -m pip wheel .", PIP},
    {"RUN python3 -m venv /v", NONE},
    {"RUN python3 setup.py install", NONE},
    {"RUN /v/bin/pip install x", PIP},
    {"RUN pip freeze", NONE},
    {"RUN pip install --no-cache-dir x", NONE},
    {"ENV PIP_NO_CACHE_DIR=1\nRUN pip install x", NONE},
    {"ENV PIP_NO_CACHE_DIR=off\nRUN pip install x", PIP},
    {"ENV PIP_CACHE_DIR=/p\nRUN pip install x", "/p\n"},
    {"RUN pip install --cache-dir=/p x", "/p\n"},
    {"RUN uv sync", "/root/.cache/uv\n"},
    {"RUN uv pip install x", "/root/.cache/uv\n"},
    {"ENV UV_CACHE_DIR=/u\nRUN uv sync", "/u\n"},
    {"RUN uv sync --no-cache", NONE},
    {"RUN uv sync --link-mode symlink", NONE},
    {"RUN poetry install", "/root/.cache/pypoetry/artifacts /root/.cache/pypoetry/cache\n"},
    {"ENV POETRY_CACHE_DIR=/p\nRUN poetry install", "/p/artifacts /p/cache\n"},
    {"RUN poetry run pytest", NONE},
    {"RUN cargo build --release", CARGO},
    {"ENV CARGO_HOME=/usr/local/cargo\nRUN cargo +nightly b",
        "/usr/local/cargo/git! /usr/local/cargo/registry!\n"},
    {"RUN cargo --version", NONE},
    {"RUN mvn -B package", "/root/.m2/repository\n"},
    {"ENV HOME=/h\nRUN mvn package", "/root/.m2/repository\n"},
    {"RUN ./mvnw package", "/root/.m2/repository /root/.m2/wrapper/dists!\n"},
    {"RUN mvn -Dmaven.repo.local=/r package", "/r\n"},
    {"ENV MAVEN_OPTS='-Xmx1g -Dmaven.repo.local=/r -x'\nRUN mvn package", "/r\n"},
    {"RUN ./gradlew build", "/root/.gradle/caches! /root/.gradle/wrapper!\n"},
    {"RUN gradle -g /g build", "/g/caches! /g/wrapper!\n"},
    {"ENV GRADLE_USER_HOME=/g\nRUN gradle build", "/g/caches! /g/wrapper!\n"},
    {"RUN apk add gcc", "/etc/apk/cache!\n"},
    {"RUN apk add --no-cache gcc", NONE},
    {"RUN dnf install -y gcc", "/var/cache/dnf!\n"},
    {"RUN dnf install -y gcc && dnf clean all", NONE},
    {"RUN microdnf install gcc", "/var/cache/dnf! /var/cache/yum!\n"},
    {"RUN ccache gcc -c a.c", "/root/.cache/ccache\n"},
    {"ENV CCACHE_DIR=/cc\nRUN CC='ccache gcc' make", "/cc\n"},
    {"ENV CCACHE_DIR=/cc\nRUN ./configure CC='ccache gcc'", "/cc\n"},
    {"RUN cmake -DCMAKE_C_COMPILER_LAUNCHER=ccache .", "/root/.cache/ccache\n"},
    {"ENV CC='ccache gcc'\nRUN make -j4", "/root/.cache/ccache\n"},
    {"ENV PATH=/usr/lib/ccache:/bin\nRUN gcc a.c", "/root/.cache/ccache\n"},
    {"RUN composer install", "/root/.cache/composer\n"},
    {"ENV COMPOSER_HOME=/tmp\nRUN composer install", "/tmp/cache\n"},
    {"RUN composer install --no-cache", NONE},
    {"RUN bundle install", "/root/.bundle/cache\n"},
    {"ENV BUNDLE_USER_CACHE=/b\nRUN bundle install", "/b\n"},
    {"RUN gem install rails", NONE},
    {"RUN dotnet restore", "/root/.nuget/packages\n"},
    {"ENV NUGET_PACKAGES=/n\nRUN dotnet publish", "/n\n"},
    {"RUN make", NONE},
    {"RUN ./build.sh go build", NONE},
};

/* How a call is found, and what is none. */
static const struct row calls[] = {
    {"RUN true && go build", GO},
    {"RUN true; go build", GO},
    {"RUN false || go build", GO},
    {"RUN yes | go build", GO},
    {"RUN (go build)", GO},
    {"RUN { go build; }", GO},
    {"RUN ! go build", GO},
    {"RUN go build &", GO},
    {"RUN set -eux; \\\n    go build", GO},
    {"RUN if go build; then :; fi", GO},
    {"RUN if true; then go build; else :; fi", GO},
    {"RUN for d in a b; do go build $d; done", GO},
    {"RUN while go build; do :; done", GO},
    {"RUN case $A in x) go build ;; *) ;; esac", GO},
    {"RUN case $A in go) build ;; (npm|ci) : ;; esac", NONE},
    {"RUN case a in a) ;; esac; go build", GO},
    {"RUN CGO_ENABLED=0 GOOS=linux go build", GO},
    {"RUN env CGO_ENABLED=0 go build", GO},
    {"RUN env -i -u A go build", GO},
    {"RUN sudo -E go build", GO},
    {"RUN sudo -u app go build", NONE},
    {"RUN time -p go build", GO},
    {"RUN exec go build", GO},
    {"RUN nice -n 5 go build", GO},
    {"RUN timeout -s KILL 60 go build", GO},
    {"RUN ls | xargs -n 1 pip install", PIP},
    {"RUN command -v go build", NONE},
    {"RUN /usr/local/go/bin/go build", GO},
    {"RUN \"go\" 'build'", GO},
    {"RUN g\\o build", GO},
    {"RUN sh -c 'go build'", GO},
    {"RUN bash -euxo pipefail -c \"go build\"", GO},
    {"RUN sh -c \"sh -c 'go build'\"", GO},
    {"RUN sh build.sh", NONE},
    {"RUN eval 'go build'", GO},
    {"RUN V=$(go list)", GO},
    {"RUN echo \"$(go list)\"", GO},
    {"RUN echo `go list`", GO},
    {"RUN cat <(go list)", GO},
    {"RUN echo $((1<<2)) && go build", GO},
    {"RUN go build >/dev/null 2>&1", GO},
    {"RUN >log go build", GO},
    {"RUN go build &>log", GO},
    {"RUN echo go build", NONE},
    {"RUN echo \"go build\"", NONE},
    {"RUN echo 'x && go build'", NONE},
    {"RUN echo a#b && go build", GO},
    {"RUN true # && go build", NONE},
    {"RUN true \\\n# go build\n && npm ci", NPM},
    {"RUN <<E\ngo build\nE", GO},
    {"RUN <<E\n# go build\nE", NONE},
    {"RUN <<E\n#!/bin/bash -e\ngo build\nE", GO},
    {"RUN <<E\n#!/usr/bin/env bash\ngo build\nE", GO},
    {"RUN <<E\n#!/usr/bin/python3\ngo build\nE", NONE},
    {"RUN cat <<E >f\ngo build\nE", NONE},
    {"RUN bash <<E\ngo build\nE", GO},
    {"RUN cat <<A && sh <<B && npm ci\ngo build\nA\npip install x\nB",
        "/root/.cache/pip /root/.npm\n"},
    {"RUN [\"go\", \"build\"]", GO},
    {"RUN [\"echo\", \"go\", \"build\"]", NONE},
    {"RUN [\"sh\", \"-c\", \"go build\"]", GO},
    {"SHELL [\"/bin/bash\", \"-c\"]\nRUN go build", GO},
    {"SHELL [\"pwsh\", \"-c\"]\nRUN go build", NONE},
    {"ENV TOOL=go\nRUN $TOOL build", GO},
    {"RUN $TOOL build", NONE},
    {"RUN go build && npm ci", "/root/.cache/go-build /root/.npm /root/go/pkg/mod\n"},
    {"RUN su app -c 'go build'", NONE},
    {"RUN chroot /x go build", NONE},
};

/* Variables that a script sets itself. */
static const struct row scripts[] = {
    {"RUN GOCACHE=/c go build", "/c /root/go/pkg/mod\n"},
    {"RUN export GOCACHE=/c && go build", "/c /root/go/pkg/mod\n"},
    {"RUN env GOCACHE=/c go build", "/c /root/go/pkg/mod\n"},
    {"RUN GOCACHE=$(mktemp -d) go build", "/root/go/pkg/mod\n"},
    {"ENV D=/d\nRUN GOCACHE=$D/c go build", "/d/c /root/go/pkg/mod\n"},
    {"RUN HOME=/h npm ci", "/h/.npm\n"},
    {"RUN GOCACHE=$HOME/x go build", "/root/go/pkg/mod /root/x\n"},
    {"RUN GOCACHE=~/x go build", "/root/go/pkg/mod /root/x\n"},
    {"RUN GOCACHE=x go build", "/root/go/pkg/mod\n"},
};

/* Users and their homes. */
static const struct row users[] = {
    {"USER root\nRUN npm ci", NPM},
    {"USER 0:0\nRUN npm ci", NPM},
    {"USER app\nRUN npm ci", "~/.npm\n"},
    {"USER 1000:1000\nRUN npm ci", "~/.npm\n"},
    {"USER app\nENV HOME=/srv\nRUN npm ci", "/srv/.npm\n"},
    {"USER app\nENV HOME=/srv\nRUN mvn package", "~/.m2/repository\n"},
    {"USER app\nRUN npm ci && rm -rf ~/.npm", NONE},
    {"USER app\nRUN npm ci && rm -rf /home/app/.npm", NONE},
};

/* When a directory gets no mount. */
static const struct row left_out[] = {
    {"RUN --mount=type=cache,target=/c go build", "/c\n"},
    {"RUN --mount=type=bind,target=/src,rw go build", "/root/.cache/go-build /root/go/pkg/mod\n"},
    {"RUN --mount=type=secret,id=x npm ci", NPM},
    {"RUN --mount=type=tmpfs,target=/root npm ci", NONE},
    {"RUN --mount=type=bind,target=/root/.npm/x npm ci", NONE},
    {"RUN npm ci && rm -rf /root/.npm", NONE},
    {"RUN npm ci && rm -rf ~/.npm", NONE},
    {"RUN npm ci && rm -rf \"$HOME\"/.npm/*", NONE},
    {"RUN npm ci && rm -r /root/.*", NONE},
    {"RUN npm ci && rm -rf /root", NONE},
    {"RUN npm ci && rm -rf /tmp/* /root/.npmrc", NPM},
    {"RUN cd /root && npm ci && rm -rf .npm", NONE},
    {"WORKDIR /root\nRUN npm ci && rm -rf .npm", NONE},
    {"RUN mkdir ~/.m2 && cp settings.xml ~/.m2/ && mvn package", NONE},
    {"RUN mkdir -p ~/.m2 && mvn package", "/root/.m2/repository\n"},
    {"RUN cp .npmrc /root/ && npm ci", NPM},
    {"WORKDIR /app\nENV PIP_CACHE_DIR=/app\nRUN pip install x", NONE},
    {"ENV PIP_CACHE_DIR=/tmp\nRUN pip install x", NONE},
    {"ENV PIP_CACHE_DIR=/\nRUN pip install x", NONE},
    {"ENV PIP_CACHE_DIR=/usr/lib/x\nRUN pip install x", NONE},
    {"ENV PIP_CACHE_DIR=/proc/x\nRUN pip install x", NONE},
    {"ENV PIP_CACHE_DIR=../x\nRUN pip install x", NONE},
    {"FROM empty AS a\nRUN mvn package\nFROM empty\nCOPY --from=a /root/.m2 /m2", NONE},
    {"FROM empty AS a\nRUN npm ci\nFROM empty\nCOPY --from=a / /", NPM},
    {"FROM empty AS a\nRUN npm ci\nFROM empty\nCOPY --from=a /root/.npmrc /", NPM},
    {"FROM empty AS a\nRUN npm ci\nFROM a AS b\nFROM empty\nCOPY --from=b /root/.npm/x /", NONE},
    {"FROM empty AS a\nRUN npm ci\nFROM empty\n"
     "RUN --mount=from=a,source=/root/.npm,target=/n ls",
        NONE NONE},
};

/* apt: its lists, and what removes packages. */
static const struct row apt[] = {
    {"RUN apt-get update && apt-get install -y gcc", APT_AND_LISTS},
    {"RUN apt update && apt install -y gcc", APT_AND_LISTS},
    {"RUN DEBIAN_FRONTEND=noninteractive apt-get -y install gcc", APT},
    {"RUN apt-get update", NONE},
    {"RUN apt-get update && apt-get install gcc && rm -rf /var/lib/apt/lists/*", APT},
    {"RUN apt-get update && apt-get install gcc && rm -rf /var/lib/apt/lists", APT},
    {"RUN apt-get update && apt-get install gcc && rm -rf /var/lib/{apt,dpkg}/x", APT},
    {"RUN apt-get update && apt-get install gcc && apt-get clean", NONE},
    {"RUN apt-get update && apt-get install gcc\nRUN apt-get install g++",
        APT_AND_LISTS APT_AND_LISTS},
    {"RUN apt-get update\nRUN apt-get install gcc", NONE APT},
    {"FROM empty AS a\nRUN apt-get update && apt-get install gcc\nFROM a\nRUN apt-get install g++",
        APT_AND_LISTS APT_AND_LISTS},
    {"RUN rm -f /etc/apt/apt.conf.d/docker-clean && apt-get install gcc", "/var/cache/apt!\n"},
    {"RUN apt-get remove gcc", NONE},
    {"RUN apt-cache search gcc", NONE},
};

static void append_mount(GString *out, const Pb__Mount *mount)
{
    const bool is_locked =
        mount->cacheopt && mount->cacheopt->sharing == PB__CACHE_SHARING_OPT__LOCKED;

    if (mount->mounttype == PB__MOUNT_TYPE__CACHE)
        g_string_append_printf(out, "%s%s ", mount->dest, is_locked ? "!" : "");
}

/* An automatic mount's id is its target, as that of one that says none. */
static void check_id(const Pb__Mount *mount)
{
    if (mount->cacheopt && mount->cacheopt->cobautomatic)
        g_assert_cmpstr(mount->cacheopt->id + 1, ==, mount->dest);
}

static void append_exec(GString *out, const Pb__ExecOp *exec)
{
    const char *apt_config = "";

    for (size_t i = 0; i < exec->n_mounts; i++) {
        append_mount(out, exec->mounts[i]);
        check_id(exec->mounts[i]);
        if (strcmp(exec->mounts[i]->dest, "/etc/apt/apt.conf.d/docker-clean") == 0)
            apt_config = "+apt ";
    }
    g_string_append(out, apt_config);
    if (out->len > 0 && out->str[out->len - 1] == ' ')
        g_string_truncate(out, out->len - 1);
    g_string_append_c(out, '\n');
}

static gint by_line(gconstpointer a, gconstpointer b)
{
    const struct cob_llb_vertex *const *one = a, *const *other = b;

    return (*one)->range.first_line - (*other)->range.first_line;
}

/* The mounts of each RUN, in the order of the file, whatever needs which. */
static char *show(const struct cob_llb_definition *definition)
{
    g_autoptr(cob_llb_graph) graph = NULL;
    g_autoptr(GPtrArray) steps = g_ptr_array_new();
    GString *out = g_string_new(NULL);

    CHECK_OK(cob_llb_graph_new(definition, &graph));
    for (guint i = 0; i < graph->vertices->len; i++) {
        struct cob_llb_vertex *vertex = g_ptr_array_index(graph->vertices, i);

        if (vertex->op->op_case == PB__OP__OP_EXEC)
            g_ptr_array_add(steps, vertex);
    }
    g_ptr_array_sort(steps, by_line);
    for (guint i = 0; i < steps->len; i++)
        append_exec(out, ((struct cob_llb_vertex *)g_ptr_array_index(steps, i))->op->exec);
    return g_string_free(out, FALSE);
}

/* The caller frees it. */
static char *mounts_of(const char *text, bool has_auto_mounts)
{
    const bool has_from = g_str_has_prefix(text, "FROM ");
    g_autofree char *whole = g_strdup_printf("%s%s\n", has_from ? "" : "FROM empty\n", text);
    g_autoptr(GBytes) bytes = g_bytes_new(whole, strlen(whole));
    g_autoptr(cob_srcfile) file = cob_srcfile_new("Dockerfile", bytes);
    g_autoptr(cob_dockerfile) dockerfile = NULL;
    const struct cob_dockerfile_request request = {
        .build_platform = "linux/amd64", .has_auto_mounts = has_auto_mounts};
    struct cob_dockerfile_result result = {0};

    CHECK_OK(cob_dockerfile_parse(file, &dockerfile));
    CHECK_OK(cob_dockerfile_to_llb(dockerfile, &request, &fake_images, &result));
    char *got = show(result.definition);
    cob_dockerfile_result_done(&result);
    return got;
}

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        g_autofree char *got = mounts_of(rows[i].text, true);

        if (strcmp(got, rows[i].want) == 0)
            continue;
        g_test_message("%s\ngot\n%swanted\n%s", rows[i].text, got, rows[i].want);
        g_test_fail();
    }
}

static void test_tools(void)
{
    check_rows(tools, G_N_ELEMENTS(tools));
}

static void test_calls(void)
{
    check_rows(calls, G_N_ELEMENTS(calls));
}

static void test_scripts(void)
{
    check_rows(scripts, G_N_ELEMENTS(scripts));
}

static void test_users(void)
{
    check_rows(users, G_N_ELEMENTS(users));
}

static void test_left_out(void)
{
    check_rows(left_out, G_N_ELEMENTS(left_out));
}

static void test_apt(void)
{
    check_rows(apt, G_N_ELEMENTS(apt));
}

static void test_off(void)
{
    g_autofree char *got = mounts_of("RUN go build && apt-get install gcc", false);

    g_assert_cmpstr(got, ==, NONE);
}

/* Variables that hold scripts that hold variables, quotes that do not end, depth: in no time. */
static void test_hostile(void)
{
    GString *nested = g_string_new("FROM empty\nRUN ");
    gint64 before = g_get_monotonic_time();

    for (int i = 0; i < 100000; i++)
        g_string_append(nested, "$(");
    g_autofree char *deep = g_string_free(nested, FALSE);
    static const char *const texts[] = {
        "ENV A='sh -c \"$A\"; sh -c \"$A\"; sh -c \"$A\"; sh -c \"$A\"'\nRUN eval $A; eval \"$A\"",
        "ENV A='eval \"$A$A\"'\nRUN eval \"$A$A$A$A$A$A\"",
        "RUN echo 'x",
        "RUN echo \"$(x `y ${z",
        "RUN case x in (((",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *got = mounts_of(texts[i], true);

        g_assert_cmpstr(got, ==, NONE);
    }
    g_autofree char *got = mounts_of(deep, true);
    g_assert_cmpstr(got, ==, NONE);
    g_assert_cmpint(g_get_monotonic_time() - before, <, 20 * G_USEC_PER_SEC);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dockerfile/auto/tools", test_tools);
    g_test_add_func("/dockerfile/auto/calls", test_calls);
    g_test_add_func("/dockerfile/auto/scripts", test_scripts);
    g_test_add_func("/dockerfile/auto/users", test_users);
    g_test_add_func("/dockerfile/auto/left-out", test_left_out);
    g_test_add_func("/dockerfile/auto/apt", test_apt);
    g_test_add_func("/dockerfile/auto/off", test_off);
    g_test_add_func("/dockerfile/auto/hostile", test_hostile);
    return g_test_run();
}
