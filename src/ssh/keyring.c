/* Key files (keyring.h). Reading one may cost a second (bcrypt), so it is done once, on a worker thread; the libssh key is shared by all
 * sessions, which only read it. */
#include "keyring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session.h"
#include "wgdeck/mem.h"

struct waiter {
    struct key_file *file;
    void (*loaded)(void *context);
    void *context;
    struct waiter *next;
};

struct keyring {
    struct ev_loop *loop;
    struct worker_pool *pool;
    struct key_file **files;
    size_t count, capacity;
    struct waiter *waiters;
    struct load *loads;
};

struct load {
    struct worker_job job;
    struct keyring *keyring;
    struct key_file *file;
    struct load *next; /* in the keyring */
    char *path, *passphrase;
    enum key_state state;
    ssh_key private, public, certified;
    bool asked; /* libssh wanted a passphrase */
};

struct keyring *keyring_new(struct ev_loop *loop, struct worker_pool *pool)
{
    struct keyring *keyring = mem_alloc(1, sizeof *keyring);
    keyring->loop = loop;
    keyring->pool = pool;
    return keyring;
}

static void load_free(struct load *load)
{
    ssh_key_free(load->private);
    ssh_key_free(load->public);
    ssh_key_free(load->certified);
    secret_free(load->passphrase);
    free(load->path);
    free(load);
}

static void load_drop(struct worker_job *job)
{
    load_free((struct load *)job);
}

/* Without a passphrase of ours the key stays closed; libssh must never ask on the terminal. */
static int passphrase_wanted(const char *prompt, char *text, size_t size, int echo, int verify, void *context)
{
    (void)prompt, (void)echo, (void)verify;
    struct load *load = context;
    load->asked = true;
    if (!load->passphrase || strlen(load->passphrase) >= size)
        return -1;
    memcpy(text, load->passphrase, strlen(load->passphrase) + 1);
    return 0;
}

static ssh_key read_public(const char *path)
{
    ssh_key key = NULL;
    char *beside = mem_format("%s.pub", path);
    if (ssh_pki_import_pubkey_file(beside, &key) != SSH_OK && ssh_pki_import_pubkey_file(path, &key) != SSH_OK)
        key = NULL;
    free(beside);
    return key;
}

/* A copy of the private key by reading it again: a certificate is put into a key, and the key is wanted without it too. */
static void read_certificate(struct load *load)
{
    char *path = mem_format("%s-cert.pub", load->path);
    ssh_key certificate = NULL;
    if (!access(path, R_OK) && ssh_pki_import_cert_file(path, &certificate) == SSH_OK &&
        ssh_pki_import_privkey_file(load->path, NULL, passphrase_wanted, load, &load->certified) == SSH_OK &&
        ssh_pki_copy_cert_to_privkey(certificate, load->certified) != SSH_OK) {
        ssh_key_free(load->certified);
        load->certified = NULL;
    }
    ssh_key_free(certificate);
    free(path);
}

static void load_work(struct worker_job *job)
{
    struct load *load = (struct load *)job;
    if (access(load->path, R_OK)) {
        load->state = errno == ENOENT || errno == ENOTDIR ? KEY_ABSENT : KEY_UNUSABLE;
        return;
    }
    int result = ssh_pki_import_privkey_file(load->path, NULL, passphrase_wanted, load, &load->private);
    if (result == SSH_OK && ssh_pki_export_privkey_to_pubkey(load->private, &load->public) == SSH_OK) {
        load->state = KEY_READY;
        read_certificate(load);
        return;
    }
    load->public = read_public(load->path);
    load->state = load->asked && load->public ? KEY_LOCKED : KEY_UNUSABLE;
}

static void tell(struct keyring *keyring, const struct key_file *file)
{
    struct waiter **at = &keyring->waiters;
    while (*at) {
        struct waiter *waiter = *at;
        if (waiter->file != file) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->loaded(waiter->context);
        free(waiter);
        at = &keyring->waiters; /* the call may have changed the list */
    }
}

