/* Stand-ins for libqrencode, in the static link only: it has no static library, and nodes draw no QR codes. */
#include <errno.h>
#include <stddef.h>

void *QRcode_encodeString8bit(const char *string, int version, int level);
void QRcode_free(void *code);

void *QRcode_encodeString8bit(const char *string, int version, int level)
{
    (void)string;
    (void)version;
    (void)level;
    errno = ENOSYS;
    return NULL;
}

void QRcode_free(void *code)
{
    (void)code;
}
