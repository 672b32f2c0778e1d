/* The wizard's life: from step to step, forward and back. The steps themselves are rows of a table (wizard_steps.c). */
#include <stdlib.h>
#include <string.h>

#include "wgdeck/clock.h"
#include "wgdeck/ladder_run.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wizard_private.h"

/* --- small things that all parts use */

void wizard_text(char **to, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    free(*to);
    *to = text_safe(buf_text(&text));
    buf_free(&text);
}

void wizard_say(struct wizard *wizard, bool warning, const char *label, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    MEM_GROW(wizard->lines, wizard->line_count, wizard->line_capacity);
    wizard->lines[wizard->line_count++] = (struct wizard_said){mem_text(label), text_safe(buf_text(&text)), warning};
    buf_free(&text);
}

void wizard_clear_lines(struct wizard *wizard)
{
    for (size_t i = 0; i < wizard->line_count; i++) {
        free(wizard->lines[i].label);
        free(wizard->lines[i].text);
    }
    wizard->line_count = 0;
}

void wizard_tell(struct wizard *wizard)
{
    if (wizard->callbacks.changed)
        wizard->callbacks.changed(wizard->context, wizard);
}

static void on_later(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct wizard *wizard = timer->data;
    void (*then)(struct wizard *wizard) = wizard->then;
    (void)loop, (void)events;
    wizard->then = NULL;
    if (then)
        then(wizard);
    wizard_tell(wizard);
}

void wizard_soon(struct wizard *wizard, void (*then)(struct wizard *wizard))
{
    wizard->then = then;
    ev_timer_stop(wizard->loop, &wizard->later);
    ev_timer_set(&wizard->later, 0., 0.);
    ev_timer_start(wizard->loop, &wizard->later);
}

/* --- questions of sessions */

static void free_question(struct wizard_asked *asked)
{
    free((char *)(uintptr_t)asked->question.session);
    free((char *)(uintptr_t)asked->question.target);
    free((char *)(uintptr_t)asked->question.prompt);
    free((char *)(uintptr_t)asked->question.fingerprint);
    free((char *)(uintptr_t)asked->question.key_type);
    free(asked);
}

void wizard_drop_questions(struct wizard *wizard)
{
    while (wizard->asked) {
        struct wizard_asked *next = wizard->asked->next;
        free_question(wizard->asked);
        wizard->asked = next;
    }
}

void wizard_on_question(void *context, const struct fanout_question *question)
{
    struct wizard *wizard = context;
    if (wizard->callbacks.question) {
        wizard->callbacks.question(wizard->context, wizard, question);
        return;
    }
    struct wizard_asked *asked = mem_alloc(1, sizeof *asked), **end = &wizard->asked;
    asked->question = *question;
    asked->question.session = text_safe(question->session);
    asked->question.target = text_safe(question->target);
    asked->question.prompt = text_safe(question->prompt);
    asked->question.fingerprint = text_safe(question->fingerprint);
    asked->question.key_type = text_safe(question->key_type);
    asked->next = NULL;
    while (*end)
        end = &(*end)->next;
    *end = asked;
    wizard_tell(wizard);
}

const struct fanout_question *wizard_question(const struct wizard *wizard)
{
    return wizard->asked ? &wizard->asked->question : NULL;
}

size_t wizard_question_count(const struct wizard *wizard)
{
    size_t count = 0;
    for (const struct wizard_asked *asked = wizard->asked; asked; asked = asked->next)
        count++;
    return count;
}

struct fanout *wizard_fanout(const struct wizard *wizard)
{
    return wizard->path ? ladder_run_fanout(wizard->path) : wizard->invite ? invite_fanout(wizard->invite) : wizard->change ? change_fanout(wizard->change) : wizard->look ? look_fanout(wizard->look) : NULL;
}

