/* Logging in with libssh: one method after the other, as a state machine; each step is one call that returns at once. */
#include <stdlib.h>
#include <string.h>

#include "keyring.h"
#include "libssh_link.h"
#include "wgdeck/mem.h"

enum login_stage { LOGIN_KEYS, LOGIN_NONE, LOGIN_TALK, LOGIN_PASSWORD, LOGIN_ENDED };

struct login {
    struct link *link;
    enum login_stage stage;
    size_t next_key;           /* among the target's identities */
    struct buf refused;        /* names of the keys that were, for the message */
    size_t refused_count;
    bool loading;
    bool asked_none;
    int methods;               /* that the server still accepts, once it said */
};

struct login *login_new(struct link *link)
{
    struct login *login = mem_alloc(1, sizeof *login);
    login->link = link;
    login->methods = -1;
    return login;
}

void login_free(struct login *login)
{
    if (!login)
        return;
    keyring_forget(login->link->transport.session->fanout->keys, login);
    buf_free(&login->refused);
    free(login);
}

void login_answer(struct login *login, const char *text)
{
    (void)login, (void)text;
}

static struct fanout_session *session_of(const struct login *login)
{
    return login->link->transport.session;
}

static void key_loaded(void *context)
{
    struct login *login = context;
    login->loading = false;
    link_wake(login->link);
}

static void note_refused(struct login *login, const char *path)
{
    if (login->refused.length)
        buf_add_text(&login->refused, ", ");
    buf_add_text(&login->refused, path);
    login->refused_count++;
}

static const char *user_of(const struct login *login)
{
    return session_of(login)->target->user;
}

static enum login_result failed(struct login *login)
{
    struct fanout_session *session = session_of(login);
    login->stage = LOGIN_ENDED;
    session_failed(session, FAILURE_LOGIN, false, "login as %s: refused%s%s", user_of(login), login->refused_count ? " the keys " : "",
                   buf_text(&login->refused));
    return LOGIN_FAILED;
}

static enum login_result lost(struct login *login)
{
    login->stage = LOGIN_ENDED;
    link_lost(login->link, "login at");
    return LOGIN_FAILED;
}

static enum login_result step_keys(struct login *login)
{
    struct fanout_session *session = session_of(login);
    const struct text_list *paths = &session->target->identities;
    while (login->next_key < paths->count) {
        if (login->loading)
            return LOGIN_WAITING;
        struct key_file *file = keyring_find(session->fanout->keys, paths->items[login->next_key], key_loaded, login);
        if (file->state == KEY_LOADING) {
            login->loading = true;
            return LOGIN_WAITING;
        }
        if (file->state != KEY_READY) {
            login->next_key++;
            continue;
        }
        login->link->in_library = true;
        int result = ssh_userauth_publickey(login->link->ssh, user_of(login), file->private);
        login->link->in_library = false;
        if (result == SSH_AUTH_AGAIN)
            return LOGIN_AGAIN;
        if (result == SSH_AUTH_SUCCESS)
            return LOGIN_DONE;
        if (result == SSH_AUTH_ERROR)
            return lost(login);
        note_refused(login, file->path);
        login->next_key++;
    }
    return failed(login);
}

enum login_result login_step(struct login *login)
{
    return step_keys(login);
}
