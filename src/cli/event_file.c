#include "cli/event_file.h"

#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct LsEventFile {
    int fd;
    char *path;
};

#define RECORD_BYTES (LS_MAX_ROW * 96 + 64)

typedef struct Record {
    unsigned char at[RECORD_BYTES];
    size_t used;
} Record;

/* ---- Protocol buffers (their encoding's documentation: varints, wire types 0, 1, 2, 5) --------------------------- */

static void add_byte(Record *r, unsigned char byte)
{
    if (r->used < sizeof r->at)
        r->at[r->used++] = byte;
}

static void add_varint(Record *r, uint64_t value)
{
    for (; value > 127; value >>= 7)
        add_byte(r, (unsigned char)(value | 128));
    add_byte(r, (unsigned char)value);
}

static void add_little(Record *r, uint64_t bits, int bytes)
{
    for (int i = 0; i < bytes; i++)
        add_byte(r, (unsigned char)(bits >> (8 * i)));
}

static void add_key(Record *r, unsigned field, unsigned type) { add_varint(r, field << 3 | type); }

static void add_bytes(Record *r, unsigned field, const void *bytes, size_t count)
{
    add_key(r, field, 2);
    add_varint(r, count);
    for (size_t i = 0; i < count; i++)
        add_byte(r, ((const unsigned char *)bytes)[i]);
}

/* Event: wall_time = 1 (double), step = 2 (int64). */
static void begin_event(Record *r, int64_t step)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    uint64_t bits;
    memcpy(&bits, &seconds, sizeof bits);
    r->used = 0;
    add_key(r, 1, 1);
    add_little(r, bits, 8);
    add_key(r, 2, 0);
    add_varint(r, (uint64_t)step);
}

/* Summary.Value: tag = 1 (string), simple_value = 2 (float); in Summary.value = 1. */
static void add_scalar(Record *summary, const char *tag, float value)
{
    Record one = {.used = 0};
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_bytes(&one, 1, tag, strlen(tag));
    add_key(&one, 2, 5);
    add_little(&one, bits, 4);
    add_bytes(summary, 1, one.at, one.used);
}

/* ---- Records ----------------------------------------------------------------------------------------------------- */

/* CRC-32C (Castagnoli; RFC 3720), rotated and shifted as the format has it. */
static uint32_t masked_crc(const unsigned char *bytes, size_t count)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static LsStatus write_record(const LsEventFile *file, const Record *r)
{
    Record framed = {.used = 0};
    add_little(&framed, r->used, 8);
    add_little(&framed, masked_crc(framed.at, 8), 4);
    for (size_t i = 0; i < r->used; i++)
        add_byte(&framed, r->at[i]);
    add_little(&framed, masked_crc(r->at, r->used), 4);
    for (size_t done = 0; done < framed.used;) {
        ssize_t written = write(file->fd, framed.at + done, framed.used - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return ls_fail(errno == ENOSPC || errno == EDQUOT ? LS_RESOURCE : LS_ERROR, "%s: %s", file->path,
                           strerror(errno));
        done += (size_t)written;
    }
    return LS_OK;
}

LsEventFile *ls_event_file_open(const char *folder)
{
    char host[256] = "host";
    LsEventFile *file = ls_alloc(sizeof *file);
    char *inside = ls_format("%s/tensorboard", folder);
    LsStatus status = file && inside ? ls_make_folders(inside) : LS_RESOURCE;
    if (file) {
        gethostname(host, sizeof host - 1);
        file->fd = -1;
        file->path =
            inside ? ls_format("%s/events.out.tfevents.%lld.%s.%d", inside, (long long)time(NULL), host, (int)getpid())
                   : NULL;
    }
    ls_free(inside);
    if (status == LS_OK && file->path) {
        file->fd = open(file->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (file->fd < 0)
            ls_fail(LS_ERROR, "%s: %s", file->path, strerror(errno));
    }
    Record first;
    begin_event(&first, 0);
    add_bytes(&first, 3, "brain.Event:2", strlen("brain.Event:2")); /* file_version */
    if (file && file->fd >= 0 && write_record(file, &first) == LS_OK)
        return file;
    ls_event_file_close(file);
    return NULL;
}

LsStatus ls_event_file_row(LsEventFile *file, const LsMetricsRow *row)
{
    Record event, summary = {.used = 0};
    begin_event(&event, (int64_t)row->field[0].value);
    for (int i = 1; i < row->count; i++)
        add_scalar(&summary, row->field[i].name, (float)row->field[i].value);
    add_bytes(&event, 5, summary.at, summary.used);
    return write_record(file, &event);
}

void ls_event_file_close(LsEventFile *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    ls_free(file->path);
    ls_free(file);
}