static void load_done(struct worker_job *job)
{
    struct load *load = (struct load *)job;
    struct key_file *file = load->file;
    struct keyring *keyring = load->keyring;
    for (struct load **at = &keyring->loads; *at; at = &(*at)->next)
        if (*at == load) {
            *at = load->next;
            break;
        }
    file->state = load->state;
    if (load->private) {
        ssh_key_free(file->private);
        file->private = load->private;
        load->private = NULL;
        ssh_key_free(file->certified);
        file->certified = load->certified;
        load->certified = NULL;
    }
    if (load->public) {
        ssh_key_free(file->public);
        file->public = load->public;
        load->public = NULL;
        char *base64 = NULL;
        if (ssh_pki_export_pubkey_base64(file->public, &base64) == SSH_OK) {
            free(file->base64);
            file->base64 = mem_text(base64);
        }
        ssh_string_free_char(base64);
        enum ssh_keytypes_e type = ssh_key_type(file->public);
        file->is_hardware = type == SSH_KEYTYPE_SK_ECDSA || type == SSH_KEYTYPE_SK_ED25519;
    }
    load_free(load);
    tell(keyring, file);
}

static void start(struct keyring *keyring, struct key_file *file, const char *passphrase)
{
    struct load *load = mem_alloc(1, sizeof *load);
    load->job = (struct worker_job){.work = load_work, .done = load_done, .drop = load_drop};
    load->keyring = keyring;
    load->file = file;
    load->path = mem_text(file->path);
    load->passphrase = secret_new(passphrase);
    load->next = keyring->loads;
    keyring->loads = load;
    file->state = KEY_LOADING;
    worker_run(keyring->pool, &load->job);
}

static void wait_for(struct keyring *keyring, struct key_file *file, void (*loaded)(void *context), void *context)
{
    struct waiter *waiter = mem_alloc(1, sizeof *waiter);
    *waiter = (struct waiter){.file = file, .loaded = loaded, .context = context, .next = keyring->waiters};
    keyring->waiters = waiter;
}

struct key_file *keyring_find(struct keyring *keyring, const char *path, void (*loaded)(void *context), void *context)
{
    struct key_file *file = NULL;
    for (size_t i = 0; i < keyring->count && !file; i++)
        if (!strcmp(keyring->files[i]->path, path))
            file = keyring->files[i];
    if (!file) {
        file = mem_alloc(1, sizeof *file);
        file->path = mem_text(path);
        MEM_GROW(keyring->files, keyring->count, keyring->capacity);
        keyring->files[keyring->count++] = file;
        /* Most of the default files are not there: no thread for that. */
        if (access(path, F_OK) && (errno == ENOENT || errno == ENOTDIR))
            file->state = KEY_ABSENT;
        else
            start(keyring, file, NULL);
    }
    if (file->state == KEY_LOADING)
        wait_for(keyring, file, loaded, context);
    return file;
}

void keyring_unlock(struct keyring *keyring, struct key_file *file, const char *passphrase, void (*loaded)(void *context), void *context)
{
    if (file->state == KEY_LOCKED)
        start(keyring, file, passphrase);
    if (file->state == KEY_LOADING)
        wait_for(keyring, file, loaded, context);
}

void keyring_forget(struct keyring *keyring, void *context)
{
    struct waiter **at = &keyring->waiters;
    while (*at) {
        struct waiter *waiter = *at;
        if (waiter->context != context) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        free(waiter);
    }
}

void keyring_free(struct keyring *keyring)
{
    if (!keyring)
        return;
    for (struct load *load = keyring->loads; load; load = load->next)
        worker_abandon(&load->job);
    while (keyring->waiters) {
        struct waiter *next = keyring->waiters->next;
        free(keyring->waiters);
        keyring->waiters = next;
    }
    for (size_t i = 0; i < keyring->count; i++) {
        struct key_file *file = keyring->files[i];
        ssh_key_free(file->private);
        ssh_key_free(file->public);
        ssh_key_free(file->certified);
        free(file->base64);
        free(file->path);
        free(file);
    }
    free(keyring->files);
    free(keyring);
}
