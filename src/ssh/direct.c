/* A session by a key in memory to a host with pinned keys (fanout_open_direct): for a machine that has nothing but this program. It never asks ssh -G, an
 * agent, a file or a person, and never falls back to the spawned ssh. */
#include "direct.h"

#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "wgdeck/mem.h"

struct direct {
    char *pinned;      /* all host keys, one a line */
    char *private_key; /* guarded; NULL once it is read */
    ssh_key key;
};

void direct_free(struct direct *direct)
{
    if (!direct)
        return;
    secret_free(direct->private_key);
    ssh_key_free(direct->key);
    free(direct->pinned);
    free(direct);
}

const char *direct_pinned(const struct direct *direct)
{
    return direct->pinned;
}

/* "ed25519 SHA256:..., rsa SHA256:..." */
static void add_fingerprints(struct buf *text, const char *pinned)
{
    for (const char *line = pinned; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t type = strcspn(line, " \n"), length = strcspn(line, "\n");
        char fingerprint[FINGERPRINT_SIZE];
        const char *from = line + type + (line[type] == ' ');
        char *base64 = mem_text_part(from, strcspn(from, " \n"));
        known_hosts_fingerprint(base64, fingerprint);
        buf_add_format(text, "%s%.*s %s", line == pinned ? "" : " or ", (int)(type < length ? type : length), line, fingerprint);
        free(base64);
    }
}

static bool is_pinned(const char *pinned, const char *type, const char *base64)
{
    size_t type_length = strlen(type), length = strlen(base64);
    for (const char *line = pinned; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, type, type_length) || line[type_length] != ' ' || strncmp(line + type_length + 1, base64, length))
            continue;
        if (!line[type_length + 1 + length] || strchr(" \n", line[type_length + 1 + length]))
            return true;
    }
    return false;
}

enum host_key_decision direct_host_key(struct fanout_session *session, const char *type, const char *base64)
{
    if (*base64 && is_pinned(session->direct->pinned, type, base64))
        return HOST_KEY_TRUSTED;
    char fingerprint[FINGERPRINT_SIZE];
    struct buf wanted = BUF_EMPTY;
    known_hosts_fingerprint(base64, fingerprint);
    add_fingerprints(&wanted, session->direct->pinned);
    session_failed(session, FAILURE_HOST_KEY_CHANGED, false, "host key of %s: it is %s %s, but %s is expected: someone may be in between, or the host was installed anew",
                   session->label, type, fingerprint, buf_text(&wanted));
    buf_free(&wanted);
    return HOST_KEY_REFUSED;
}

ssh_key direct_key(struct fanout_session *session)
{
    struct direct *direct = session->direct;
    if (!direct->key && direct->private_key && ssh_pki_import_privkey_base64(direct->private_key, NULL, NULL, NULL, &direct->key) != SSH_OK)
        direct->key = NULL;
    secret_free(direct->private_key);
    direct->private_key = NULL;
    if (!direct->key)
        session_failed(session, FAILURE_LOGIN, false, "login as %s: the key for it cannot be read", session->target->user);
    return direct->key;
}

struct fanout_session *fanout_open_direct(struct fanout *fanout, const char *name, const struct fanout_direct *to,
                                          const struct fanout_session_events *events, void *context)
{
    struct buf pinned = BUF_EMPTY;
    for (size_t i = 0; i < to->count; i++)
        buf_add_format(&pinned, "%s%s", i ? "\n" : "", to->host_keys[i]);
    struct direct *direct = mem_alloc(1, sizeof *direct);
    direct->pinned = mem_text(buf_text(&pinned));
    direct->private_key = secret_new(to->private_key);
    buf_free(&pinned);
    struct fanout_session *session = session_new_direct(fanout, name, ssh_target_bare(to->user, to->host, to->port), direct);
    if (events)
        session->events = *events;
    session->context = context;
    return session;
}
