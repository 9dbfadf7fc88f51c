/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tools, and where they keep what they can fetch or make again. Results are not in here:
 * ~/.cargo/bin, target/, node_modules/, virtual environments, installed gems.
 *
 * A cache is locked where its tool cannot share it: those of package managers that refuse a second
 * process, of Gradle, whose processes ask each other for a lock over a network that they do not
 * share, and of Cargo, whose lock lies beside what is mounted.
 */
#include "lang/dockerfile/dockerfile_auto.h"

/* Who says where a directory is: a variable, a directory below one, an option, an option that is in
 * a variable. */
#define AT(name)                                                                                   \
    {                                                                                              \
        .variable = (name)                                                                         \
    }
#define BELOW(name, path)                                                                          \
    {                                                                                              \
        .variable = (name), .suffix = (path)                                                       \
    }
#define LIST_BELOW(name, path)                                                                     \
    {                                                                                              \
        .variable = (name), .suffix = (path), .is_list = true                                      \
    }
#define OPTION(text)                                                                               \
    {                                                                                              \
        .option = (text)                                                                           \
    }
#define OPTION_BELOW(text, path)                                                                   \
    {                                                                                              \
        .option = (text), .suffix = (path)                                                         \
    }
#define WITHIN(name, text)                                                                         \
    {                                                                                              \
        .variable = (name), .option = (text)                                                       \
    }

