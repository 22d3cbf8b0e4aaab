#include "data/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <zlib.h>

#define DEEPEST 4 /* of files packed in one another */
#define PIECE (256 << 10)

typedef struct Member {
    char *name;
    int64_t from, bytes;
} Member;

typedef struct Members {
    Member *list;
    int count, room;
} Members;

static LsStatus unpack(const char *name, const char *bytes, int64_t count, int depth, const LsUnpacked *to);

const char *ls_packed_kind(const char *bytes, int64_t count)
{
    static const struct {
        const char *kind, *magic;
        int64_t at, length;
    } known[] = {{"gzip", "\x1f\x8b\x08", 0, 3},     {"xz", "\xfd\x37\x7a\x58\x5a\x00", 0, 6},
                 {"zstd", "\x28\xb5\x2f\xfd", 0, 4}, {"bzip2", "1AY&SY", 4, 6},
                 {"zip", "PK\x03\x04", 0, 4},        {"tar", "ustar", 257, 5}};
    for (size_t i = 0; i < LS_COUNT_OF(known); i++)
        if (count >= known[i].at + known[i].length &&
            memcmp(bytes + known[i].at, known[i].magic, (size_t)known[i].length) == 0)
            return known[i].kind;
    return NULL;
}

/* ---- gzip, whose check sums zlib compares ------------------------------------------------------------------------ */

/* One stream after the other, as gzip itself reads them. */
static LsStatus inflate_all(const char *name, const char *bytes, int64_t count, LsSpool *spool, char *room)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes};
    LsStatus status = LS_OK;
    int code = inflateInit2(&z, 15 + 16);
    if (code != Z_OK)
        return ls_fail(LS_RESOURCE, "%s: out of memory for reading it", name);
    int64_t given = 0;
    while (status == LS_OK) {
        if (z.avail_in == 0) {
            int64_t left = count - given;
            z.avail_in = (uInt)(left < 1 << 30 ? left : 1 << 30);
            given += z.avail_in;
        }
        z.next_out = (Bytef *)room;
        z.avail_out = PIECE;
        code = inflate(&z, Z_NO_FLUSH);
        if (PIECE - z.avail_out > 0)
            status = ls_spool_write(spool, room, PIECE - (int64_t)z.avail_out);
        bool more = z.avail_in > 0 || given < count;
        if (status == LS_OK && code == Z_STREAM_END) {
            if (!more)
                break;
            if (inflateReset(&z) != Z_OK)
                code = Z_DATA_ERROR;
        }
        if (status == LS_OK && ((code != Z_OK && code != Z_STREAM_END) || (!more && z.avail_out == PIECE)))
            status = ls_fail(LS_DATA, "%s: the gzip file is cut short or damaged (%s)", name,
                             z.msg ? z.msg : "it ends too early");
    }
    inflateEnd(&z);
    return status;
}

static LsStatus unpack_gzip(const char *name, const char *bytes, int64_t count, int depth, const LsUnpacked *to)
{
    const char *text = NULL;
    int64_t length = 0;
    char *room = ls_alloc(PIECE);
    LsSpool *spool = room ? ls_spool_new(to->folder) : NULL;
    LsStatus status = spool ? inflate_all(name, bytes, count, spool, room) : ls_message_status();
    ls_free(room);
    if (status == LS_OK)
        status = ls_spool_map(&spool, &text, &length);
    ls_spool_free(spool);
    if (status == LS_OK && text)
        status = to->region(to->self, text, length);
    return status == LS_OK ? unpack(name, text, length, depth + 1, to) : status;
}

/* ---- All others, by libarchive ----------------------------------------------------------------------------------- */

static LsStatus fail_reading(const char *name, const char *kind, struct archive *a)
{
    const char *text = archive_error_string(a);
    return ls_fail(LS_DATA, "%s: the %s file is cut short or damaged (%s)", name, kind, text ? text : "no reason told");
}

static LsStatus add_member(Members *members, char *name, int64_t from, int64_t bytes)
{
    if (name && members->count == members->room) {
        int room = members->room ? 2 * members->room : 64;
        Member *grown = ls_alloc_array(room, sizeof *grown);
        if (grown && members->count)
            memcpy(grown, members->list, sizeof *grown * (size_t)members->count);
        if (grown) {
            ls_free(members->list);
            members->list = grown;
            members->room = room;
        }
    }
    if (!name || members->count == members->room) {
        ls_free(name);
        return LS_RESOURCE;
    }
    members->list[members->count++] = (Member){name, from, bytes};
    return LS_OK;
}

