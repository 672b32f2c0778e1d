/* What this machine's sshd would do with a key (invite_parts.h): it is asked itself ("sshd -T"), since only it knows its configuration, with all that that includes and matches. */
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "invite_parts.h"
#include "login.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static const double patience = 10;
#define CONFIGURATION "/etc/ssh/sshd_config"

/* --- what it says */

void sshd_parse(const char *text, struct sshd_says *says)
{
    size_t capacity = 0;
    char *rest = NULL;
    *says = (struct sshd_says){.text = mem_text(text)};
    for (char *line = strtok_r(says->text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        char *value = line + strcspn(line, " \t");
        if (*value)
            *value++ = '\0';
        value += strspn(value, " \t");
        for (char *letter = line; *letter; letter++) /* keywords know no case */
            *letter = (char)(*letter >= 'A' && *letter <= 'Z' ? *letter - 'A' + 'a' : *letter);
        MEM_GROW(says->lines, says->count, capacity);
        says->lines[says->count++] = (struct sshd_line){line, value};
    }
}

void sshd_free(struct sshd_says *says)
{
    free(says->lines);
    free(says->text);
    *says = (struct sshd_says){0};
}

const char *sshd_value(const struct sshd_says *says, const char *key, size_t index)
{
    for (size_t i = 0; i < says->count; i++)
        if (!strcmp(says->lines[i].key, key) && index-- == 0)
            return says->lines[i].value;
    return NULL;
}

static const char *value_of(const struct sshd_says *says, const char *key, const char *fallback)
{
    const char *value = sshd_value(says, key, 0);
    return value ? value : fallback;
}

/* --- asking it */

/* The connection that it is asked for: where the newcomer comes from is not known, so an address of nobody's; where it comes to is where we came to. */
static char *connection_words(const char *user, const char *connection)
{
    char at[64] = "", port[8] = "";
    struct address address;
    unsigned long long number;
    if (!connection || sscanf(connection, "%*s %*s %63s %7s", at, port) != 2 || address_parse(at, &address) || text_to_number(port, 65535, &number))
        return mem_format("user=%s,host=newcomer.invalid,addr=192.0.2.1", user);
    return mem_format("user=%s,host=newcomer.invalid,addr=192.0.2.1,laddr=%s,lport=%s", user, at, port);
}

static char **find_sshd(void)
{
    static const char *const places[] = {"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"};
    char **words = login_sshd();
    for (size_t i = 0; !words && i < COUNT_OF(places); i++)
        if (access(places[i], X_OK) == 0) {
            words = mem_alloc(2, sizeof *words);
            words[0] = mem_text(places[i]);
        }
    return words;
}

/* "OpenSSH_9.2p1 ..." among what it says of an option that it does not know. expiry-time came with 7.7. */
static int check_version(const char *program, struct err *err)
{
    const char *const words[] = {program, "-?", NULL};
    struct buf said = BUF_EMPTY;
    unsigned major = 0, minor = 0;
    (void)invite_run(words, NULL, patience, &said, &said, NULL);
    const char *at = strstr(buf_text(&said), "OpenSSH_");
    bool old = at && sscanf(at, "OpenSSH_%3u.%3u", &major, &minor) == 2 && (major < 7 || (major == 7 && minor < 7));
    buf_free(&said);
    return old ? err_set(err, "this is OpenSSH %u.%u, whose keys cannot expire: invitations need 7.7 (of 2018)", major, minor) : 0;
}

static int ask_words(char *const sshd[], const char *user, const char *connection, struct sshd_says *says, struct err *err)
{
    enum { WORDS = 40 };
    const char *words[WORDS] = {0};
    struct buf out = BUF_EMPTY, said = BUF_EMPTY;
    char *about = connection_words(user, connection);
    size_t count = 0;
    for (; count < WORDS - 4 && sshd[count]; count++)
        words[count] = sshd[count];
    words[count++] = "-T";
    words[count++] = "-C";
    words[count] = about;
    int status = invite_run(words, NULL, patience, &out, &said, err);
    if (status > 0)
        err_set(err, "%s -T says: %.*s", words[0], (int)strcspn(buf_text(&said), "\r\n"), *buf_text(&said) ? buf_text(&said) : "nothing");
    else if (!status)
        sshd_parse(buf_text(&out), says);
    free(about);
    buf_free(&out);
    buf_free(&said);
    return status ? -1 : 0;
}

int sshd_ask(const char *user, const char *connection, struct sshd_says *says, struct err *err)
{
    char **sshd = find_sshd();
    *says = (struct sshd_says){0};
    int result = sshd ? check_version(sshd[0], err) : err_set(err, "no sshd is here that could be asked what it would do with a key (looked in /usr/sbin, /usr/local/sbin, /sbin)");
    if (!result)
        result = ask_words(sshd, user, connection, says, err);
    login_words_free(sshd);
    return result;
}

/* --- would it take the key? */

/* WORD among those of LIST, which SEPARATORS part. */
static bool has_word(const char *list, const char *separators, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = list; *at;) {
        at += strspn(at, separators);
        size_t length = strcspn(at, separators);
        if (length == size && !strncasecmp(at, word, size))
            return true;
        at += length;
    }
    return false;
}

