/* Messages of the command line: one line each on stderr, "wgdeck: ...", safe to show. */
#ifndef WGDECK_LOG_H
#define WGDECK_LOG_H

enum log_level { LOG_LEVEL_QUIET = -1, LOG_LEVEL_NORMAL = 0, LOG_LEVEL_VERBOSE = 1 };

void log_set_level(enum log_level level);              /* -q and -v */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));   /* always shown */
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));  /* not with -q */
void log_verbose(const char *format, ...) __attribute__((format(printf, 1, 2))); /* only with -v */

#endif
