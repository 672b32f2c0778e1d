/* A target as written, and what ssh -G says of it (ssh_config.h). */
#include <ctype.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ssh_config.h"
#include "wgdeck/buf.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static void list_add(struct text_list *list, char *item)
{
    MEM_GROW(list->items, list->count, list->capacity);
    list->items[list->count++] = item;
}

static void list_free(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

void ssh_target_free(struct ssh_target *target)
{
    if (!target)
        return;
    free(target->asked);
    free(target->host);
    free(target->user);
    free(target->jump);
    free(target->command);
    free(target->host_key_alias);
    free(target->agent);
    free(target->needs_ssh);
    list_free(&target->identities);
    list_free(&target->certificates);
    list_free(&target->known_hosts);
    list_free(&target->global_known_hosts);
    free(target);
}

static int read_port(const char *text, unsigned *port)
{
    unsigned long long number;
    if (text_to_number(text, 65535, &number) || !number)
        return -1;
    *port = (unsigned)number;
    return 0;
}

/* Trap 13: libssh refuses "_" in host names and "\ , $" in user names. Neither is given to it (the socket is connected here, the user's
 * name goes into the login requests), so only what ssh itself could take for something else is refused. */
static const char *unfit(const char *text, bool is_user)
{
    if (!*text)
        return "is empty";
    if (*text == '-')
        return "begins with '-'";
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return "has a space or a control character";
    if (strpbrk(text, is_user ? "'`\"$;&<>|(){}*?" : "'`\"$\\;&<>|(){}*?,@"))
        return "has a character that ssh refuses";
    return NULL;
}

int ssh_target_parse(const char *text, char **user, char **host, unsigned *port, struct err *err)
{
    bool uri = !strncmp(text, "ssh://", 6);
    const char *from = uri ? text + 6 : text;
    char *rest = mem_text_part(from, uri ? strcspn(from, "/") : strlen(from));
    const char *why = NULL;
    *user = *host = NULL;
    *port = 0;
    char *at = strrchr(rest, '@'), *name = at ? at + 1 : rest;
    if (at)
        *at = '\0';
    char *number = NULL;
    if (*name == '[') {
        char *end = strchr(name++, ']');
        if (end) {
            *end++ = '\0';
            if (*end == ':')
                number = end + 1;
            else if (*end)
                why = "has something after ']'";
        } else {
            why = "has no ']'";
        }
    } else {
        char *colon = strchr(name, ':');
        if (colon && colon == strrchr(name, ':')) { /* more than one: a v6 address */
            *colon = '\0';
            number = colon + 1;
        }
    }
    if (!why && number && read_port(number, port))
        why = "has no port from 1 to 65535 after ':'";
    if (!why)
        why = unfit(name, false);
    if (!why && at && (why = unfit(rest, true)))
        why = "has a user name that ssh refuses";
    if (why) {
        err_set(err, "SSH target \"%s\" %s; write [user@]host[:port]", text, why);
    } else {
        *host = mem_text(name);
        *user = at ? mem_text(rest) : NULL;
    }
    free(rest);
    return why ? -1 : 0;
}

static const char *home(void)
{
    const char *folder = getenv("HOME");
    if (folder && *folder)
        return folder;
    const struct passwd *entry = getpwuid(getuid());
    return entry ? entry->pw_dir : "/";
}

/* ~ and the %-marks that may stand in a path (ssh_config(5), TOKENS). */
static char *expand(const struct ssh_target *target, const char *text)
{
    struct buf buf = BUF_EMPTY;
    if (text[0] == '~' && (text[1] == '/' || !text[1])) {
        buf_add_text(&buf, home());
        text++;
    }
    for (; *text; text++) {
        if (*text != '%' || !text[1]) {
            buf_add_char(&buf, *text);
            continue;
        }
        switch (*++text) {
        case '%': buf_add_char(&buf, '%'); break;
        case 'd': buf_add_text(&buf, home()); break;
        case 'h': buf_add_text(&buf, target->host); break;
        case 'n': buf_add_text(&buf, target->asked); break;
        case 'p': buf_add_format(&buf, "%u", target->port); break;
        case 'r': buf_add_text(&buf, target->user); break;
        case 'k': buf_add_text(&buf, target->host_key_alias ? target->host_key_alias : target->asked); break;
        case 'i': buf_add_format(&buf, "%u", (unsigned)getuid()); break;
        default: buf_add_char(&buf, '%'); buf_add_char(&buf, *text);
        }
    }
    return buf_take(&buf);
}

/* Several paths in one line, separated by spaces, some perhaps in quotes. */
static void add_paths(struct text_list *list, const struct ssh_target *target, const char *value)
{
    while (*(value += strspn(value, " \t"))) {
        bool quoted = *value == '"';
        value += quoted;
        size_t length = strcspn(value, quoted ? "\"" : " \t");
        char *raw = mem_text_part(value, length);
        if (strcmp(raw, "none") && strcmp(raw, "/dev/null"))
            list_add(list, expand(target, raw));
        free(raw);
        value += length + (value[length] == '"');
    }
}

static char *agent_path(const struct ssh_target *target, const char *value)
{
    if (!strcmp(value, "none"))
        return NULL;
    if (!strcmp(value, "SSH_AUTH_SOCK"))
        return mem_text(getenv("SSH_AUTH_SOCK"));
    if (*value == '$')
        return mem_text(getenv(value + 1));
    return expand(target, value);
}

enum value_kind { VALUE_TEXT, VALUE_NUMBER, VALUE_YES, VALUE_NO, VALUE_ONE_PATH, VALUE_PATHS };

/* The lines of the answer that matter. VALUE_YES: true when it says yes; VALUE_NO: true when it says no. */
static const struct {
    const char *key;
    enum value_kind kind;
    size_t offset;
} table[] = {
#define ROW(key, kind, member) {key, kind, offsetof(struct ssh_target, member)}
    ROW("hostname", VALUE_TEXT, host),
    ROW("user", VALUE_TEXT, user),
    ROW("port", VALUE_NUMBER, port),
    ROW("proxyjump", VALUE_TEXT, jump),
    ROW("proxycommand", VALUE_TEXT, command),
    ROW("hostkeyalias", VALUE_TEXT, host_key_alias),
    ROW("identityfile", VALUE_ONE_PATH, identities),
    ROW("certificatefile", VALUE_ONE_PATH, certificates),
    ROW("userknownhostsfile", VALUE_PATHS, known_hosts),
    ROW("globalknownhostsfile", VALUE_PATHS, global_known_hosts),
    ROW("identitiesonly", VALUE_YES, identities_only),
    ROW("hashknownhosts", VALUE_YES, hash_known_hosts),
    ROW("pubkeyauthentication", VALUE_NO, no_public_key),
    ROW("passwordauthentication", VALUE_NO, no_password),
    ROW("kbdinteractiveauthentication", VALUE_NO, no_keyboard_interactive),
    ROW("serveraliveinterval", VALUE_NUMBER, alive_interval),
    ROW("serveralivecountmax", VALUE_NUMBER, alive_count),
#undef ROW
};

static bool says_yes(const char *value)
{
    return !strcmp(value, "yes") || !strcmp(value, "true");
}

static bool says_no(const char *value)
{
    return !strcmp(value, "no") || !strcmp(value, "false");
}

static enum host_key_strictness read_strictness(const char *value)
{
    return says_yes(value) ? STRICT_YES : says_no(value) || !strcmp(value, "off") ? STRICT_NO
         : !strcmp(value, "accept-new") ? STRICT_ACCEPT_NEW : STRICT_ASK;
}

/* Paths need host and user first: two passes. */
static void take(struct ssh_target *target, const char *key, const char *value, bool paths)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (strcmp(key, table[i].key))
            continue;
        void *member = (char *)target + table[i].offset;
        unsigned long long number;
        bool is_path = table[i].kind == VALUE_ONE_PATH || table[i].kind == VALUE_PATHS;
        if (is_path != paths)
            return;
        switch (table[i].kind) {
        case VALUE_TEXT:
            free(*(char **)member);
            *(char **)member = strcmp(value, "none") ? mem_text(value) : NULL;
            break;
        case VALUE_NUMBER:
            if (!text_to_number(value, 1000000, &number))
                *(unsigned *)member = (unsigned)number;
            break;
        case VALUE_YES: *(bool *)member = says_yes(value); break;
        case VALUE_NO: *(bool *)member = says_no(value); break;
        case VALUE_ONE_PATH:
            if (strcmp(value, "none"))
                list_add(member, expand(target, value));
            break;
        case VALUE_PATHS: add_paths(member, target, value); break;
        }
        return;
    }
    if (!strcmp(key, "knownhostscommand"))
        target->known_hosts_command = strcmp(value, "none") != 0;
    if (!strcmp(key, "revokedhostkeys") || !strcmp(key, "knownhostscommand")) {
        if (!target->needs_ssh && strcmp(value, "none")) /* who says which host keys are good is never passed over */
            target->needs_ssh = mem_format("%s in the SSH configuration", *key == 'r' ? "RevokedHostKeys" : "KnownHostsCommand");
    } else if (paths && !strcmp(key, "identityagent")) {
        free(target->agent);
        target->agent = agent_path(target, value);
    } else if (!strcmp(key, "stricthostkeychecking")) {
        target->strictness = read_strictness(value);
    } else if (!strcmp(key, "addressfamily")) {
        target->family = !strcmp(value, "inet") ? AF_INET : !strcmp(value, "inet6") ? AF_INET6 : AF_UNSPEC;
    }
}