void wizard_question_answer(struct wizard *wizard, uint64_t id, const char *text)
{
    struct fanout *fanout = wizard_fanout(wizard);
    for (struct wizard_asked **at = &wizard->asked; *at; at = &(*at)->next)
        if ((*at)->question.id == id) {
            struct wizard_asked *done = *at;
            *at = done->next;
            free_question(done);
            break;
        }
    if (fanout)
        fanout_answer(fanout, id, text);
}

/* --- from step to step */

static bool has_step(const struct wizard *wizard, enum wizard_at at)
{
    const struct wizard_row *row = &wizard_rows[at];
    return row->kinds & 1u << wizard->options.kind && (!row->applies || row->applies(wizard));
}

void wizard_enter(struct wizard *wizard, enum wizard_at at)
{
    const struct wizard_row *row = &wizard_rows[at];
    wizard->at = at;
    free(wizard->proposal);
    free(wizard->reason);
    free(wizard->does);
    wizard->proposal = wizard->reason = wizard->does = NULL;
    if (wizard->answers[at]) { /* it was answered before, and the person came back to it */
        wizard->proposal = mem_text(wizard->answers[at]);
        wizard->reason = mem_text("as answered before");
    } else if (wizard->kept[at]) {
        wizard->proposal = mem_text(wizard->kept[at]);
        wizard->reason = mem_text("as answered last time");
    } else if (row->propose) {
        row->propose(wizard, &wizard->proposal, &wizard->reason);
    }
    if (row->way == WIZARD_SHOWS)
        wizard_clear_lines(wizard);
    if (row->begin)
        row->begin(wizard);
    wizard_tell(wizard);
}

void wizard_next(struct wizard *wizard)
{
    enum wizard_at at = wizard->at;
    while (at < AT_END && !has_step(wizard, ++at))
        ;
    free(wizard->problem);
    wizard->problem = NULL;
    wizard_enter(wizard, at);
}

static bool is_for_people(enum wizard_way way)
{
    return way == WIZARD_ASKS || way == WIZARD_SHOWS;
}

/* The question before AT; AT_END: none. */
static enum wizard_at question_before(const struct wizard *wizard)
{
    for (enum wizard_at at = wizard->at; at-- > AT_RESUME + 1;)
        if (has_step(wizard, at) && is_for_people(wizard_rows[at].way))
            return at;
    return AT_END;
}

bool wizard_can_go_back(const struct wizard *wizard)
{
    enum wizard_way way = wizard_rows[wizard->at].way;
    return way != WIZARD_RUNS && way != WIZARD_ENDS && !wizard->invite && !wizard->path && question_before(wizard) != AT_END; /* what the hub has been asked for may be there */
}

void wizard_back(struct wizard *wizard)
{
    if (!wizard_can_go_back(wizard))
        return;
    wizard->then = NULL;
    ev_timer_stop(wizard->loop, &wizard->later);
    wizard_change_end(wizard);
    wizard_probe_end(wizard);
    free(wizard->problem);
    wizard->problem = NULL;
    wizard_enter(wizard, question_before(wizard));
}

/* The person wants something else from the start on: what follows from the old answer is asked anew. */
static void forget_after(struct wizard *wizard, enum wizard_at changed, const char *target)
{
    for (int at = (int)changed + 1; at < AT_COUNT; at++) {
        free(wizard->answers[at]);
        wizard->answers[at] = NULL;
    }
    bool other_host = changed == AT_TARGET && wizard->kept[AT_TARGET] && strcmp(wizard->kept[AT_TARGET], target) != 0;
    for (int at = (int)changed + 1; other_host && at < AT_COUNT; at++) {
        free(wizard->kept[at]);
        wizard->kept[at] = NULL;
    }
    if (changed == AT_TARGET)
        wizard_probe_forget(wizard);
}

static int take(struct wizard *wizard, char *taken)
{
    enum wizard_at at = wizard->at;
    bool other = !wizard->answers[at] || strcmp(wizard->answers[at], taken) != 0;
    if (other && (at == AT_TARGET || at == AT_TOPOLOGY))
        forget_after(wizard, at, taken);
    free(wizard->answers[at]);
    wizard->answers[at] = taken;
    wizard_keep(wizard);
    wizard_next(wizard);
    return 0;
}

