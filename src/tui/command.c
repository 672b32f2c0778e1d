/* The command line: a table of commands, from which running, completion, help and the manual come. */
#include "command.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { WORDS_MOST = 8, CANDIDATES_LIMIT = 4096 };

struct words { char *word[WORDS_MOST]; size_t count; const char *rest; /* after the first word, as typed */ };

/* What a command's argument can be completed to. */
enum completes { COMPLETES_NOTHING, COMPLETES_NODES, COMPLETES_SORT, COMPLETES_COLUMNS, COMPLETES_THEMES };

static void complain(struct tui *tui, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct tui *tui, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    tui_notice(tui, true, "%s", text);
}

/* SIZE_MAX, with a notice, when there is no such node. With privacy its number is a name too. */
static size_t find_node(struct tui *tui, const char *name)
{
    const struct mesh *mesh = tui->scene.picture.mesh;
    unsigned long long number;
    size_t node = mesh_find_node(mesh, name);
    if (node == SIZE_MAX && tui->scene.privacy && !strncmp(name, "node-", 5) && !text_to_number(name + 5, mesh->node_count, &number) && number)
        node = (size_t)number - 1;
    if (node != SIZE_MAX)
        return node;
    const char **names = mem_alloc(mesh->node_count + 1, sizeof *names);
    for (size_t i = 0; i < mesh->node_count; i++)
        names[i] = mesh->nodes[i].name;
    const char *near = text_nearest(name, names, mesh->node_count);
    complain(tui, "no node \"%s\"%s%s%s", name, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
    free(names);
    return SIZE_MAX;
}

static void run_node(struct tui *tui, const struct words *words)
{
    struct subject subject = {.kind = SUBJECT_NODE, .b = SIZE_MAX};
    if (words->count != 2) {
        complain(tui, "which node? :node NAME");
        return;
    }
    subject.a = find_node(tui, words->word[1]);
    if (subject.a != SIZE_MAX)
        tui_open_subject(tui, &subject);
}

static void run_link(struct tui *tui, const struct words *words)
{
    struct subject subject = {.kind = SUBJECT_LINK};
    if (words->count != 3) {
        complain(tui, "which link? :link A B");
        return;
    }
    size_t one = find_node(tui, words->word[1]), other = one == SIZE_MAX ? SIZE_MAX : find_node(tui, words->word[2]);
    if (other == SIZE_MAX)
        return;
    subject.a = one < other ? one : other;
    subject.b = one < other ? other : one;
    if (!scene_link(&tui->scene, one, other))
        complain(tui, "%s and %s are not linked: the mesh does not want it, and neither holds a row for the other", words->word[1], words->word[2]);
    else
        tui_open_subject(tui, &subject);
}

static void run_fault(struct tui *tui, const struct words *words)
{
    (void)words;
    const struct diagnosis *diagnosis = tui->scene.picture.diagnosis;
    struct subject subject = {.kind = SUBJECT_FAULT};
    struct buf identity = BUF_EMPTY;
    if (!diagnosis->fault_count) {
        tui_notice(tui, false, "there is no fault");
        return;
    }
    subject.a = diagnosis->faults[0].nodes[0];
    subject.b = diagnosis->faults[0].nodes[1];
    live_fault_identity(tui->scene.picture.mesh, &diagnosis->faults[0], &identity);
    snprintf(subject.identity, sizeof subject.identity, "%s", buf_text(&identity));
    buf_free(&identity);
    tui_open_subject(tui, &subject);
}

static size_t menu_values(struct tui *tui, enum action action, const char **values, size_t most)
{
    struct tui_screen *screen = tui_current(tui);
    size_t count = screen->ops->values && screen->ops->menu ? screen->ops->values(screen->view, action, values, most) : 0;
    return count < most ? count : most;
}

/* Each of the words must be one of the screen's values. */
static bool all_known(struct tui *tui, const char *text, const char *const *values, size_t count)
{
    char word[64];
    while (*(text += strspn(text, ", "))) {
        size_t length = strcspn(text, ", ");
        bool known = false;
        snprintf(word, sizeof word, "%.*s", (int)length, text);
        for (size_t i = 0; i < count && !known; i++)
            known = !strcmp(values[i], word);
        if (!known) {
            const char *near = text_nearest(word, values, count);
            complain(tui, "no column \"%s\"%s%s%s", word, near ? ": did you mean " : " here (Tab shows them)", near ? near : "", near ? "?" : "");
            return false;
        }
        text += length;
    }
    return true;
}

static void run_menu(struct tui *tui, const struct words *words, enum action action)
{
    const char *values[64];
    struct tui_screen *screen = tui_current(tui);
    size_t count = menu_values(tui, action, values, COUNT_OF(values));
    if (!count) {
        complain(tui, "this screen has no columns");
        return;
    }
    if (action == ACTION_SORT && words->count != 2) {
        complain(tui, "by which column? :sort COLUMN");
        return;
    }
    if (!all_known(tui, words->rest, values, count))
        return;
    struct buf list = BUF_EMPTY; /* with commas only */
    for (size_t i = 1; i < words->count; i++)
        buf_add_format(&list, "%s%s", i > 1 ? "," : "", words->word[i]);
    screen->ops->menu(screen->view, &tui->scene, action, buf_text(&list));
    buf_free(&list);
    tui_scene_changed(tui);
}

static void run_sort(struct tui *tui, const struct words *words)
{
    run_menu(tui, words, ACTION_SORT);
}

static void run_columns(struct tui *tui, const struct words *words)
{
    run_menu(tui, words, ACTION_COLUMNS);
}

static void run_filter(struct tui *tui, const struct words *words)
{
    bool inverted = *words->rest == '!';
    tui_set_filter(tui, words->rest + inverted, inverted);
}

static void run_theme(struct tui *tui, const struct words *words)
{
    struct err err;
    if (words->count != 2)
        tui_notice(tui, false, "theme %s (:theme NAME takes another; Tab shows them)", tui->theme.name);
    else if (tui_use_theme(tui, words->word[1], &err))
        complain(tui, "%s", err.text);
    else
        tui_notice(tui, false, "theme %s", tui->theme.name);
}

/* A decimal number; a negative one when it is none. */
static double number_of(const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);
    return strspn(text, "0123456789.") == strlen(text) && end != text && !*end ? value : -1;
}