const struct auto_tool auto_tools[] = {
    {
        .name = "go",
        .programs = {"go", "xx-go"},
        .uses = {"build", "install", "test", "run", "get", "mod", "generate", "vet", "list", "tool",
            "work"},
        .offs = {"clean"},
        .dirs = {{.sources = {AT("GOCACHE"), BELOW("XDG_CACHE_HOME", "/go-build")},
                     .fallback = "~/.cache/go-build"},
            {.sources = {AT("GOMODCACHE"), LIST_BELOW("GOPATH", "/pkg/mod")},
                .fallback = "~/go/pkg/mod"}},
    },
    {
        .name = "npm",
        .programs = {"npm", "npx"},
        .uses = {"ci", "install", "i", "add", "update", "up", "exec", "x", "init", "create", "cit",
            "it", "install-test", "install-ci-test", "clean-install", "rebuild", "audit", "dedupe"},
        .offs = {"cache clean", "cache rm"},
        .dirs = {{.sources = {OPTION("--cache"), AT("npm_config_cache"), AT("NPM_CONFIG_CACHE")},
            .fallback = "~/.npm"}},
    },
    {
        /* Of yarn 1. Plug'n'Play of a later one runs programs out of its cache: a result. */
        .name = "yarn",
        .programs = {"yarn", "yarnpkg"},
        .uses = {"install", "add", "global", "upgrade", "import", "create", "dlx", "workspaces"},
        .is_used_bare = true,
        .offs = {"cache clean"},
        .dirs = {{.sources = {OPTION("--cache-folder"), AT("YARN_CACHE_FOLDER"),
                      BELOW("XDG_CACHE_HOME", "/yarn")},
            .fallback = "~/.cache/yarn",
            .fallback_root = "/usr/local/share/.cache/yarn"}},
    },
    {
        .name = "pnpm",
        .programs = {"pnpm", "pnpx"},
        .uses = {"install", "i", "add", "fetch", "update", "up", "dlx", "deploy", "import",
            "install-test", "it", "rebuild"},
        .offs = {"store prune"},
        .dirs = {{.sources = {OPTION("--store-dir"), AT("npm_config_store_dir"),
                      AT("NPM_CONFIG_STORE_DIR"), BELOW("PNPM_HOME", "/store"),
                      BELOW("XDG_DATA_HOME", "/pnpm/store")},
            .fallback = "~/.local/share/pnpm/store"}},
    },
    {
        .name = "pip",
        .programs = {"pip", "pipx"},
        .uses = {"install", "download", "wheel"},
        .offs = {"--no-cache-dir", "cache purge"},
        .off_variables = {"PIP_NO_CACHE_DIR"},
        .dirs = {{.sources = {OPTION("--cache-dir"), AT("PIP_CACHE_DIR"),
                      BELOW("XDG_CACHE_HOME", "/pip")},
            .fallback = "~/.cache/pip"}},
    },
    {
        .name = "uv",
        .programs = {"uv", "uvx"},
        .uses = {"sync", "pip", "add", "run", "lock", "tool", "build", "venv", "export", "install"},
        .offs = {"--no-cache", "--no-cache-dir", "cache clean", "cache prune",
            "--link-mode=symlink", "--link-mode symlink"},
        .off_variables = {"UV_NO_CACHE"},
        .dirs = {{.sources = {OPTION("--cache-dir"), AT("UV_CACHE_DIR"),
                      BELOW("XDG_CACHE_HOME", "/uv")},
            .fallback = "~/.cache/uv"}},
    },
    {
        /* Its virtual environments lie beside these two. */
        .name = "poetry",
        .programs = {"poetry"},
        .uses = {"install", "add", "update", "lock", "sync"},
        .offs = {"--no-cache", "cache clear"},
        .dirs = {{.sources = {BELOW("POETRY_CACHE_DIR", "/cache"),
                      BELOW("XDG_CACHE_HOME", "/pypoetry/cache")},
                     .fallback = "~/.cache/pypoetry/cache"},
            {.sources = {BELOW("POETRY_CACHE_DIR", "/artifacts"),
                 BELOW("XDG_CACHE_HOME", "/pypoetry/artifacts")},
                .fallback = "~/.cache/pypoetry/artifacts"}},
    },
    {
        .name = "cargo",
        .programs = {"cargo", "xx-cargo"},
        .uses = {"build", "b", "test", "t", "run", "r", "check", "c", "install", "fetch", "update",
            "doc", "bench", "clippy", "vendor", "add", "chef", "rustc", "auditable", "nextest",
            "zigbuild", "package", "generate-lockfile"},
        .dirs = {{.sources = {BELOW("CARGO_HOME", "/registry")},
                     .fallback = "~/.cargo/registry",
                     .is_locked = true},
            {.sources = {BELOW("CARGO_HOME", "/git")},
                .fallback = "~/.cargo/git",
                .is_locked = true}},
    },
    {
        .name = "maven",
        .programs = {"mvn", "mvnd"},
        .dirs = {{.sources = {OPTION("-Dmaven.repo.local"),
                      WITHIN("MAVEN_ARGS", "-Dmaven.repo.local"),
                      WITHIN("MAVEN_OPTS", "-Dmaven.repo.local")},
            .fallback = "~/.m2/repository",
            .is_of_passwd = true}},
    },
    {
        .name = "maven",
        .programs = {"mvnw"},
        .dirs =
            {{.sources = {OPTION("-Dmaven.repo.local"), WITHIN("MAVEN_ARGS", "-Dmaven.repo.local"),
                  WITHIN("MAVEN_OPTS", "-Dmaven.repo.local")},
                 .fallback = "~/.m2/repository",
                 .is_of_passwd = true},
                {.sources = {BELOW("MAVEN_USER_HOME", "/wrapper/dists")},
                    .fallback = "~/.m2/wrapper/dists",
                    .is_of_passwd = true,
                    .is_locked = true}},
    },
    {
        .name = "gradle",
        .programs = {"gradle", "gradlew"},
        .dirs = {{.sources = {OPTION_BELOW("--gradle-user-home", "/caches"),
                      OPTION_BELOW("-g", "/caches"), BELOW("GRADLE_USER_HOME", "/caches")},
                     .fallback = "~/.gradle/caches",
                     .is_of_passwd = true,
                     .is_locked = true},
            {.sources = {OPTION_BELOW("--gradle-user-home", "/wrapper"),
                 OPTION_BELOW("-g", "/wrapper"), BELOW("GRADLE_USER_HOME", "/wrapper")},
                .fallback = "~/.gradle/wrapper",
                .is_of_passwd = true,
                .is_locked = true}},
    },
    {
        .name = "apt",
        .programs = {"apt-get", "apt", "aptitude"},
        .uses = {"install", "update", "upgrade", "dist-upgrade", "full-upgrade", "build-dep",
            "reinstall", "satisfy"},
        .offs = {"clean", "distclean"},
        .dirs = {{.fallback = "/var/cache/apt", .is_locked = true, .kind = AUTO_KIND_PACKAGES},
            {.fallback = "/var/lib/apt/lists", .is_locked = true, .kind = AUTO_KIND_LISTS}},
    },
    {
        /* Where this directory is there, apk keeps packages and indexes in it, else nowhere. */
        .name = "apk",
        .programs = {"apk"},
        .uses = {"add", "upgrade", "fetch"},
        .offs = {"--no-cache", "--cache-dir", "cache clean", "cache purge"},
        .dirs = {{.fallback = "/etc/apk/cache", .is_locked = true}},
    },
    {
        .name = "dnf",
        .programs = {"dnf", "dnf-3"},
        .uses = {"install", "update", "upgrade", "makecache", "reinstall", "builddep",
            "groupinstall", "group", "distro-sync", "module", "swap"},
        .offs = {"clean"},
        .dirs = {{.fallback = "/var/cache/dnf", .is_locked = true}},
    },
    {
        .name = "dnf",
        .programs = {"dnf5"},
        .uses = {"install", "update", "upgrade", "makecache", "reinstall", "builddep", "group",
            "distro-sync", "swap"},
        .offs = {"clean"},
        .dirs = {{.fallback = "/var/cache/libdnf5", .is_locked = true}},
    },
    {
        /* Of old it has a cache of its own, today it is another name of dnf. */
        .name = "yum",
        .programs = {"yum", "microdnf"},
        .uses = {"install", "update", "upgrade", "makecache", "reinstall", "groupinstall"},
        .offs = {"clean"},
        .dirs = {{.fallback = "/var/cache/yum", .is_locked = true},
            {.fallback = "/var/cache/dnf", .is_locked = true}},
    },
    {
        .name = "ccache",
        .programs = {"ccache"},
        .offs = {"--clear"},
        .off_variables = {"CCACHE_DISABLE"},
        .dirs = {{.sources = {AT("CCACHE_DIR"), BELOW("XDG_CACHE_HOME", "/ccache")},
            .fallback = "~/.cache/ccache"}},
    },
    {
        .name = "composer",
        .programs = {"composer", "composer.phar"},
        .uses = {"install", "i", "update", "u", "upgrade", "require", "create-project", "global"},
        .offs = {"--no-cache", "clear-cache", "clearcache", "cc"},
        .dirs = {{.sources = {AT("COMPOSER_CACHE_DIR"), BELOW("COMPOSER_HOME", "/cache"),
                      BELOW("XDG_CACHE_HOME", "/composer")},
            .fallback = "~/.cache/composer"}},
    },
    {
        .name = "bundler",
        .programs = {"bundle", "bundler"},
        .uses = {"install", "update", "add", "lock", "package", "cache"},
        .dirs = {{.sources = {AT("BUNDLE_USER_CACHE"), BELOW("BUNDLE_USER_HOME", "/cache")},
            .fallback = "~/.bundle/cache"}},
    },
    {
        .name = "nuget",
        .programs = {"dotnet", "nuget", "msbuild"},
        .uses = {"restore", "build", "publish", "run", "test", "pack", "add", "install", "tool"},
        .offs = {"nuget locals", "locals"},
        .dirs = {{.sources = {AT("NUGET_PACKAGES")}, .fallback = "~/.nuget/packages"}},
    },
};

const size_t auto_n_tools = G_N_ELEMENTS(auto_tools);
