/* The static program that is pushed to nodes: where it is, its checksum, and which machines can run it. */
#include <elf.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "look_program.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { PROGRAM_LIMIT = 256 << 20 };

static const struct {
    uint16_t elf;
    const char *machine;
} machines[] = {
    {EM_X86_64, "x86_64"}, {EM_AARCH64, "aarch64"}, {EM_ARM, "armv7l"}, {EM_386, "i686"}, {EM_RISCV, "riscv64"}, {EM_PPC64, "ppc64le"}, {EM_S390, "s390x"},
};

/* A 64-bit ELF program without an interpreter needs nothing on the node. */
static bool is_static(const struct buf *bytes)
{
    Elf64_Ehdr head;
    if (bytes->length < sizeof head)
        return false;
    memcpy(&head, bytes->data, sizeof head);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64)
        return false;
    for (size_t i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr part;
        if (head.e_phoff > bytes->length || i * sizeof part + sizeof part > bytes->length - head.e_phoff)
            return false;
        memcpy(&part, bytes->data + head.e_phoff + i * sizeof part, sizeof part);
        if (part.p_type == PT_INTERP)
            return false;
    }
    return true;
}

static const char *machine_of(const struct buf *bytes)
{
    Elf64_Ehdr head;
    memcpy(&head, bytes->data, sizeof head); /* is_static has checked the length */
    for (size_t i = 0; i < COUNT_OF(machines); i++)
        if (machines[i].elf == head.e_machine)
            return machines[i].machine;
    return "unknown";
}

static void checksum(struct look_program *program)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!EVP_Digest(program->bytes.data, program->bytes.length, digest, &length, EVP_sha256(), NULL) || length != 32)
        abort();
    for (unsigned i = 0; i < length; i++)
        snprintf(program->sha256 + 2 * i, 3, "%02x", digest[i]);
}

static int load_from(const char *path, struct look_program *program, struct err *err)
{
    if (file_read(path, PROGRAM_LIMIT, &program->bytes, err))
        return -1;
    if (!is_static(&program->bytes)) {
        buf_free(&program->bytes);
        return err_set(err, "%s: not a static program for Linux (build it with make)", path);
    }
    program->machine = machine_of(&program->bytes);
    checksum(program);
    return 0;
}

int look_program_load(const char *path, struct look_program *program, struct err *err)
{
    char self[4096];
    struct utsname system;
    *program = (struct look_program){0};
    if (path)
        return load_from(path, program, err);
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0 || uname(&system) < 0)
        return err_set(err, "cannot tell where this program is: %s", strerror(errno));
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    const char *const places[] = {"", "../lib/wgdeck/"};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        char *name = mem_format("%.*s/%swgdeck-%s", (int)(slash - self), self, places[i], system.machine);
        int result = load_from(name, program, err);
        free(name);
        if (!result)
            return 0;
    }
    struct err not_static;
    if (!load_from(self, program, &not_static))
        return 0;
    return err_prefix(err, "the program for nodes is missing");
}
