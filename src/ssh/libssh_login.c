/* Logging in with libssh, one method after the other: the agent's keys, key files, locked key files, questions (keyboard-interactive), a
 * password. Each step is one call that returns at once; the agent's, which may not, is made by a worker thread (trap 4). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "keyring.h"
#include "libssh_link.h"
#include "wgdeck/mem.h"

enum login_stage { TRY_GIVEN, TRY_PREPARE, TRY_AGENT, TRY_KEYS, TRY_LOCKED, TRY_NONE, TRY_QUESTIONS, TRY_PASSWORD, TRY_NOTHING };

enum { ANSWERS_MOST = 3, PROMPTS_MOST = 16 };

struct login {
    struct link *link;
    enum login_stage stage;
    bool waiting;              /* for a key file, the agent's list, a worker or a person */
    size_t next;               /* among the target's identities */
    struct agent_offer *offer;
    struct sign_job *job;
    int agent_result;
    size_t agent_tried;
    const char *agent_why;     /* the agent could not be asked */
    struct buf refused;        /* names of the key files that were, for the message */
    bool offered_locked;
    unsigned methods;          /* that the server accepts; 0: it has not said yet */
    unsigned prompt, tries;    /* of the questions */
    char *answer;              /* secret: a person's, for the call under way */
    bool answered, refused_answer, wrong_answer, asked_question, sent;
    bool partial;              /* one method was accepted, and the server wants another too */
    bool needs_hardware;       /* a key was left out that only ssh can use */
};

/* A step of libssh's agent login, in a thread. Its link may be given up meanwhile: then the session is freed when the thread is done with it. */
struct sign_job {
    struct worker_job job;
    struct login *login;
    ssh_session ssh;
    int descriptor;
    char *user;
    int result;
};

static struct fanout_session *session_of(const struct login *login)
{
    return login->link->transport.session;
}

static struct fanout *fanout_of(const struct login *login)
{
    return session_of(login)->fanout;
}

static const struct ssh_target *target_of(const struct login *login)
{
    return session_of(login)->target;
}

struct login *login_new(struct link *link)
{
    struct login *login = mem_alloc(1, sizeof *login);
    login->link = link;
    return login;
}

bool login_free(struct login *login)
{
    if (!login)
        return true;
    bool ours = !login->job;
    if (login->job)
        worker_abandon(&login->job->job); /* it owns the libssh session now */
    keyring_forget(fanout_of(login)->keys, login);
    agent_forget(fanout_of(login)->agent, login);
    agent_offer_free(login->offer);
    secret_free(login->answer);
    buf_free(&login->refused);
    free(login);
    return ours;
}

static void go_on(void *context)
{
    struct login *login = context;
    login->waiting = false;
    link_wake(login->link);
}

static enum login_result wait_here(struct login *login)
{
    login->waiting = true;
    return LOGIN_WAITING;
}

enum login_result login_lost(struct login *login)
{
    struct fanout_session *session = session_of(login);
    const char *error = ssh_get_error(login->link->ssh);
    if (strstr(error, "Too many authentication failures")) {
        session_failed(session, FAILURE_LOGIN, false,
                       "login as %s: the server ended it after too many refused keys (agent: %zu keys); name the right one with IdentityFile and "
                       "IdentitiesOnly yes in the SSH configuration", target_of(login)->user, login->agent_tried);
        login->link->stage = STAGE_OVER;
        return LOGIN_FAILED;
    }
    link_lost(login->link, "login at");
    return LOGIN_FAILED;
}

static void next_stage(struct login *login)
{
    login->stage++;
    login->next = login->tries = login->prompt = 0;
    login->sent = login->answered = false;
}

/* What one call's result means; true: it is settled and OUTCOME is to be returned, false: this attempt was refused. */
static bool settled(struct login *login, int result, enum login_result *outcome)
{
    login->methods = result == SSH_AUTH_DENIED || result == SSH_AUTH_PARTIAL ? (unsigned)ssh_userauth_list(login->link->ssh, NULL) : login->methods;
    login->partial |= result == SSH_AUTH_PARTIAL;
    switch (result) {
    case SSH_AUTH_AGAIN: *outcome = LOGIN_AGAIN; return true;
    case SSH_AUTH_SUCCESS: *outcome = LOGIN_DONE; return true;
    case SSH_AUTH_ERROR: *outcome = login_lost(login); return true;
    default: return false;
    }
}

