/* Stand-ins. */
#include "live_private.h"
struct live_events_state *live_events_new(size_t c) { (void)c; return NULL; }
void live_events_free(struct live_events_state *s) { (void)s; }
void live_events_compare(struct live *l, struct diagnosis *d, const struct observed *o, bool q) { (void)l, (void)d, (void)o, (void)q; }
struct live_trends *live_trends_new(size_t c) { (void)c; return NULL; }
void live_trends_free(struct live_trends *t) { (void)t; }
void live_trends_sample(struct live *l) { (void)l; }
void live_trends_rewind(struct live *l, int64_t a) { (void)l, (void)a; }
void live_state_load(struct live *l) { (void)l; }
void live_state_save(struct live *l) { (void)l; }
void live_fault_identity(const struct mesh *m, const struct fault *f, struct buf *b) { (void)m, (void)f; buf_add_text(b, "x"); }
const struct trend *live_link_trend(const struct live *l, size_t a, size_t b) { (void)l, (void)a, (void)b; return NULL; }
const struct trend *live_node_trend(const struct live *l, size_t n) { (void)l, (void)n; return NULL; }
void live_watch_link(struct live *l, size_t a, size_t b) { (void)l, (void)a, (void)b; }
char *live_state_folder(const struct mesh *m) { (void)m; return NULL; }