static void run_interval(struct tui *tui, const struct words *words)
{
    double seconds = words->count == 2 ? number_of(words->word[1]) : -1;
    if (!tui->live || live_is_replay(tui->live))
        complain(tui, "a recording has its own interval (:speed X makes it faster)");
    else if (!(seconds >= 0.5 && seconds <= 3600))
        complain(tui, "seconds from 0.5 to 3600 are wanted, as in :interval 5");
    else {
        live_set_interval(tui->live, seconds);
        tui_notice(tui, false, "a look every %g s", seconds);
    }
}

static bool needs_replay(struct tui *tui)
{
    if (tui->live && live_is_replay(tui->live))
        return true;
    complain(tui, "that is for a replay (wgdeck replay FILE)");
    return false;
}

static void run_speed(struct tui *tui, const struct words *words)
{
    double speed = words->count == 2 ? number_of(words->word[1] + (words->word[1][0] == 'x')) : -1;
    if (!needs_replay(tui))
        return;
    if (!(speed >= 0.1 && speed <= 1000)) {
        complain(tui, "a number from 0.1 to 1000 is wanted, as in :speed 10");
        return;
    }
    live_replay_set_speed(tui->live, speed);
    tui_notice(tui, false, "speed %g", speed);
}

bool command_time(const char *text, const struct live_replay_state *state, int64_t *at)
{
    struct tm parts = {0};
    unsigned hours, minutes, seconds = 0;
    char rest = '\0';
    int relative = *text == '+' ? 1 : *text == '-' ? -1 : 0;
    double value = number_of(text + (relative != 0));
    if (relative && value >= 0 && value < 1e9) {
        *at = state->at + relative * (int64_t)(value * (double)CLOCK_SECOND);
        return true;
    }
    if (!relative && strchr(text, 'T')) {
        const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
        parts.tm_isdst = -1;
        time_t whole = !end ? -1 : !*end ? mktime(&parts) : !strcmp(end, "Z") ? timegm(&parts) : -1; /* without Z: as the screen shows it */
        if (whole < 0 || whole >= INT64_MAX / CLOCK_SECOND)
            return false;
        *at = (int64_t)whole * CLOCK_SECOND;
        return true;
    }
    int got = sscanf(text, "%2u:%2u:%2u%c", &hours, &minutes, &seconds, &rest);
    if (isdigit((unsigned char)*text) && (got == 2 || got == 3 || (got == 4 && rest == 'Z')) && hours < 24 && minutes < 60 && seconds < 61 &&
        strspn(text, "0123456789:Z") == strlen(text)) {
        time_t start = (time_t)(state->start / CLOCK_SECOND);
        bool universal = rest == 'Z';
        if (!(universal ? gmtime_r(&start, &parts) : localtime_r(&start, &parts)))
            return false;
        parts.tm_hour = (int)hours;
        parts.tm_min = (int)minutes;
        parts.tm_sec = (int)seconds;
        parts.tm_isdst = -1;
        *at = (int64_t)(universal ? timegm(&parts) : mktime(&parts)) * CLOCK_SECOND;
        if (*at < state->start - CLOCK_SECOND) /* over midnight */
            *at += 86400 * CLOCK_SECOND;
        return true;
    }
    return false;
}