/* One pattern of AllowUsers and the like: user, or user@host. AT_HOST: it counts only from some hosts. */
static bool pattern_matches(const char *pattern, size_t length, const char *name, bool *at_host)
{
    char text[256];
    if (length >= sizeof text)
        return false;
    memcpy(text, pattern, length);
    text[length] = '\0';
    char *host = strrchr(text, '@');
    if (host)
        *host = '\0';
    *at_host = host != NULL;
    return fnmatch(text, name, FNM_NOESCAPE) == 0;
}

/* Does one of the names match a pattern of KEY's lists? FROM: it does only for some hosts. LISTED: there are patterns. */
static bool is_listed(const struct sshd_says *says, const char *key, const char *const names[], bool *listed, bool *from)
{
    const char *list;
    bool found = false, at_host;
    *listed = *from = false;
    for (size_t i = 0; (list = sshd_value(says, key, i)) != NULL; i++)
        for (const char *at = list; *at; at += strspn(at, " \t")) {
            size_t length = strcspn(at, " \t");
            *listed = true;
            for (size_t n = 0; names[n]; n++)
                if (pattern_matches(at, length, names[n], &at_host)) {
                    *from = found ? *from && at_host : at_host;
                    found = true;
                }
            at += length;
        }
    return found;
}

static int check_lists(const struct sshd_says *says, const struct account *account, const char *const groups[], struct buf *warnings, struct err *err)
{
    static const struct { const char *key, *name; bool groups, denies; } lists[] = {
        {"denyusers", "DenyUsers", false, true}, {"allowusers", "AllowUsers", false, false}, {"denygroups", "DenyGroups", true, true}, {"allowgroups", "AllowGroups", true, false}};
    const char *const user[] = {account->name, NULL};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        bool listed, from, found = is_listed(says, lists[i].key, lists[i].groups ? groups : user, &listed, &from);
        if (found && from)
            buf_add_format(warnings, "%s of sshd names %s for some hosts only: whether the newcomer's is one cannot be told\n", lists[i].name, account->name);
        else if (listed && found == lists[i].denies)
            return err_set(err, "sshd does not let %s in (%s in " CONFIGURATION ")", account->name, lists[i].name);
    }
    return 0;
}

static int check_root(const struct sshd_says *says, const struct account *account, struct err *err)
{
    if (account->uid == 0 && !strcasecmp(value_of(says, "permitrootlogin", "prohibit-password"), "no"))
        return err_set(err, "sshd lets root in by no way (set \"PermitRootLogin forced-commands-only\" in " CONFIGURATION ", and reload sshd)");
    return 0;
}

static int check_shell(const struct account *account, struct err *err)
{
    const char *name = strrchr(account->shell, '/');
    if (access(account->shell, X_OK) || (name && (!strcmp(name, "/nologin") || !strcmp(name, "/false"))))
        return err_set(err, "%s has no shell that runs commands (%s)", account->name, account->shell);
    return 0;
}

/* The rest: settings that must not be, or must be. */
static int check_settings(const struct sshd_says *says, struct err *err)
{
    const char *algorithms = value_of(says, "pubkeyacceptedalgorithms", value_of(says, "pubkeyacceptedkeytypes", "ssh-ed25519"));
    const char *methods = value_of(says, "authenticationmethods", "any");
    const char *command = value_of(says, "forcecommand", "none");
    if (strcasecmp(value_of(says, "pubkeyauthentication", "yes"), "yes") != 0)
        return err_set(err, "sshd takes no keys (set \"PubkeyAuthentication yes\" in " CONFIGURATION ", and reload sshd)");
    if (!has_word(methods, " \t", "any") && !has_word(methods, " \t", "publickey"))
        return err_set(err, "sshd wants more than a key (AuthenticationMethods %s in " CONFIGURATION "): a token has only that", methods);
    if (!has_word(algorithms, ", \t", "ssh-ed25519"))
        return err_set(err, "sshd takes no Ed25519 keys (add ssh-ed25519 to PubkeyAcceptedAlgorithms in " CONFIGURATION ", and reload sshd)");
    if (strcasecmp(command, "none") != 0)
        return err_set(err, "sshd runs another command for every login (ForceCommand in " CONFIGURATION ")");
    if (strcasecmp(value_of(says, "chrootdirectory", "none"), "none") != 0)
        return err_set(err, "sshd shuts logins into a folder (ChrootDirectory in " CONFIGURATION "), where the program is not");
    return 0;
}