static bool accepts(const struct login *login, unsigned method)
{
    return !login->methods || login->methods & method;
}

/* --- The agent. */

static bool is_named(const struct login *login, const char *base64, bool *loading)
{
    const struct text_list *paths = &target_of(login)->identities;
    for (size_t i = 0; i < paths->count; i++) {
        const struct key_file *file = keyring_find(fanout_of(login)->keys, paths->items[i], go_on, (void *)(uintptr_t)login);
        if (file->state == KEY_LOADING) {
            *loading = true;
            return false;
        }
        if (file->base64 && !strcmp(file->base64, base64))
            return true;
    }
    return false;
}

/* The keys that the configuration names first; the others too, unless IdentitiesOnly. */
static bool fill_offer(struct login *login, const struct agent_list *list)
{
    bool loading = false;
    for (int named = 1; named >= (target_of(login)->identities_only ? 1 : 0); named--)
        for (size_t i = 0; i < list->count; i++) {
            if (is_named(login, list->keys[i].base64, &loading) == (named == 1) && !loading)
                agent_offer_add(login->offer, &list->keys[i]);
            if (loading)
                return false;
        }
    return true;
}

static enum login_result prepare(struct login *login)
{
    const char *path = target_of(login)->agent;
    if (target_of(login)->no_public_key || !path || !*path) {
        login->stage = target_of(login)->no_public_key ? TRY_NONE : TRY_KEYS;
        return LOGIN_AGAIN;
    }
    const struct agent_list *list = agent_keys(fanout_of(login)->agent, path, go_on, login);
    if (!list)
        return wait_here(login);
    login->agent_why = list->why ? "the agent does not answer" : NULL;
    agent_offer_free(login->offer);
    login->offer = agent_offer_new(fanout_of(login)->agent, path);
    if (!fill_offer(login, list))
        return wait_here(login);
    login->agent_tried = agent_offer_count(login->offer);
    int descriptor = login->agent_tried ? agent_offer_take(login->offer) : -1;
    if (descriptor < 0) {
        login->stage = TRY_KEYS;
        return LOGIN_AGAIN;
    }
    ssh_set_agent_socket(login->link->ssh, descriptor);
    login->stage = TRY_AGENT;
    return LOGIN_AGAIN;
}

static void sign_work(struct worker_job *job)
{
    struct sign_job *sign = (struct sign_job *)job;
    sign->result = ssh_userauth_agent(sign->ssh, sign->user);
}

static void sign_free(struct sign_job *sign)
{
    free(sign->user);
    free(sign);
}

static void sign_done(struct worker_job *job)
{
    struct sign_job *sign = (struct sign_job *)job;
    struct login *login = sign->login;
    login->job = NULL;
    login->link->with_worker = false;
    login->sent = true;
    login->agent_result = sign->result;
    sign_free(sign);
    go_on(login);
}

static void sign_drop(struct worker_job *job)
{
    struct sign_job *sign = (struct sign_job *)job;
    link_release(sign->ssh, sign->descriptor, true);
    sign_free(sign);
}

static enum login_result hand_to_worker(struct login *login)
{
    struct sign_job *sign = login->job = mem_alloc(1, sizeof *sign);
    sign->job = (struct worker_job){.work = sign_work, .done = sign_done, .drop = sign_drop};
    sign->login = login;
    sign->ssh = login->link->ssh;
    sign->descriptor = login->link->lent;
    sign->user = mem_text(target_of(login)->user);
    login->link->with_worker = true;
    worker_run(fanout_of(login)->signers, &sign->job);
    return wait_here(login);
}

static enum login_result step_agent(struct login *login)
{
    if (!login->sent)
        return hand_to_worker(login);
    login->sent = false;
    int result = login->agent_result;
    if (result == SSH_AUTH_AGAIN)
        return LOGIN_AGAIN; /* the next readiness makes the next call */
    bool alive = ssh_is_connected(login->link->ssh) && !(ssh_get_status(login->link->ssh) & SSH_CLOSED_ERROR);
    if (result == SSH_AUTH_ERROR && alive && !strstr(ssh_get_error(login->link->ssh), "Too many")) {
        agent_offer_refuse(login->offer); /* the agent did not sign (a person said no): the next key */
        if (agent_offer_count(login->offer))
            return hand_to_worker(login);
        next_stage(login);
        return LOGIN_AGAIN;
    }
    enum login_result outcome = LOGIN_AGAIN;
    if (!settled(login, result, &outcome))
        next_stage(login);
    return outcome;
}