static char *trimmed(const char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    return mem_text_part(text, length);
}

int wizard_answer(struct wizard *wizard, const char *text)
{
    const struct wizard_row *row = &wizard_rows[wizard->at];
    struct err err = {.text = ""};
    char *taken = NULL;
    if (row->way == WIZARD_SHOWS) {
        wizard_next(wizard);
        return 0;
    }
    if (row->way != WIZARD_ASKS && row->way != WIZARD_PLANS)
        return -1;
    char *given = trimmed(text && *text ? text : wizard->proposal ? wizard->proposal : "");
    int result = row->check ? row->check(wizard, given, &taken, &err) : 0;
    if (!result && row->way == WIZARD_ASKS)
        take(wizard, taken ? taken : mem_text(given));
    else if (!result)
        wizard_next(wizard);
    else if (*err.text)
        wizard_text(&wizard->problem, "%s", err.text);
    free(given);
    return result;
}

void wizard_stop(struct wizard *wizard)
{
    if (wizard->change && wizard->at == AT_RUN)
        change_stop(wizard->change);
}

/* --- what is shown */

enum wizard_kind wizard_kind(const struct wizard *wizard)
{
    return wizard->options.kind;
}

const char *wizard_title(const struct wizard *wizard)
{
    static const char *const titles[WIZARD_KIND_COUNT] = {
        [WIZARD_INIT] = "Begin a mesh", [WIZARD_ADD] = "Add a node", [WIZARD_REMOVE] = "Take a node out", [WIZARD_ROTATE] = "New keys", [WIZARD_APPLY] = "Plan and apply",
        [WIZARD_INVITE] = "Invite a machine", [WIZARD_RECORD] = "Record a node that has joined",
        [WIZARD_PATH] = "A better way between two nodes",
    };
    return titles[wizard->options.kind];
}

struct wizard_step wizard_step(const struct wizard *wizard)
{
    const struct wizard_row *row = &wizard_rows[wizard->at];
    struct wizard_step step = {
        .way = row->way, .name = row->name, .title = row->title, .question = row->question, .why = row->why, .does = wizard->does ? wizard->does : row->does,
        .proposal = wizard->proposal, .reason = wizard->reason, .problem = wizard->problem,
    };
    for (enum wizard_at at = AT_RESUME + 1; at < AT_END; at++) {
        enum wizard_way way = wizard_rows[at].way;
        if (!has_step(wizard, at) || way == WIZARD_WORKS)
            continue;
        step.count++;
        step.number += at <= wizard->at;
    }
    return step;
}

size_t wizard_answers(const struct wizard *wizard, struct wizard_line *lines, size_t most)
{
    size_t count = 0;
    for (enum wizard_at at = AT_RESUME + 1; at < wizard->at; at++)
        if (wizard->answers[at] && wizard_rows[at].way == WIZARD_ASKS && has_step(wizard, at)) {
            if (count < most)
                lines[count] = (struct wizard_line){wizard_rows[at].title, wizard->answers[at], false};
            count++;
        }
    return count;
}

size_t wizard_lines(const struct wizard *wizard, struct wizard_line *lines, size_t most)
{
    for (size_t i = 0; i < wizard->line_count && i < most; i++)
        lines[i] = (struct wizard_line){wizard->lines[i].label, wizard->lines[i].text, wizard->lines[i].warning};
    return wizard->line_count;
}

const char *wizard_working(const struct wizard *wizard)
{
    return wizard->working ? wizard->working : "at work";
}

const char *wizard_report(const struct wizard *wizard)
{
    return buf_text(&wizard->report);
}

bool wizard_succeeded(const struct wizard *wizard)
{
    return wizard->succeeded;
}

bool wizard_changed_file(const struct wizard *wizard)
{
    return wizard->file_changed;
}

/* --- life */