static LsStatus read_member(const char *name, const char *kind, struct archive *a, LsSpool *spool)
{
    const void *block = NULL;
    size_t bytes = 0;
    la_int64_t at = 0, written = 0;
    static const char zeros[4096];
    for (;;) {
        int code = archive_read_data_block(a, &block, &bytes, &at);
        if (code == ARCHIVE_EOF)
            return LS_OK;
        if (code != ARCHIVE_OK)
            return fail_reading(name, kind, a);
        while (written < at) { /* a hole of a sparse file */
            la_int64_t hole = at - written < (la_int64_t)sizeof zeros ? at - written : (la_int64_t)sizeof zeros;
            LS_TRY(ls_spool_write(spool, zeros, hole));
            written += hole;
        }
        LS_TRY(ls_spool_write(spool, block, (int64_t)bytes));
        written += (la_int64_t)bytes;
    }
}

static LsStatus read_members(const char *name, const char *kind, struct archive *a, const LsUnpacked *to,
                             LsSpool *spool, Members *members)
{
    struct archive_entry *entry = NULL;
    for (;;) {
        int code = archive_read_next_header(a, &entry);
        if (code == ARCHIVE_EOF)
            return LS_OK;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
            return fail_reading(name, kind, a);
        bool single = archive_format(a) == ARCHIVE_FORMAT_RAW;
        const char *inside = archive_entry_pathname(entry);
        inside = inside ? inside : archive_entry_pathname_utf8(entry);
        if (!single && (archive_entry_filetype(entry) != AE_IFREG || !inside || !to->wanted(to->self, inside)))
            continue;
        int64_t from = ls_spool_size(spool);
        LS_TRY(read_member(name, kind, a, spool));
        LS_TRY(add_member(members, single ? ls_strdup(name) : ls_format("%s: %s", name, inside), from,
                          ls_spool_size(spool) - from));
    }
}

/* NULL with a message. */
static struct archive *open_archive(const char *name, const char *kind, const char *bytes, int64_t count)
{
    struct archive *a = archive_read_new();
    if (!a) {
        ls_fail(LS_RESOURCE, "%s: out of memory for reading it", name);
        return NULL;
    }
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_format_tar(a);
    archive_read_support_format_zip(a);
    archive_read_support_format_raw(a);
    if (archive_read_open_memory(a, bytes, (size_t)count) == ARCHIVE_OK)
        return a;
    (void)fail_reading(name, kind, a);
    archive_read_free(a);
    return NULL;
}

/* Everything of it first: where it is damaged nothing of it is taken. */
static LsStatus unpack_archive(const char *name, const char *bytes, int64_t count, int depth, const LsUnpacked *to)
{
    const char *kind = ls_packed_kind(bytes, count), *text = NULL;
    int64_t length = 0;
    Members members = {0};
    struct archive *a = open_archive(name, kind, bytes, count);
    LsSpool *spool = a ? ls_spool_new(to->folder) : NULL;
    LsStatus status = a ? LS_OK : ls_message_status();
    if (status == LS_OK)
        status = spool ? read_members(name, kind, a, to, spool, &members) : ls_message_status();
    if (status == LS_OK)
        status = ls_spool_map(&spool, &text, &length);
    if (status == LS_OK && text)
        status = to->region(to->self, text, length);
    for (int i = 0; i < members.count; i++) {
        const Member *m = &members.list[i];
        if (status == LS_OK)
            status = unpack(m->name, text ? text + m->from : "", m->bytes, depth + 1, to);
        ls_free(m->name);
    }
    ls_free(members.list);
    ls_spool_free(spool);
    if (a)
        archive_read_free(a);
    return status;
}

static LsStatus unpack(const char *name, const char *bytes, int64_t count, int depth, const LsUnpacked *to)
{
    const char *kind = ls_packed_kind(bytes, count);
    if (kind && depth == DEEPEST)
        return ls_fail(LS_DATA, "%s: files are packed in one another %d times", name, DEEPEST);
    if (kind)
        return strcmp(kind, "gzip") == 0 ? unpack_gzip(name, bytes, count, depth, to)
                                         : unpack_archive(name, bytes, count, depth, to);
    char *copy = ls_strdup(name);
    return copy ? to->take(to->self, copy, bytes, count) : LS_RESOURCE;
}

LsStatus ls_unpack(const LsCorpusPart *packed, const LsUnpacked *to)
{
    return unpack(packed->name, packed->text, packed->bytes, 0, to);
}