static void run_seek(struct tui *tui, const struct words *words)
{
    int64_t at;
    if (!needs_replay(tui))
        return;
    struct live_replay_state state = live_replay_state(tui->live);
    if (words->count != 2 || !command_time(words->word[1], &state, &at)) {
        complain(tui, "a time is wanted: 14:02:11, 2026-11-22T14:02:11Z, +60 or -60 seconds from here");
        return;
    }
    live_replay_seek(tui->live, at);
}

static void run_save(struct tui *tui, const struct words *words)
{
    if (!*words->rest)
        tui_act(tui, ACTION_SAVE);
    else
        tui_save(tui, words->rest, false);
}

static void run_shell(struct tui *tui, const struct words *words)
{
    if (words->count < 2) {
        tui_act(tui, ACTION_SHELL);
        return;
    }
    size_t node = find_node(tui, words->word[1]);
    if (node != SIZE_MAX)
        tui_shell(tui, node);
}

static void run_change(struct tui *tui, const struct words *words, enum wizard_kind kind)
{
    bool of_mesh = kind == WIZARD_REMOVE || kind == WIZARD_ROTATE; /* the others are about what is not in it yet */
    if (words->count < 2 && kind != WIZARD_ADD && kind != WIZARD_INVITE) {
        complain(tui, "which node? :%s NAME", kind == WIZARD_REMOVE ? "remove" : kind == WIZARD_RECORD ? "record" : "rotate");
        return;
    }
    if (!tui->hands) {
        complain(tui, "nothing can be changed from here: this is a recording, or a mesh without a mesh file");
        return;
    }
    size_t node = words->count < 2 || !of_mesh ? SIZE_MAX : find_node(tui, words->word[1]);
    if (words->count >= 2 && of_mesh && node == SIZE_MAX)
        return;
    const char *name = node != SIZE_MAX ? tui->scene.picture.mesh->nodes[node].name : words->count > 1 ? words->word[1] : NULL;
    if (!hands_open(tui->hands, kind, name))
        complain(tui, "%s", tui->hands->why_not);
    else
        tui_open(tui, &view_wizard, NULL);
}

static void run_add(struct tui *tui, const struct words *words)
{
    run_change(tui, words, WIZARD_ADD);
}

static void run_remove(struct tui *tui, const struct words *words)
{
    run_change(tui, words, WIZARD_REMOVE);
}

static void run_rotate(struct tui *tui, const struct words *words)
{
    run_change(tui, words, WIZARD_ROTATE);
}