static void take_all(struct ssh_target *target, const char *answer, bool paths)
{
    for (const char *line = answer; *line;) {
        size_t length = strcspn(line, "\n"), key_length = strcspn(line, " \n");
        char *key = mem_text_part(line, key_length);
        char *value = mem_text_part(line + key_length + (key_length < length), length - key_length - (key_length < length));
        for (char *at = key; *at; at++)
            *at = (char)tolower((unsigned char)*at);
        take(target, key, value, paths);
        free(key);
        free(value);
        line += length + (line[length] == '\n');
    }
}

static const char *const default_keys[] = {"id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"};

struct ssh_target *ssh_target_default(const char *user, const char *host, unsigned port)
{
    struct ssh_target *target = mem_alloc(1, sizeof *target);
    const struct passwd *entry = user ? NULL : getpwuid(getuid());
    target->asked = mem_text(host);
    target->host = mem_text(host);
    target->user = mem_text(user ? user : entry ? entry->pw_name : "root");
    target->port = port ? port : 22;
    target->agent = mem_text(getenv("SSH_AUTH_SOCK"));
    for (size_t i = 0; i < COUNT_OF(default_keys); i++)
        list_add(&target->identities, mem_format("%s/.ssh/%s", home(), default_keys[i]));
    list_add(&target->known_hosts, mem_format("%s/.ssh/known_hosts", home()));
    list_add(&target->known_hosts, mem_format("%s/.ssh/known_hosts2", home()));
    list_add(&target->global_known_hosts, mem_text("/etc/ssh/ssh_known_hosts"));
    list_add(&target->global_known_hosts, mem_text("/etc/ssh/ssh_known_hosts2"));
    return target;
}

struct ssh_target *ssh_target_bare(const char *user, const char *host, unsigned port)
{
    struct ssh_target *target = mem_alloc(1, sizeof *target);
    target->asked = mem_text(host);
    target->host = mem_text(host);
    target->user = mem_text(user);
    target->port = port;
    target->identities_only = target->no_password = target->no_keyboard_interactive = true;
    target->strictness = STRICT_YES;
    return target;
}

struct ssh_target *ssh_target_from_answer(const char *answer, const char *asked, struct err *err)
{
    struct ssh_target *target = mem_alloc(1, sizeof *target);
    target->asked = mem_text(asked);
    target->agent = mem_text(getenv("SSH_AUTH_SOCK"));
    take_all(target, answer, false);
    if (!target->host || !target->user || !target->port || target->port > 65535) {
        err_set(err, "ssh -G %s: no host, user or port in the answer", asked);
        ssh_target_free(target);
        return NULL;
    }
    take_all(target, answer, true);
    if (target->command && !target->needs_ssh)
        target->needs_ssh = mem_text("ProxyCommand in the SSH configuration");
    return target;
}