/* --- Key files. */

static void note_refused(struct login *login, const char *path)
{
    const char *home = getenv("HOME");
    size_t length = home ? strlen(home) : 0;
    if (login->refused.length)
        buf_add_text(&login->refused, ", ");
    if (length && !strncmp(path, home, length) && path[length] == '/')
        buf_add_format(&login->refused, "~%s", path + length);
    else
        buf_add_text(&login->refused, path);
}

static bool in_agent(const struct login *login, const struct key_file *file)
{
    const struct agent_list *list = target_of(login)->agent && file->base64
        ? agent_known(fanout_of(login)->agent, target_of(login)->agent) : NULL;
    for (size_t i = 0; list && i < list->count; i++)
        if (!strcmp(list->keys[i].base64, file->base64))
            return true;
    return false;
}

static int call_key(struct login *login, ssh_key key)
{
    login->link->in_library = true;
    int result = ssh_userauth_publickey(login->link->ssh, target_of(login)->user, key);
    login->link->in_library = false;
    return result;
}

/* The one key that the session was given: nothing else is tried then. */
static enum login_result step_given(struct login *login)
{
    struct fanout_session *session = session_of(login);
    enum login_result outcome;
    if (!session->direct) {
        next_stage(login);
        return LOGIN_AGAIN;
    }
    ssh_key key = direct_key(session);
    if (!key)
        return LOGIN_FAILED;
    if (settled(login, call_key(login, key), &outcome))
        return outcome;
    session_failed(session, FAILURE_LOGIN, false, "login as %s: the server %s", target_of(login)->user,
                   login->partial ? "took the key, and wants something else too" : "refused the key");
    return LOGIN_FAILED;
}

/* Each file is tried with its certificate, if there is one beside it, then alone. */
static enum login_result step_keys(struct login *login)
{
    const struct text_list *paths = &target_of(login)->identities;
    enum login_result outcome;
    while (login->next < paths->count * 2 && accepts(login, SSH_AUTH_METHOD_PUBLICKEY)) {
        struct key_file *file = keyring_find(fanout_of(login)->keys, paths->items[login->next / 2], go_on, login);
        if (file->state == KEY_LOADING)
            return wait_here(login);
        login->needs_hardware |= file->is_hardware;
        ssh_key key = login->next % 2 ? file->private : file->certified;
        if (file->state != KEY_READY || !key || in_agent(login, file)) {
            login->next++;
            continue;
        }
        if (settled(login, call_key(login, key), &outcome))
            return outcome;
        if (login->next % 2)
            note_refused(login, file->path);
        login->next++;
    }
    next_stage(login);
    return LOGIN_AGAIN;
}

/* Keys with a passphrase: a person is asked only for one that the server would take. */
static enum login_result step_locked(struct login *login)
{
    const struct text_list *paths = &target_of(login)->identities;
    enum login_result outcome;
    while (login->next < paths->count && accepts(login, SSH_AUTH_METHOD_PUBLICKEY)) {
        struct key_file *file = keyring_find(fanout_of(login)->keys, paths->items[login->next], go_on, login);
        if (file->state == KEY_LOADING)
            return wait_here(login);
        if (login->answered) { /* the passphrase */
            login->answered = false;
            if (login->answer && file->state == KEY_LOCKED && login->tries++ < ANSWERS_MOST) {
                keyring_unlock(fanout_of(login)->keys, file, login->answer, go_on, login);
                secret_free(login->answer);
                login->answer = NULL;
                return wait_here(login);
            }
            if (file->state == KEY_LOCKED) {
                login->next++;
                login->offered_locked = false;
                continue;
            }
        }
        bool unlocked = file->state == KEY_READY && login->offered_locked;
        if ((file->state != KEY_LOCKED && !unlocked) || in_agent(login, file)) {
            login->next++;
            continue;
        }
        if (unlocked) {
            if (settled(login, call_key(login, file->private), &outcome))
                return outcome;
            note_refused(login, file->path);
        } else if (login->offered_locked) {
            if (!fanout_of(login)->options.ask || login->tries >= ANSWERS_MOST) {
                note_refused(login, file->path);
                buf_add_text(&login->refused, " (locked by a passphrase)");
            } else {
                char *prompt = mem_format("Passphrase of the key %s", file->path);
                session_ask(session_of(login), QUESTION_PASSPHRASE, prompt, false);
                free(prompt);
                return wait_here(login);
            }
        } else {
            login->link->in_library = true;
            int result = ssh_userauth_try_publickey(login->link->ssh, target_of(login)->user, file->public);
            login->link->in_library = false;
            if (result == SSH_AUTH_SUCCESS) {
                login->offered_locked = true;
                continue;
            }
            if (settled(login, result, &outcome))
                return outcome;
            note_refused(login, file->path);
        }
        login->offered_locked = false;
        login->tries = 0;
        login->next++;
    }
    next_stage(login);
    return LOGIN_AGAIN;
}

