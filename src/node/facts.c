/* What a node is (facts.h): most of it from the same reading that a look takes, the rest from files. */
#include "facts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/node.h"
#include "wgdeck/text.h"

enum { FILE_MOST = 1 << 20, PORTS_MOST = 4096, RULES_MOST = 4 << 20 };
#define PATIENCE (1500 * CLOCK_MILLISECOND)
extern char **environ;

static void add_os(struct json *json)
{
    struct buf text = BUF_EMPTY;
    static const char mark[] = "PRETTY_NAME=";
    const char *line = file_read("/etc/os-release", FILE_MOST, &text, NULL) ? NULL : strstr(buf_text(&text), mark);
    char *name = NULL;
    if (line) {
        line += strlen(mark);
        line += *line == '"';
        name = mem_text_part(line, strcspn(line, "\"\n"));
    }
    char *safe = text_safe(name);
    json_text(json, "os", safe);
    free(safe);
    free(name);
    buf_free(&text);
}

/* --- UDP ports in use: the local address of each line of /proc/net/udp */

static void ports_of(const char *path, bool *used)
{
    struct buf text = BUF_EMPTY;
    if (!file_read(path, FILE_MOST, &text, NULL))
        for (const char *line = buf_text(&text); *line; line += strcspn(line, "\n"), line += *line == '\n') {
            unsigned port;
            if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%4x", &port) == 1)
                used[port & 0xffff] = true;
        }
    buf_free(&text);
}

static void add_ports(struct json *json)
{
    bool *used = mem_alloc(65536, sizeof *used);
    size_t count = 0;
    ports_of("/proc/net/udp", used);
    ports_of("/proc/net/udp6", used);
    json_list(json, "ports");
    for (unsigned port = 1; port < 65536 && count < PORTS_MOST; port++)
        if (used[port]) {
            json_unsigned(json, NULL, port);
            count++;
        }
    json_list_end(json);
    free(used);
}

/* --- the firewall, as far as it can be seen: what is not seen is not said */

/* What "nft list ruleset" prints, within the patience; false: it is not there, or did not end. */
static bool read_rules(struct buf *text)
{
    static char program[] = "nft", list[] = "list", ruleset[] = "ruleset";
    char *const arguments[] = {program, list, ruleset, NULL};
    int ends[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC))
        return false;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int result = posix_spawnp(&pid, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    int64_t end = clock_steady() + PATIENCE;
    bool whole = false;
    while (!result && !whole && text->length < RULES_MOST) {
        struct pollfd wait = {.fd = ends[0], .events = POLLIN};
        int64_t left = end - clock_steady();
        char bytes[8192];
        if (left <= 0 || poll(&wait, 1, (int)(left / CLOCK_MILLISECOND) + 1) <= 0)
            break;
        ssize_t length = read(ends[0], bytes, sizeof bytes);
        if (length > 0)
            buf_add(text, bytes, (size_t)length);
        whole = length <= 0;
    }
    close(ends[0]);
    if (result)
        return false;
    if (!whole)
        kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return whole;
}

static bool names_port(const char *rules, unsigned port)
{
    char word[16];
    snprintf(word, sizeof word, "%u", port);
    size_t length = strlen(word);
    for (const char *at = strstr(rules, word); at; at = strstr(at + 1, word))
        if ((at == rules || !strchr("0123456789.:", at[-1])) && !strchr("0123456789.", at[length]))
            return true;
    return false;
}

static bool drops_by_policy(const char *rules)
{
    for (const char *at = strstr(rules, "hook input"); at; at = strstr(at + 1, "hook input")) {
        char *line = mem_text_part(at, strcspn(at, "\n"));
        bool drops = strstr(line, "policy drop") != NULL;
        free(line);
        if (drops)
            return true;
    }
    return false;
}

static bool says(const char *path, const char *word)
{
    struct buf text = BUF_EMPTY;
    bool found = !file_read(path, FILE_MOST, &text, NULL) && strstr(buf_text(&text), word);
    buf_free(&text);
    return found;
}

