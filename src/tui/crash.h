/* When the program itself fails: the terminal as it was, then a report. */
#ifndef WGDECK_TUI_CRASH_H
#define WGDECK_TUI_CRASH_H

/* Handlers for SEGV, ABRT, BUS, FPE and ILL. RESTORE is called first; it must be safe in a signal handler. */
void crash_begin(void (*restore)(void));
void crash_end(void); /* as they were before */

#endif
