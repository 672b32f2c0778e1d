/* One cell of the matrix: what a direction counts as, and what it is in words. */
#include <string.h>

#include "matrix.h"
#include "words.h"

static const struct { enum glyph glyph; enum style style; const char *text; } courses[COURSE_COUNT] = {
    [COURSE_NONE] = {GLYPH_NO_LINK, STYLE_DIM, "no link"},
    [COURSE_LIVE] = {GLYPH_LIVE, STYLE_GOOD, "live"},
    [COURSE_IDLE] = {GLYPH_IDLE, STYLE_IDLE, "idle"},
    [COURSE_UNKNOWN] = {GLYPH_UNKNOWN, STYLE_UNKNOWN, "unknown"},
    [COURSE_LATE] = {GLYPH_LATE, STYLE_LATE, "late"},
    [COURSE_NEVER] = {GLYPH_NEVER, STYLE_NEVER, "never"},
    [COURSE_HALF] = {GLYPH_HALF, STYLE_WARNING, "half"},
    [COURSE_DEAD] = {GLYPH_DEAD, STYLE_BAD, "blocked"},
};

/* The glyph is what a person compares, so it decides. */
enum course course_of(const struct link *link, bool a_to_b)
{
    if (!link)
        return COURSE_NONE;
    struct look_of look = look_of_direction(link, a_to_b);
    for (unsigned i = COURSE_LIVE; i < COURSE_COUNT; i++)
        if (courses[i].glyph == look.glyph)
            return i;
    return COURSE_UNKNOWN;
}

struct look_of course_look(enum course course)
{
    return (struct look_of){courses[course].glyph, courses[course].style};
}

const char *course_text(enum course course)
{
    return courses[course].text;
}

bool course_rate(const struct scene *scene, const struct link *link, bool a_to_b, double *rate)
{
    const struct trend *trend = scene->live ? live_link_trend(scene->live, link->a, link->b) : NULL;
    return trend && trend_get(trend, a_to_b ? TREND_A_TO_B_RATE : TREND_B_TO_A_RATE, 0, rate);
}

static void add_age(const struct link *link, size_t to, struct buf *buf)
{
    int64_t age = to == link->a ? link->a_age : link->b_age;
    if (age < 0)
        age = to == link->a ? link->b_age : link->a_age; /* the other end knows it as well */
    if (age < 0)
        return;
    char text[CLOCK_TEXT_SIZE];
    clock_ago_text(age, text);
    buf_add_format(buf, ", handshake %s", text);
}

void course_sentence(const struct scene *scene, size_t from, size_t to, const struct link *link, struct buf *buf)
{
    struct buf name = BUF_EMPTY;
    buf_add_format(buf, "%s hears ", scene_name(scene, to, &name));
    buf_add_format(buf, "%s: ", scene_name(scene, from, &name));
    buf_free(&name);
    if (!link) {
        buf_add_text(buf, "no link between them");
        return;
    }
    bool a_to_b = from == link->a;
    enum direction_state direction = a_to_b ? link->a_to_b : link->b_to_a;
    const char *state = link_state_text(link->state);
    if (direction == DIRECTION_BLOCKED)
        buf_add_format(buf, "blocked%s%s%s", link->state == LINK_DEAD ? "" : " (link ", link->state == LINK_DEAD ? "" : state, link->state == LINK_DEAD ? "" : ")");
    else
        buf_add_text(buf, state);
    add_age(link, to, buf);
    double rate;
    if (course_rate(scene, link, a_to_b, &rate)) {
        buf_add_text(buf, ", ");
        words_rate(rate, buf);
    }
    const struct fault *fault = scene_fault_of_link(scene, link->a, link->b);
    if (fault) {
        struct buf text = BUF_EMPTY;
        buf_add_format(buf, ": %s", scene_text(scene, fault->summary, &text));
        buf_free(&text);
    }
}
