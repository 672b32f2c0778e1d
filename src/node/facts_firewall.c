/* What of a node's firewall can be seen without changing anything: nftables' rules (those of iptables-nft too), ufw, firewalld, old iptables. A guess is never said as a fact. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "facts.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { FILE_MOST = 1 << 20, RULES_MOST = 4 << 20 };
#define PATIENCE (1500 * CLOCK_MILLISECOND)

extern char **environ;

/* --- nftables */

/* Collects what DESCRIPTOR has to say until its end; false: too long, or too late. */
static bool read_to_end(int descriptor, struct buf *text)
{
    int64_t end = clock_steady() + PATIENCE;
    while (text->length < RULES_MOST) {
        struct pollfd wait = {.fd = descriptor, .events = POLLIN};
        int64_t left = end - clock_steady();
        char bytes[8192];
        if (left <= 0 || poll(&wait, 1, (int)(left / CLOCK_MILLISECOND) + 1) <= 0)
            return false;
        ssize_t length = read(descriptor, bytes, sizeof bytes);
        if (length <= 0)
            return length == 0;
        buf_add(text, bytes, (size_t)length);
    }
    return false;
}

/* What "nft -j list ruleset" prints; false: it is not there, or did not end. */
static bool read_rules(struct buf *text)
{
    static char program[] = "nft", as_json[] = "-j", list[] = "list", ruleset[] = "ruleset";
    char *const arguments[] = {program, as_json, list, ruleset, NULL};
    static const char *const places[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft", "/usr/bin/nft"};
    int ends[2], result = -1;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC))
        return false;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    for (size_t i = 0; result && i < COUNT_OF(places); i++)
        result = posix_spawn(&pid, places[i], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    bool whole = !result && read_to_end(ends[0], text);
    close(ends[0]);
    if (!result && !whole)
        kill(pid, SIGKILL);
    int status = -1;
    if (!result)
        waitpid(pid, &status, 0);
    return whole && status == 0;
}

static bool is_text(const cJSON *object, const char *key, const char *wanted)
{
    return !strcmp(json_get_text(object, key, ""), wanted);
}

static bool same_table(const cJSON *a, const char *key, const cJSON *chain)
{
    return is_text(a, "family", json_get_text(chain, "family", "?")) && is_text(a, key, json_get_text(chain, "table", "?"));
}

/* A number that is the port, a range that holds it, or a name of a set or map, of which we do not know what is in it. */
static bool may_mean_port(const cJSON *value, unsigned port)
{
    const cJSON *range = cJSON_IsObject(value) ? json_get_list(value, "range") : NULL, *item;
    if (cJSON_IsNumber(value))
        return value->valuedouble == port;
    if (cJSON_IsString(value))
        return value->valuestring[0] == '@';
    if (range) {
        const cJSON *first = cJSON_GetArrayItem(range, 0), *last = cJSON_GetArrayItem(range, 1);
        return cJSON_IsNumber(first) && cJSON_IsNumber(last) && first->valuedouble <= port && port <= last->valuedouble;
    }
    cJSON_ArrayForEach(item, value)
        if (may_mean_port(item, port))
            return true;
    return false;
}

/* A condition that a first packet of UDP to PORT from anywhere surely does not meet. */
static bool excludes(const cJSON *match, unsigned port)
{
    const cJSON *left = json_get_object(match, "left"), *right = cJSON_GetObjectItemCaseSensitive(match, "right");
    const cJSON *payload = left ? json_get_object(left, "payload") : NULL, *meta = left ? json_get_object(left, "meta") : NULL, *ct = left ? json_get_object(left, "ct") : NULL;
    if (!(is_text(match, "op", "==") || is_text(match, "op", "in")))
        return false;
    char *written = cJSON_PrintUnformatted(right);
    const char *words = written ? written : "";
    bool result = false;
    if (payload && is_text(payload, "field", "dport"))
        result = is_text(payload, "protocol", "tcp") || is_text(payload, "protocol", "sctp") || !may_mean_port(right, port);
    else if (payload)
        result = !strncmp(json_get_text(payload, "protocol", ""), "icmp", 4) || is_text(payload, "protocol", "tcp") ||
                 (is_text(payload, "field", "protocol") && !strstr(words, "udp") && !strstr(words, "17") && !strchr(words, '@'));
    else if (meta && (is_text(meta, "key", "l4proto") || is_text(meta, "key", "nfproto")))
        result = is_text(meta, "key", "l4proto") && !strstr(words, "udp") && !strstr(words, "17") && !strchr(words, '@');
    else if (meta && (is_text(meta, "key", "iifname") || is_text(meta, "key", "iif")))
        result = !strcmp(words, "\"lo\"");
    else if (ct && is_text(ct, "key", "state"))
        result = !strstr(words, "new") && !strstr(words, "untracked") && !strchr(words, '@');
    cJSON_free(written);
    return result;
}

