/* Everything that a key can do: one row each. The keymap, the footer, the help screen, the manual and the test that presses every key come
 * from this table (keymap.c). Keys are words as deck.conf has them: "q", "ctrl-l", "f1", "page-down", "space". */
#ifndef WGDECK_TUI_ACTION_H
#define WGDECK_TUI_ACTION_H

/* name, name in deck.conf, default keys, where it works ("everywhere", "lists", or screens' names), short (footer), help */
#define ACTIONS(X) \
    X(HELP, "help", "? f1", "everywhere", "help", "keys and colours of this screen") \
    X(BACK, "back", "q esc", "everywhere", "back", "one level back; from the first screen: leave") \
    X(QUIT, "quit", "ctrl-c f10", "everywhere", "quit", "leave at once") \
    X(QUIT_KEEP, "quit-keep", "Q", "everywhere", "quit, keep screen", "leave, with the last screen left in the terminal") \
    X(COMMAND, "command", ":", "everywhere", "command", "a command line; Tab completes") \
    X(FILTER, "filter", "/ f4", "everywhere", "filter", "show only what matches, live while typing; Esc ends it") \
    X(FILTER_NOT, "filter-not", "!", "everywhere", "filter out", "the filter the other way round: hide what matches") \
    X(NEXT, "next", "n", "everywhere", "next", "the next row that is not well") \
    X(PREVIOUS, "previous", "N", "everywhere", "previous", "the row before that is not well") \
    X(FAULTS_ONLY, "faults-only", "f", "everywhere", "faults only", "show only what is not well") \
    X(UP, "up", "up k", "everywhere", "", "up") \
    X(DOWN, "down", "down j", "everywhere", "", "down") \
    X(LEFT, "left", "left h", "everywhere", "", "left") \
    X(RIGHT, "right", "right l", "everywhere", "", "right") \
    X(PAGE_UP, "page-up", "page-up ctrl-b", "everywhere", "", "a screen up") \
    X(PAGE_DOWN, "page-down", "page-down ctrl-f", "everywhere", "", "a screen down") \
    X(FIRST, "first", "home g", "everywhere", "", "to the first row") \
    X(LAST, "last", "end G", "everywhere", "", "to the last row") \
    X(ENTER, "enter", "enter", "everywhere", "open", "open what the cursor is on") \
    X(PANE, "pane", "tab", "everywhere", "pane", "to the next pane") \
    X(MARK, "mark", "space", "lists", "mark", "mark the row; copy and save then take the marked ones") \
    X(SORT, "sort", "s f6", "lists", "sort", "sort by the next column") \
    X(SORT_INVERT, "sort-invert", "I", "lists", "invert", "sort the other way round") \
    X(COLUMNS, "columns", "c", "lists", "columns", "choose the columns") \
    X(GROUP, "group", "o", "matrix links map", "order", "problems first, by group, or as in the mesh file") \
    X(OVERVIEW, "overview", "1", "everywhere", "overview", "the overview") \
    X(MATRIX, "matrix", "2", "everywhere", "matrix", "the matrix: who hears whom") \
    X(LINKS, "links", "3", "everywhere", "links", "all links") \
    X(MAP, "map", "4", "everywhere", "map", "the mesh drawn") \
    X(FAULTS, "faults", "5", "everywhere", "faults", "faults, with evidence and remedy") \
    X(EVENTS, "events", "6", "everywhere", "events", "what happened when") \
    X(PLAN, "plan", "p", "everywhere", "plan", "the plan: what the mesh file asks for and the nodes do not have; to be applied from there") \
    X(WIZARD, "wizard", "a", "everywhere", "add", "the wizard: add a node; :remove NODE and :rotate NODE begin it too") \
    X(APPLY, "apply", "A", "plan wizard", "apply", "apply the plan that is shown, after a question") \
    X(STOP_CHANGE, "stop-change", "X", "plan wizard", "stop", "stop the change that is under way, and put everything back") \
    X(REFRESH, "refresh", "r f5", "everywhere", "look now", "look at all nodes now") \
    X(FREEZE, "freeze", "z", "everywhere", "freeze", "keep this picture; in a replay: pause") \
    X(SLOWER, "slower", "+ =", "everywhere", "slower", "a longer interval between looks; in a replay: faster") \
    X(FASTER, "faster", "-", "everywhere", "faster", "a shorter interval; in a replay: slower") \
    X(STEP, "step", ".", "everywhere", "step", "in a replay: one interval on") \
    X(STEP_BACK, "step-back", ",", "everywhere", "step back", "in a replay: one interval back") \
    X(COPY, "copy", "y", "everywhere", "copy", "copy what the cursor is on, or the marked rows, to the clipboard of this terminal (OSC 52)") \
    X(SAVE, "save", "S", "everywhere", "save", "save this screen as text, JSON or CSV, by the file's name") \
    X(SHELL, "shell", "$ f9", "everywhere", "shell", "a shell on the node; the deck is back when it ends") \
    X(PRIVACY, "privacy", "P", "everywhere", "privacy", "hide names, addresses and keys, before a screen is shown around") \
    X(THEME, "theme", "T", "everywhere", "theme", "the next theme") \
    X(REDRAW, "redraw", "ctrl-l", "everywhere", "", "draw the whole screen anew") \
    X(SUSPEND, "suspend", "ctrl-z", "everywhere", "", "suspend; fg brings the deck back")

enum action {
    ACTION_NONE,
#define X(name, word, keys, where, brief, help) ACTION_##name,
    ACTIONS(X)
#undef X
    ACTION_COUNT
};

#endif