/* The server tells what it accepts with each refusal; when nothing could be offered yet, this is the question. */
static enum login_result step_none(struct login *login)
{
    enum login_result outcome;
    if (!login->methods) {
        login->link->in_library = true;
        int result = ssh_userauth_none(login->link->ssh, target_of(login)->user);
        login->link->in_library = false;
        if (settled(login, result, &outcome))
            return outcome;
    }
    next_stage(login);
    return LOGIN_AGAIN;
}

/* --- Questions and passwords. */

static void ask_prompt(struct login *login)
{
    ssh_session ssh = login->link->ssh;
    char echo = 0;
    const char *prompt = ssh_userauth_kbdint_getprompt(ssh, login->prompt, &echo);
    const char *name = ssh_userauth_kbdint_getname(ssh), *instruction = ssh_userauth_kbdint_getinstruction(ssh);
    struct buf text = BUF_EMPTY;
    for (int i = 0; i < 2; i++) {
        const char *part = i ? instruction : name;
        if (part && *part && login->prompt == 0)
            buf_add_format(&text, "%.500s ", part);
    }
    buf_add_format(&text, "%.500s", prompt ? prompt : "");
    bool password = !echo && prompt && strcasestr(prompt, "password");
    login->asked_question |= password;
    session_ask(session_of(login), password ? QUESTION_PASSWORD : QUESTION_CHALLENGE, buf_text(&text), echo != 0);
    buf_free(&text);
}

static enum login_result step_questions(struct login *login)
{
    enum login_result outcome;
    ssh_session ssh = login->link->ssh;
    bool can = fanout_of(login)->options.ask && !target_of(login)->no_keyboard_interactive && login->methods & SSH_AUTH_METHOD_INTERACTIVE;
    if (!can || login->refused_answer || login->tries >= ANSWERS_MOST) {
        next_stage(login);
        return LOGIN_AGAIN;
    }
    if (login->answered) {
        login->answered = false;
        if (!login->answer) {
            login->refused_answer = true;
            next_stage(login);
            return LOGIN_AGAIN;
        }
        ssh_userauth_kbdint_setanswer(ssh, login->prompt++, login->answer);
        secret_free(login->answer);
        login->answer = NULL;
    }
    int prompts = login->sent ? ssh_userauth_kbdint_getnprompts(ssh) : 0;
    if (login->sent && (int)login->prompt < prompts && prompts <= PROMPTS_MOST) {
        ask_prompt(login);
        return wait_here(login);
    }
    login->sent = false;
    login->link->in_library = true;
    int result = ssh_userauth_kbdint(ssh, target_of(login)->user, NULL);
    login->link->in_library = false;
    if (result == SSH_AUTH_INFO) {
        login->sent = true;
        login->prompt = 0;
        return step_questions(login);
    }
    if (settled(login, result, &outcome))
        return outcome;
    login->wrong_answer = true;
    login->tries++;
    return step_questions(login);
}