/* Might RULE let it in? Drops, counters and jumps do not (the rules of the chains behind jumps are asked themselves); what this program does not know might. */
static bool may_accept(const cJSON *rule, unsigned port)
{
    const cJSON *expression;
    bool accepts = false;
    cJSON_ArrayForEach(expression, json_get_list(rule, "expr")) {
        const cJSON *match = json_get_object(expression, "match");
        if (match && excludes(match, port))
            return false;
        accepts = accepts || cJSON_HasObjectItem(expression, "accept") || cJSON_HasObjectItem(expression, "vmap") || cJSON_HasObjectItem(expression, "queue") ||
                  cJSON_HasObjectItem(expression, "tproxy");
    }
    return accepts;
}

static bool table_may_accept(const cJSON *list, const cJSON *chain, unsigned port)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) {
        const cJSON *rule = json_get_object(item, "rule");
        if (rule && same_table(rule, "table", chain) && may_accept(rule, port))
            return true;
    }
    return false;
}

int facts_rules_drop(const char *rules, size_t length, unsigned port)
{
    cJSON *object = json_parse(rules, length, NULL);
    const cJSON *list = object ? json_get_list(object, "nftables") : NULL, *item;
    int drops = 0;
    cJSON_ArrayForEach(item, list) {
        const cJSON *chain = json_get_object(item, "chain");
        if (chain && is_text(chain, "hook", "input") && is_text(chain, "policy", "drop") && !is_text(chain, "family", "bridge") && !is_text(chain, "family", "ip6") &&
            !table_may_accept(list, chain, port))
            drops = 1;
    }
    cJSON_Delete(object);
    return drops;
}

/* --- what stands in files */

static bool says(const char *root, const char *path, const char *word)
{
    struct buf text = BUF_EMPTY;
    char *whole = mem_format("%s%s", root, path);
    bool found = !file_read(whole, FILE_MOST, &text, NULL) && strstr(buf_text(&text), word);
    buf_free(&text);
    free(whole);
    return found;
}

/* Rules of ufw that name the port, for UDP or for both: "### tuple ### allow udp 51820 …". */
static bool ufw_allows(const char *root, unsigned port)
{
    char *udp = mem_format("### tuple ### allow udp %u ", port), *any = mem_format("### tuple ### allow any %u ", port);
    bool allows = says(root, "/etc/ufw/user.rules", udp) || says(root, "/etc/ufw/user.rules", any);
    free(udp);
    free(any);
    return allows;
}

static bool is_there(const char *root, const char *path)
{
    char *whole = mem_format("%s%s", root, path);
    bool there = access(whole, F_OK) == 0;
    free(whole);
    return there;
}

static void add_line(struct json *json, const char *format, unsigned port)
{
    struct buf line = BUF_EMPTY;
    for (; *format; format++)
        if (*format == '#')
            buf_add_format(&line, "%u", port);
        else
            buf_add_char(&line, *format);
    json_text(json, NULL, buf_text(&line));
    buf_free(&line);
}

void facts_firewall(const char *root, unsigned port, struct json *json)
{
    struct buf rules = BUF_EMPTY;
    bool ufw = says(root, "/etc/ufw/ufw.conf", "\nENABLED=yes"), firewalld = is_there(root, "/run/firewalld.pid") || is_there(root, "/run/firewalld/firewalld.pid");
    if (ufw && !ufw_allows(root, port))
        add_line(json, "ufw is on, and no rule of it names UDP port #: it seems to drop (to open it: ufw allow #/udp)", port);
    if (firewalld)
        add_line(json, "firewalld runs: see that it lets UDP port # in (firewall-cmd --list-all; to open it: firewall-cmd --add-port=#/udp, and again with --permanent)", port);
    if (says(root, "/proc/net/ip_tables_names", "filter"))
        add_line(json, "iptables has rules: see that they let UDP port # in (iptables -S INPUT)", port);
    if (!*root && !ufw && !firewalld && read_rules(&rules) && facts_rules_drop(buf_text(&rules), rules.length, port))
        add_line(json, "nft: input drops what no rule accepts, and none seems to accept UDP port # (nft list ruleset)", port);
    buf_free(&rules);
}
