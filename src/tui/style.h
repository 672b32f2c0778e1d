/* What a cell can mean, and which glyphs there are: two tables. A theme gives each meaning a colour (theme.c, wgdeck-theme(5)), a
 * charset each glyph its character. State is a glyph or a letter first and a colour second. */
#ifndef WGDECK_TUI_STYLE_H
#define WGDECK_TUI_STYLE_H

#include <stdbool.h>

#include "wgdeck/diagnosis.h"

/* Foregrounds: name in theme files, what it is for. */
#define STYLES(X) \
    X(TEXT, "text", "what is neither good nor bad") \
    X(DIM, "dim", "labels, units, what matters less") \
    X(TITLE, "title", "titles of screens and panes") \
    X(BORDER, "border", "lines and frames") \
    X(HEADING, "heading", "column titles") \
    X(KEY, "key", "keys in the footer and in help") \
    X(ACCENT, "accent", "what the cursor is on, the sort column, matches of a filter") \
    X(GOOD, "good", "live, up, no fault") \
    X(LATE, "late", "late: the handshake is older than it should be") \
    X(IDLE, "idle", "quiet, and nothing says that it should not be") \
    X(WARNING, "warning", "warnings; half: one end only, or one direction") \
    X(BAD, "bad", "dead, blocked, down, errors") \
    X(NEVER, "never", "there never was a handshake") \
    X(UNKNOWN, "unknown", "cannot be seen: a node that is not reached") \
    X(OLD, "old", "last known data, not seen in this run") \
    X(INFO, "info", "notices") \
    X(PLOT_A, "plot-a", "the first of two curves: a to b, received") \
    X(PLOT_B, "plot-b", "the second one: b to a, sent")

enum style {
#define X(name, text, help) STYLE_##name,
    STYLES(X)
#undef X
    STYLE_COUNT
};

/* Backgrounds. */
#define GROUNDS(X) \
    X(NORMAL, "background", "behind everything; empty: the terminal's own") \
    X(HEADER, "header", "the line at the top") \
    X(FOOTER, "footer", "the line at the bottom") \
    X(SELECTED, "selected", "the row or cell that the cursor is on") \
    X(MARKED, "marked", "rows marked with Space") \
    X(DIALOG, "dialog", "questions and menus") \
    X(ALARM, "alarm", "the verdict, when something is wrong; the frame of a mesh that wants one")

enum ground {
#define X(name, text, help) GROUND_##name,
    GROUNDS(X)
#undef X
    GROUND_COUNT
};

/* Glyphs: UTF-8, ASCII. One column each. */
#define GLYPHS(X) \
    X(LIVE, "●", "o") X(LATE, "◐", "~") X(IDLE, "○", ".") X(DEAD, "✖", "X") X(NEVER, "◌", "-") X(HALF, "◧", "/") X(UNKNOWN, "?", "?") \
    X(NODE_UP, "●", "o") X(NODE_DEGRADED, "▲", "!") X(NODE_DOWN, "✖", "X") X(NODE_UNREACHABLE, "?", "?") \
    X(ERROR, "✖", "X") X(WARNING, "▲", "!") X(NOTE, "·", "i") X(GOOD, "✔", "+") \
    X(SELF, "╲", "\\") X(NO_LINK, " ", " ") X(MARK, "◆", "*") X(CURSOR, "▶", ">") \
    X(SORT_UP, "▲", "^") X(SORT_DOWN, "▼", "v") X(MORE_UP, "↑", "^") X(MORE_DOWN, "↓", "v") X(MORE_LEFT, "←", "<") X(MORE_RIGHT, "→", ">") \
    X(ARROW, "→", ">") X(ARROW_BOTH, "↔", "=") X(ELLIPSIS, "…", ".") \
    X(HORIZONTAL, "─", "-") X(VERTICAL, "│", "|") X(TOP_LEFT, "┌", "+") X(TOP_RIGHT, "┐", "+") X(BOTTOM_LEFT, "└", "+") X(BOTTOM_RIGHT, "┘", "+") \
    X(TEE_LEFT, "├", "+") X(TEE_RIGHT, "┤", "+") X(TEE_TOP, "┬", "+") X(TEE_BOTTOM, "┴", "+") X(CROSS, "┼", "+") \
    X(BAR_FULL, "█", "#") X(BAR_EMPTY, "░", ".") X(PAUSED, "‖", "=") X(PLAYING, "▶", ">") X(FROZEN, "❄", "#")

enum glyph {
#define X(name, utf8, ascii) GLYPH_##name,
    GLYPHS(X)
#undef X
    GLYPH_COUNT
};

struct look_of { enum glyph glyph; enum style style; }; /* how a state is drawn, everywhere the same */
struct look_of look_of_link(enum link_state state);
/* One direction: the link's own state where it carries, dead where this direction is blocked. */
struct look_of look_of_direction(const struct link *link, bool a_to_b);
struct look_of look_of_node(enum node_state state);
struct look_of look_of_severity(enum severity severity);
struct look_of look_of_verdict(enum verdict verdict);

#endif