static void add_firewall(struct json *json, unsigned port)
{
    struct buf rules = BUF_EMPTY;
    char *line = NULL;
    json_list(json, "firewall");
    if (read_rules(&rules) && drops_by_policy(buf_text(&rules)) && !names_port(buf_text(&rules), port)) {
        line = mem_format("nft: what comes in is dropped unless a rule accepts it, and no rule names port %u", port);
        json_text(json, NULL, line);
    }
    if (says("/etc/ufw/ufw.conf", "ENABLED=yes"))
        json_text(json, NULL, "ufw is on (ufw status tells what it lets in)");
    if (access("/run/firewalld.pid", F_OK) == 0)
        json_text(json, NULL, "firewalld runs (firewall-cmd --list-all tells what it lets in)");
    json_list_end(json);
    free(line);
    buf_free(&rules);
}

/* --- from the reading */

static bool is_in_path(const char *program)
{
    static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        char *path = mem_format("%s/%s", folders[i], program);
        bool there = access(path, X_OK) == 0;
        free(path);
        if (there)
            return true;
    }
    return false;
}

static void add_addresses(const struct observation *seen, const char *interface, struct json *json)
{
    uint32_t mtu = 0;
    json_list(json, "addresses");
    for (size_t i = 0; i < seen->link_count; i++) {
        const struct observed_link *link = &seen->links[i];
        if (!strcmp(link->name, "lo") || !strcmp(link->name, interface) || !link->up)
            continue;
        for (size_t a = 0; a < link->address_count; a++) {
            char text[PREFIX_TEXT_SIZE];
            prefix_text(&link->addresses[a], text);
            json_text(json, NULL, text);
            if (!mtu || link->mtu < mtu)
                mtu = link->mtu;
        }
    }
    json_list_end(json);
    json_unsigned(json, "mtu", mtu);
}

static void add_interface(const struct observation *seen, const char *interface, struct json *json)
{
    const struct device *device = NULL;
    char text[KEY_TEXT_SIZE];
    for (size_t i = 0; i < seen->device_count; i++)
        if (!strcmp(seen->devices[i].name, interface))
            device = &seen->devices[i];
    const struct observed_config *config = observation_config(seen, interface);
    const struct device *saved = config && !config->error ? observation_saved(seen, config) : NULL;
    const struct device *keyed = device && device->has_private ? device : saved && saved->has_private ? saved : NULL;
    if (keyed)
        key_text(&keyed->public_key, text);
    json_text(json, "engine", device ? engine_kind_text(device->engine) : NULL);
    json_text(json, "public_key", keyed ? text : NULL);
    json_unsigned(json, "listen_port", device ? device->listen_port : saved ? saved->listen_port : 0);
}

int node_facts_to_json(const char *interface, struct json *json, const char *key, struct err *err)
{
    static const char no_salt[] = "0000000000000000000000000000000000000000000000000000000000000000";
    struct node_observer *observer = node_observer_new("", err);
    struct observation seen = {0};
    struct utsname names;
    if (!observer)
        return -1;
    int result = node_observe(observer, no_salt, &seen, err);
    if (!result) {
        char *boot = boot_find("", interface);
        json_object(json, key);
        json_text(json, "hostname", seen.hostname);
        add_os(json);
        json_text(json, "system", uname(&names) == 0 ? names.machine : NULL);
        json_text(json, "init", boot_init(""));
        json_bool(json, "root", geteuid() == 0);
        json_bool(json, "kernel", seen.kernel_has_wireguard);
        json_bool(json, "tun", access("/dev/net/tun", F_OK) == 0);
        json_bool(json, "wg_quick", is_in_path("wg-quick"));
        add_interface(&seen, interface, json);
        add_ports(json);
        add_addresses(&seen, interface, json);
        add_firewall(json, 51820);
        json_text(json, "service", boot && *boot ? boot : NULL);
        json_text(json, "pending", seen.pending);
        json_text(json, "generation", seen.generation);
        json_object_end(json);
        free(boot);
    }
    observation_clear(&seen);
    node_observer_free(observer);
    return result;
}
