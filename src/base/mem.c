/* Allocation that ends the program when memory is gone. */
#include "wgdeck/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory)
{
    if (!memory) {
        static const char message[] = "wgdeck: out of memory\n";
        fputs(message, stderr);
        abort();
    }
    return memory;
}

void *mem_alloc(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1));
}

void *mem_resize(void *old, size_t count, size_t size)
{
    return checked(reallocarray(old, count ? count : 1, size ? size : 1));
}

void *mem_copy(const void *from, size_t count, size_t size)
{
    return count ? memcpy(checked(reallocarray(NULL, count, size)), from, count * size) : NULL;
}

char *mem_text(const char *text)
{
    return text ? checked(strdup(text)) : NULL;
}

char *mem_text_part(const char *text, size_t length)
{
    return checked(strndup(text, length));
}

char *mem_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return checked(length < 0 ? NULL : text);
}