static int read_file(struct wizard *wizard, const struct wizard_options *options, struct err *err)
{
    if (options->kind == WIZARD_INIT)
        return 0;
    if (mesh_file_read(options->path, &wizard->file, NULL, err))
        return -1;
    if ((options->kind == WIZARD_REMOVE || options->kind == WIZARD_ROTATE) && !wizard->file.mesh->node_count)
        return err_set(err, "%s has no node yet: \"wgdeck add\" adds one", options->path);
    return 0;
}

static int begin(struct wizard *wizard, struct err *err)
{
    const char *node = wizard->options.node;
    enum wizard_kind kind = wizard->options.kind;
    if (kind != WIZARD_REMOVE && kind != WIZARD_ROTATE)
        node = NULL;
    if (node) {
        bool *chosen = NULL;
        if (wizard_choose_nodes(wizard, wizard->file.mesh, node, &chosen, err))
            return -1;
        free(chosen);
        wizard->answers[AT_NODES] = mem_text(node);
        wizard->at = AT_NODES;
        wizard_next(wizard);
        return 0;
    }
    wizard_keep_read(wizard);
    if (wizard->options.kind == WIZARD_ADD && wizard->options.node) {
        free(wizard->kept[AT_TARGET]);
        wizard->kept[AT_TARGET] = mem_text(wizard->options.node);
    }
    enum wizard_at at = AT_RESUME;
    while (!has_step(wizard, at))
        at++;
    wizard_enter(wizard, at);
    return 0;
}

struct wizard *wizard_new(struct ev_loop *loop, const struct wizard_options *options, const struct wizard_callbacks *callbacks, void *context, struct err *err)
{
    struct wizard *wizard = mem_alloc(1, sizeof *wizard);
    *wizard = (struct wizard){.loop = loop, .options = *options, .context = context, .at = AT_RESUME};
    wizard->options.path = mem_text(options->path);
    wizard->options.node = mem_text(options->node);
    wizard->options.state = mem_text(options->state);
    wizard->options.look.nodes = mem_text(options->look.nodes);
    wizard->options.look.helper = mem_text(options->look.helper);
    wizard->options.look.fanout.ssh_config = mem_text(options->look.fanout.ssh_config);
    wizard->options.look.fanout.ask = wizard_on_question;
    wizard->options.look.fanout.context = wizard;
    wizard->options.look.fanout.keep = false;
    ev_timer_init(&wizard->later, on_later, 0., 0.);
    wizard->later.data = wizard;
    if (read_file(wizard, options, err) || begin(wizard, err)) {
        wizard_free(wizard);
        return NULL;
    }
    wizard->callbacks = *callbacks; /* not before: nobody holds it yet */
    return wizard;
}

void wizard_free(struct wizard *wizard)
{
    if (!wizard)
        return;
    wizard->callbacks = (struct wizard_callbacks){0};
    ev_timer_stop(wizard->loop, &wizard->later);
    wizard_change_end(wizard);
    wizard_invite_end(wizard);
    wizard_path_end(wizard);
    wizard_probe_forget(wizard);
    wizard_drop_questions(wizard);
    wizard_clear_lines(wizard);
    free(wizard->lines);
    for (int at = 0; at < AT_COUNT; at++) {
        free(wizard->answers[at]);
        free(wizard->kept[at]);
    }
    free(wizard->proposal);
    free(wizard->reason);
    free(wizard->problem);
    free(wizard->working);
    free(wizard->does);
    free(wizard->events);
    free(wizard->date);
    buf_free(&wizard->report);
    mesh_file_free(&wizard->file);
    free((char *)(uintptr_t)wizard->options.path);
    free((char *)(uintptr_t)wizard->options.node);
    free((char *)(uintptr_t)wizard->options.state);
    free((char *)(uintptr_t)wizard->options.look.nodes);
    free((char *)(uintptr_t)wizard->options.look.helper);
    free((char *)(uintptr_t)wizard->options.look.fanout.ssh_config);
    free(wizard);
}