static void run_invite(struct tui *tui, const struct words *words)
{
    run_change(tui, words, WIZARD_INVITE);
}

/* :path A B; on a link, also without them. */
static void run_path(struct tui *tui, const struct words *words)
{
    struct subject subject = {.kind = SUBJECT_LINK, .a = SIZE_MAX, .b = SIZE_MAX};
    if (words->count >= 3) {
        subject.a = find_node(tui, words->word[1]);
        subject.b = subject.a == SIZE_MAX ? SIZE_MAX : find_node(tui, words->word[2]);
        if (subject.b == SIZE_MAX)
            return;
    } else if (!tui_subject(tui, &subject) || subject.kind != SUBJECT_LINK || subject.a == SIZE_MAX || subject.b == SIZE_MAX) {
        complain(tui, "between whom? :path A B, or :path on a link");
        return;
    }
    if (!tui->hands) {
        complain(tui, "nothing can be changed from here: this is a recording, or a mesh without a mesh file");
        return;
    }
    const struct mesh_node *nodes = tui->scene.picture.mesh->nodes;
    char *pair = mem_format("%s,%s", nodes[subject.a].name, nodes[subject.b].name);
    if (!hands_open(tui->hands, WIZARD_PATH, pair))
        complain(tui, "%s", tui->hands->why_not);
    else
        tui_open(tui, &view_wizard, NULL);
    free(pair);
}

static void run_record(struct tui *tui, const struct words *words)
{
    run_change(tui, words, WIZARD_RECORD);
}

static void run_warnings(struct tui *tui, const struct words *words)
{
    (void)words;
    tui_act(tui, ACTION_HELP);
}

static const struct command {
    const char *name, *arguments, *help;
    void (*run)(struct tui *tui, const struct words *words);
    enum action action;       /* where the command is only another way to a key's action */
    enum completes completes;
} commands[] = {
    {"node", "NAME", "the screen of a node", run_node, ACTION_NONE, COMPLETES_NODES},
    {"link", "A B", "the screen of a link, both ends side by side", run_link, ACTION_NONE, COMPLETES_NODES},
    {"fault", "", "the worst fault", run_fault, ACTION_NONE, COMPLETES_NOTHING},
    {"filter", "TEXT", "show only what matches; !TEXT hides it; without TEXT everything is shown", run_filter, ACTION_NONE, COMPLETES_NODES},
    {"faults-only", "", "show only what is not well, or everything again", NULL, ACTION_FAULTS_ONLY, COMPLETES_NOTHING},
    {"sort", "COLUMN", "sort this list", run_sort, ACTION_NONE, COMPLETES_SORT},
    {"columns", "NAME ...", "show these columns, in this order; without a name the usual ones", run_columns, ACTION_NONE, COMPLETES_COLUMNS},
    {"theme", "NAME", "another theme", run_theme, ACTION_NONE, COMPLETES_THEMES},
    {"interval", "SECONDS", "time between two looks", run_interval, ACTION_NONE, COMPLETES_NOTHING},
    {"refresh", "", "look at all nodes now", NULL, ACTION_REFRESH, COMPLETES_NOTHING},
    {"freeze", "", "keep this picture, or go on; in a replay: pause", NULL, ACTION_FREEZE, COMPLETES_NOTHING},
    {"speed", "X", "of a replay: X times as fast as it was", run_speed, ACTION_NONE, COMPLETES_NOTHING},
    {"seek", "TIME", "of a replay: to 14:02:11, a whole time, or +SECONDS or -SECONDS from here", run_seek, ACTION_NONE, COMPLETES_NOTHING},
    {"step", "", "of a replay: one interval on", NULL, ACTION_STEP, COMPLETES_NOTHING},
    {"add", "SSH", "add a node, step by step", run_add, ACTION_NONE, COMPLETES_NOTHING},
    {"invite", "NAME", "a token for a machine that SSH does not reach: it joins by itself", run_invite, ACTION_NONE, COMPLETES_NOTHING},
    {"path", "A B", "look for a better way between two nodes that the hub connects; on a link without A B", run_path, ACTION_NONE, COMPLETES_NODES},
    {"record", "NAME", "write a node that has joined into the mesh file", run_record, ACTION_NONE, COMPLETES_NOTHING},
    {"remove", "NODE", "take a node out of the mesh: what follows from it, the plan, a question", run_remove, ACTION_NONE, COMPLETES_NODES},
    {"rotate", "NODE", "a new key for a node: the plan, a question", run_rotate, ACTION_NONE, COMPLETES_NODES},
    {"save", "FILE", "this screen as JSON (.json), CSV (.csv) or text", run_save, ACTION_NONE, COMPLETES_NOTHING},
    {"copy", "", "what the cursor is on to the clipboard", NULL, ACTION_COPY, COMPLETES_NOTHING},
    {"privacy", "", "hide or show names, addresses and keys", NULL, ACTION_PRIVACY, COMPLETES_NOTHING},
    {"shell", "NODE", "a shell on the node", run_shell, ACTION_NONE, COMPLETES_NODES},
    {"redraw", "", "draw the whole screen anew", NULL, ACTION_REDRAW, COMPLETES_NOTHING},
    {"warnings", "", "what was wrong in deck.conf or a theme: on the help screen", run_warnings, ACTION_NONE, COMPLETES_NOTHING},
    {"back", "", "one level back", NULL, ACTION_BACK, COMPLETES_NOTHING},
    {"quit", "", "leave", NULL, ACTION_QUIT, COMPLETES_NOTHING},
    {"quit-keep", "", "leave, with the last screen left in the terminal", NULL, ACTION_QUIT_KEEP, COMPLETES_NOTHING},
};