int sshd_accepts(const struct sshd_says *says, const struct account *account, const char *const groups[], struct buf *warnings, struct err *err)
{
    return check_root(says, account, err) || check_settings(says, err) || check_lists(says, account, groups, warnings, err) || check_shell(account, err) ? -1 : 0;
}

/* --- which file */

/* PATTERN with %h, %u, %U and %% filled in; relative ones are below the home. OWN: it is another file for each account. NULL: it has something that we do not know. */
static char *fill_pattern(const char *pattern, size_t length, const struct account *account, bool *own)
{
    struct buf path = BUF_EMPTY;
    *own = length && pattern[0] != '/' && !(length > 1 && pattern[0] == '%' && pattern[1] == 'h');
    if (*own)
        buf_add_format(&path, "%s/", account->home);
    for (size_t i = 0; i < length; i++) {
        if (pattern[i] != '%') {
            buf_add_char(&path, pattern[i]);
            continue;
        }
        char letter = ++i < length ? pattern[i] : '\0';
        *own = *own || letter == 'h' || letter == 'u' || letter == 'U';
        if (letter == 'h')
            buf_add_text(&path, account->home);
        else if (letter == 'u')
            buf_add_text(&path, account->name);
        else if (letter == 'U')
            buf_add_format(&path, "%lu", (unsigned long)account->uid);
        else if (letter == '%')
            buf_add_char(&path, '%');
        else
            goto unknown;
    }
    if (path.length < PATH_MAX && buf_text(&path)[0] == '/' && !strstr(buf_text(&path), "/../"))
        return buf_take(&path);
unknown:
    buf_free(&path);
    return NULL;
}

char *sshd_choose_file(const struct sshd_says *says, const struct account *account, struct err *err)
{
    const char *patterns = value_of(says, "authorizedkeysfile", ".ssh/authorized_keys .ssh/authorized_keys2");
    char *by_hand = mem_format("%s/.ssh/authorized_keys", account->home), *found = NULL;
    for (const char *at = patterns; *at && !found; at += strspn(at, " \t")) {
        size_t length = strcspn(at, " \t");
        bool own;
        char *path = length == 4 && !strncasecmp(at, "none", 4) ? NULL : fill_pattern(at, length, account, &own);
        if (path && own && strcmp(path, by_hand) != 0)
            found = path;
        else
            free(path);
        at += length;
    }
    free(by_hand);
    if (!found)
        err_set(err, "sshd reads keys of %s from \"%s\" only, and wgdeck does not touch a file that people keep: "
                     "set \"AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2\" in " CONFIGURATION ", and reload sshd", account->name, patterns);
    return found;
}

/* --- host keys */

/* "TYPE BASE64" of the first line of PATH; malloc'd, NULL: it is none that a token can hold. */
static char *read_public(const char *path)
{
    static const char *const types[] = {"ssh-ed25519 ", "ecdsa-sha2-nistp", "ssh-rsa "};
    struct buf text = BUF_EMPTY;
    char *key = NULL;
    if (!file_read(path, 16384, &text, NULL)) {
        const char *line = buf_text(&text);
        size_t type = strcspn(line, " \r\n"), length = line[type] == ' ' ? type + 1 + strcspn(line + type + 1, " \t\r\n") : 0;
        bool known = false;
        for (size_t i = 0; i < COUNT_OF(types); i++)
            known = known || !strncmp(line, types[i], strlen(types[i]));
        if (known && length > type + 1 && length < 1024 && text_is_safe(line, length))
            key = mem_text_part(line, length);
    }
    buf_free(&text);
    return key;
}

size_t sshd_host_keys(const struct sshd_says *says, char *keys[static INVITATION_HOST_KEYS], struct err *err)
{
    static const char *const order[] = {"ssh-ed25519 ", "ecdsa-", "ssh-rsa "};
    const char *path;
    size_t count = 0;
    for (size_t rank = 0; rank < COUNT_OF(order); rank++)
        for (size_t i = 0; count < INVITATION_HOST_KEYS && (path = sshd_value(says, "hostkey", i)) != NULL; i++) {
            char *file = mem_format("%s%s.pub", change_root, path), *key = read_public(file);
            if (key && !strncmp(key, order[rank], strlen(order[rank])))
                keys[count++] = key;
            else
                free(key);
            free(file);
        }
    if (!count)
        err_set(err, "none of sshd's host keys has its public half beside it (the HostKey files, with .pub), so a token could not name them");
    return count;
}