static enum login_result step_password(struct login *login)
{
    enum login_result outcome;
    bool can = fanout_of(login)->options.ask && !target_of(login)->no_password && login->methods & SSH_AUTH_METHOD_PASSWORD &&
               !login->asked_question; /* PAM asks for the same one by keyboard-interactive: not six times */
    if (!can || login->refused_answer || login->tries >= ANSWERS_MOST) {
        next_stage(login);
        return LOGIN_AGAIN;
    }
    if (!login->sent && !login->answered) {
        char *prompt = mem_format("%sPassword of %s", login->tries ? "Not accepted. " : "", session_of(login)->label);
        session_ask(session_of(login), QUESTION_PASSWORD, prompt, false);
        free(prompt);
        return wait_here(login);
    }
    if (!login->answer) {
        login->refused_answer = true;
        next_stage(login);
        return LOGIN_AGAIN;
    }
    login->sent = true;
    login->link->in_library = true;
    int result = ssh_userauth_password(login->link->ssh, target_of(login)->user, login->answer);
    login->link->in_library = false;
    if (result == SSH_AUTH_AGAIN)
        return LOGIN_AGAIN;
    secret_free(login->answer);
    login->answer = NULL;
    login->sent = login->answered = false;
    if (settled(login, result, &outcome))
        return outcome;
    login->wrong_answer = true;
    login->tries++;
    return step_password(login);
}

void login_answer(struct login *login, const char *text)
{
    secret_free(login->answer);
    login->answer = secret_new(text);
    login->answered = true;
    login->waiting = false;
}

/* --- Nothing was accepted. */

static bool have_ticket(void)
{
    char path[64];
    if (getenv("KRB5CCNAME"))
        return true;
    snprintf(path, sizeof path, "/tmp/krb5cc_%u", (unsigned)getuid());
    return access(path, R_OK) == 0;
}

static void add_methods(struct buf *text, unsigned methods)
{
    static const struct {
        unsigned method;
        const char *name;
    } names[] = {
        {SSH_AUTH_METHOD_PUBLICKEY, "publickey"}, {SSH_AUTH_METHOD_PASSWORD, "password"}, {SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive"},
        {SSH_AUTH_METHOD_HOSTBASED, "hostbased"}, {SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi-with-mic"},
    };
    bool first = true;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (!(methods & names[i].method))
            continue;
        buf_add_format(text, "%s%s", first ? "" : ", ", names[i].name);
        first = false;
    }
    if (first)
        buf_add_text(text, "nothing that is known here");
}

static enum login_result refused(struct login *login)
{
    struct fanout_session *session = session_of(login);
    struct buf text = BUF_EMPTY;
    if (login->needs_hardware && accepts(login, SSH_AUTH_METHOD_PUBLICKEY))
        session_needs_spawn(session, "a key on a hardware token (sk-)");
    else if (target_of(login)->certificates.count)
        session_needs_spawn(session, "CertificateFile in the SSH configuration");
    else if (login->methods & SSH_AUTH_METHOD_GSSAPI_MIC && have_ticket())
        session_needs_spawn(session, "the server accepts GSSAPI");
    buf_add_format(&text, "login as %s: the server %s", target_of(login)->user, login->partial ? "took the first step, and wants " : "accepts ");
    add_methods(&text, login->methods);
    buf_add_text(&text, login->partial ? " too" : " only");
    if (login->partial)
        ;
    else if (login->refused.length)
        buf_add_format(&text, ", and refused the keys %s", buf_text(&login->refused));
    else if (!login->agent_tried && login->methods & SSH_AUTH_METHOD_PUBLICKEY)
        buf_add_text(&text, ", and there is no key to offer");
    else if (login->agent_tried)
        buf_add_text(&text, ", and refused the keys of the agent");
    if (login->agent_tried)
        buf_add_format(&text, " (agent: %zu keys)", login->agent_tried);
    else if (login->agent_why)
        buf_add_format(&text, " (%s)", login->agent_why);
    if (login->refused_answer)
        buf_add_text(&text, "; no password was given");
    else if (login->wrong_answer)
        buf_add_text(&text, "; no password was accepted");
    session_failed(session, FAILURE_LOGIN, false, "%s", buf_text(&text));
    buf_free(&text);
    return LOGIN_FAILED;
}

enum login_result login_step(struct login *login)
{
    static enum login_result (*const steps[])(struct login *) = {
        [TRY_GIVEN] = step_given, [TRY_PREPARE] = prepare, [TRY_AGENT] = step_agent, [TRY_KEYS] = step_keys, [TRY_LOCKED] = step_locked, [TRY_NONE] = step_none,
        [TRY_QUESTIONS] = step_questions, [TRY_PASSWORD] = step_password, [TRY_NOTHING] = refused,
    };
    if (login->waiting)
        return LOGIN_WAITING;
    for (;;) {
        enum login_stage stage = login->stage;
        enum login_result result = steps[stage](login);
        if (result != LOGIN_AGAIN || stage == login->stage)
            return result;
    }
}