size_t tui_command_rows(struct tui_named *rows, size_t most)
{
    static char names[COUNT_OF(commands)][48];
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(commands); i++, count++)
        if (count < most) {
            snprintf(names[i], sizeof names[i], "%s%s%s", commands[i].name, *commands[i].arguments ? " " : "", commands[i].arguments);
            rows[count] = (struct tui_named){names[i], commands[i].help};
        }
    for (size_t i = 0; views[i]; i++)
        if (strcmp(views[i]->name, "node") && strcmp(views[i]->name, "link")) {
            if (count < most)
                rows[count] = (struct tui_named){views[i]->name, views[i] == &view_help ? "keys and colours of this screen" : views[i]->title};
            count++;
        }
    return count;
}

static void split(char *line, struct words *words)
{
    *words = (struct words){.count = 0, .rest = ""};
    char *at = line, *after_first = line + strspn(line, " :");
    after_first += strcspn(after_first, " ");
    after_first += strspn(after_first, " ");
    words->rest = mem_text(after_first);
    char *end = (char *)(uintptr_t)words->rest + strlen(words->rest);
    while (end > words->rest && end[-1] == ' ')
        *--end = '\0';
    for (char *word, *saved = NULL; words->count < WORDS_MOST && (word = strtok_r(at, words->count ? " ," : " :", &saved)); at = NULL)
        words->word[words->count++] = word;
}

/* A command by its name, or by a beginning that only one has. */
static const struct command *find_command(const char *name, const struct view_ops **screen, bool *ambiguous)
{
    const struct command *found = NULL;
    size_t count = 0;
    *ambiguous = false;
    *screen = NULL;
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (!strcasecmp(commands[i].name, name))
            return &commands[i];
    *screen = view_find(name);
    if (*screen)
        return NULL;
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (!strncasecmp(commands[i].name, name, strlen(name))) {
            found = &commands[i];
            count++;
        }
    for (size_t i = 0; views[i]; i++)
        if (!strncasecmp(views[i]->name, name, strlen(name)) && strcmp(views[i]->name, "node") && strcmp(views[i]->name, "link")) {
            *screen = views[i];
            count++;
        }
    if (count == 1)
        return found;
    *ambiguous = count > 1;
    *screen = NULL;
    return NULL;
}

