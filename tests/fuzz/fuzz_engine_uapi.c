/* Requests to the engine's control socket: whole and in pieces they must be answered the same, the answers well-formed, the tables sound. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/engine/control.h"
#include "wgdeck/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct engine *begin(void)
{
    struct err err;
    struct engine *engine = mem_alloc(1, sizeof *engine);
    setenv("STATE_DIRECTORY", "/proc/none", 1); /* no file is kept */
    if (engine_begin(engine, "fuzz0", &err) || !(engine->seal = seal_choose("libcrypto", &err)))
        abort();
    engine->queues = 0;
    protocol_begin(engine);
    timers_begin(engine, clock_steady());
    engine->control_tx = tx_new(engine, 0, engine->control_reader, &engine->control_tally);
    return engine;
}

static void end(struct engine *engine)
{
    while (engine->peers)
        peer_remove(engine->peers);
    while (epoch_reclaim(&engine->epoch)) {}
    if (engine->trie.nodes || engine->peer_count)
        abort();
    tx_free(engine->control_tx);
    timers_end(engine);
    protocol_end(engine);
    engine_end(engine);
    free(engine);
}

static void drain(struct uapi_talk *talk, struct buf *answer)
{
    const char *bytes;
    size_t length;
    while ((bytes = uapi_talk_pending(talk, &length))) {
        buf_add(answer, bytes, length);
        uapi_talk_written(talk, length);
    }
}

static void talk_all(struct engine *engine, const uint8_t *data, size_t size, size_t piece, struct buf *answer)
{
    size_t budget = UAPI_REQUEST, room;
    struct uapi_talk *talk = uapi_talk_new(NULL, engine, &budget);
    for (size_t at = 0; at < size && !uapi_talk_is_over(talk);) {
        char *space = uapi_talk_space(talk, &room);
        size_t part = size - at < piece ? size - at : piece;
        if (!room)
            abort();
        part = part < room ? part : room;
        memcpy(space, data + at, part);
        uapi_talk_read(talk, part);
        at += part;
        drain(talk, answer);
    }
    uapi_talk_free(talk);
    if (budget != UAPI_REQUEST)
        abort();
}

/* Answers begin and end with whole lines, each with one '='. */
static void check(const struct buf *answer)
{
    const char *text = buf_text(answer);
    if (answer->length && (answer->length < 9 || strcmp(text + answer->length - 2, "\n\n") != 0))
        abort();
    for (const char *end; (end = strchr(text, '\n')); text = end + 1)
        if (end != text && !memchr(text, '=', (size_t)(end - text)))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct engine *first = begin(), *second = begin();
    struct buf whole = BUF_EMPTY, pieces = BUF_EMPTY;
    if (memmem(data, size, "listen_port", 11)) /* which ports are free is not the same both times */
        size = 0;
    talk_all(first, data, size, size ? size : 1, &whole);
    talk_all(second, data, size, 7, &pieces);
    talk_all(first, (const uint8_t *)"get=1\n\n", 7, 7, &whole);
    talk_all(second, (const uint8_t *)"get=1\n\n", 7, 7, &pieces);
    check(&whole);
    if (strcmp(buf_text(&whole), buf_text(&pieces)) != 0)
        abort();
    buf_free(&whole);
    buf_free(&pieces);
    end(first);
    end(second);
    return 0;
}