static void unknown(struct tui *tui, const char *name, bool ambiguous)
{
    const char *names[COUNT_OF(commands) + TUI_SCREENS];
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        names[count++] = commands[i].name;
    for (size_t i = 0; views[i] && count < COUNT_OF(names); i++)
        names[count++] = views[i]->name;
    const char *near = text_nearest(name, names, count);
    if (ambiguous)
        complain(tui, "\"%s\" can mean several commands (Tab shows them)", name);
    else
        complain(tui, "no command \"%s\"%s%s%s", name, near ? ": did you mean " : " (Tab shows them)", near ? near : "", near ? "?" : "");
}

void command_run(struct tui *tui, const char *line)
{
    char *copy = mem_text(line);
    struct words words;
    const struct view_ops *screen;
    bool ambiguous;
    split(copy, &words);
    tui_take_picture(tui);
    if (words.count && tui->depth) {
        const struct command *command = find_command(words.word[0], &screen, &ambiguous);
        if (command && command->run)
            command->run(tui, &words);
        else if (command)
            tui_act(tui, command->action);
        else if (screen)
            tui_open(tui, screen, NULL);
        else
            unknown(tui, words.word[0], ambiguous);
    }
    tui->dirty = true;
    free((char *)(uintptr_t)words.rest);
    free(copy);
}

/* Completion */

struct completion { struct buf *buf; const char *beginning; size_t length; };

static void offer(struct completion *completion, const char *word)
{
    if (!strncasecmp(word, completion->beginning, completion->length) && completion->buf->length < CANDIDATES_LIMIT)
        buf_add_format(completion->buf, "%s%s", completion->buf->length ? " " : "", word);
}

static void offer_commands(struct completion *completion)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        offer(completion, commands[i].name);
    for (size_t i = 0; views[i]; i++)
        if (strcmp(views[i]->name, "node") && strcmp(views[i]->name, "link"))
            offer(completion, views[i]->name);
}

static void offer_nodes(struct tui *tui, struct completion *completion)
{
    struct buf name = BUF_EMPTY;
    for (size_t i = 0; i < tui->scene.picture.mesh->node_count; i++)
        offer(completion, scene_name(&tui->scene, i, &name));
    buf_free(&name);
}

static void offer_values(struct tui *tui, struct completion *completion, enum action action)
{
    const char *values[64];
    size_t count = menu_values(tui, action, values, COUNT_OF(values));
    for (size_t i = 0; i < count; i++)
        offer(completion, values[i]);
}

static void offer_themes(struct completion *completion)
{
    char **names = theme_names();
    for (size_t i = 0; names[i]; i++) {
        offer(completion, names[i]);
        free(names[i]);
    }
    free(names);
}

size_t command_complete(struct tui *tui, const char *line, size_t length, struct buf *candidates, size_t *from)
{
    const struct view_ops *screen;
    bool ambiguous;
    char first[64];
    size_t start = length;
    buf_clear(candidates);
    tui_take_picture(tui);
    if (!tui->depth)
        return 0;
    while (start && line[start - 1] != ' ' && line[start - 1] != ',')
        start--;
    *from = start;
    struct completion completion = {candidates, line + start, length - start};
    size_t begin = strspn(line, " ");
    if (begin >= start) {
        offer_commands(&completion);
        return candidates->length;
    }
    snprintf(first, sizeof first, "%.*s", (int)strcspn(line + begin, " "), line + begin);
    const struct command *command = find_command(first, &screen, &ambiguous);
    switch (command ? command->completes : COMPLETES_NOTHING) {
    case COMPLETES_NODES:
        offer_nodes(tui, &completion);
        break;
    case COMPLETES_SORT:
        offer_values(tui, &completion, ACTION_SORT);
        break;
    case COMPLETES_COLUMNS:
        offer_values(tui, &completion, ACTION_COLUMNS);
        break;
    case COMPLETES_THEMES:
        offer_themes(&completion);
        break;
    case COMPLETES_NOTHING:
        break;
    }
    return candidates->length;
}
