#include "store/safetensors.h"

#include "base/names.h"
#include "base/text.h"
#include "io/fault.h"
#include "io/file.h"
#include "io/lfs.h"
#include "io/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITER "lockstep"        /* in the header of what this program writes */
#define LONGEST_HEADER 100000000 /* bytes; as other readers of the format have it */

static const struct {
    const char *name;
    int bytes;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8},  {"I32", 4},     {"I16", 2},    {"I8", 1},
              {"U64", 8}, {"U32", 4}, {"U16", 2},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

/* ---- The header -------------------------------------------------------------------------------------------------- */

/* shape: [..] -> rank, dim, count. False where it is not a shape or its size overflows. */
static bool parse_shape(const json_t *shape, LsSafeTensor *t)
{
    if (!json_is_array(shape) || json_array_size(shape) > LS_SAFE_RANK)
        return false;
    t->rank = (int)json_array_size(shape);
    t->count = 1;
    for (int i = 0; i < t->rank; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return false;
        t->dim[i] = json_integer_value(dim);
        if (__builtin_mul_overflow(t->count, t->dim[i], &t->count))
            return false;
    }
    return true;
}

/* One entry of the header; data_bytes: what follows the header in the file. */
static LsStatus parse_tensor(const LsSafetensors *all, const char *path, const char *name, const json_t *entry,
                             int64_t data_bytes, LsSafeTensor *t)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    int size = 0;
    for (size_t i = 0; dtype && i < LS_COUNT_OF(dtypes); i++)
        if (strcmp(dtypes[i].name, dtype) == 0) {
            t->dtype = dtypes[i].name;
            size = dtypes[i].bytes;
        }
    if (!json_is_object(entry) || size == 0)
        return ls_fail(all->code, "%s: tensor %s: unknown type of elements '%s'", path, name, dtype ? dtype : "");
    if (!parse_shape(shape, t) || t->count > INT64_MAX / 8)
        return ls_fail(all->code, "%s: tensor %s: its shape is not a list of at most %d sensible lengths", path, name,
                       LS_SAFE_RANK);
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return ls_fail(all->code, "%s: tensor %s: data_offsets are not two whole numbers", path, name);
    int64_t from = json_integer_value(first), to = json_integer_value(last);
    if (from < 0 || to < from || to > data_bytes)
        return ls_fail(all->code,
                       "%s: tensor %s: its elements are said to lie at %" PRId64 " to %" PRId64
                       ", the file has %" PRId64 " bytes of them (truncated, or a damaged header)",
                       path, name, from, to, data_bytes);
    if (to - from != t->count * size)
        return ls_fail(all->code, "%s: tensor %s: shape %s of %s takes %" PRId64 " bytes, not %" PRId64, path, name,
                       ls_dims_text(t->rank, t->dim), dtype, t->count * size, to - from);
    t->offset = from;
    t->bytes = to - from;
    t->name = ls_strdup(name);
    return t->name ? LS_OK : LS_RESOURCE;
}

static int compare_offsets(const void *a, const void *b)
{
    const LsSafeTensor *x = *(const LsSafeTensor *const *)a, *y = *(const LsSafeTensor *const *)b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes; /* empty ones first */
}

/* Elements of one file must fill it without overlaps or holes: what is in a hole would be unseen, and bytes at the end
 * as well. */
static LsStatus check_layout(const LsSafetensors *all, const char *path, const LsSafeTensor *list, int count,
                             int64_t data_bytes)
{
    const LsSafeTensor **order = ls_alloc_array(count, sizeof *order);
    if (!order)
        return LS_RESOURCE;
    for (int i = 0; i < count; i++)
        order[i] = &list[i];
    if (count)
        qsort(order, (size_t)count, sizeof *order, compare_offsets);
    int64_t end = 0;
    LsStatus status = LS_OK;
    for (int i = 0; i < count && status == LS_OK; i++) {
        if (order[i]->offset < end)
            status = ls_fail(all->code, "%s: tensor %s overlaps with %s", path, order[i]->name, order[i - 1]->name);
        else if (order[i]->offset > end)
            status = ls_fail(all->code, "%s: tensor %s: %" PRId64 " bytes before it belong to no tensor", path,
                             order[i]->name, order[i]->offset - end);
        end = order[i]->offset + order[i]->bytes;
    }
    if (status == LS_OK && end != data_bytes)
        status = ls_fail(all->code, "%s: %" PRId64 " bytes at its end belong to no tensor", path, data_bytes - end);
    ls_free(order);
    return status;
}

static LsStatus grow_list(LsSafetensors *all, int more)
{
    LsSafeTensor *list = ls_alloc_array(all->count + more, sizeof *list);
    if (!list)
        return LS_RESOURCE;
    if (all->count)
        memcpy(list, all->list, sizeof *list * (size_t)all->count);
    ls_free(all->list);
    all->list = list;
    return LS_OK;
}

static LsStatus parse_header(LsSafetensors *all, const char *path, const char *text, int64_t length, int64_t data_bytes)
{
    json_t *header = NULL;
    LsStatus status = LS_OK;
    LS_TRY(ls_json_parse(path, all->code, text, length, &header));
    int first = all->count;
    LS_TRY_CLEANUP(grow_list(all, (int)json_object_size(header)));
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        const LsSafeTensor *other = ls_safetensors_find(all, name);
        if (other) {
            status = ls_fail(all->code, "%s: tensor %s is also in %s", path, name, all->files[other->file].path);
            break;
        }
        LsSafeTensor *t = &all->list[all->count];
        *t = (LsSafeTensor){.file = all->file_count - 1};
        LS_TRY_CLEANUP(parse_tensor(all, path, name, entry, data_bytes, t));
        all->count++;
        LS_TRY_CLEANUP(ls_names_add(&all->names, t->name, all->count - 1));
    }
    if (status == LS_OK)
        status = check_layout(all, path, all->list + first, all->count - first, data_bytes);
    for (int i = first; i < all->count; i++)
        all->list[i].offset += 8 + length;
cleanup:
    json_decref(header);
    return status;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static LsStatus open_file(LsSafetensors *all, const char *path)
{
    LsSafeFile *file = &all->files[all->file_count];
    *file = (LsSafeFile){.path = ls_strdup(path), .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    int error = errno;
    all->file_count++;
    if (!file->path)
        return LS_RESOURCE;
    if (file->fd < 0)
        return ls_fail(all->code, "%s: %s", path, strerror(error));
    unsigned char start[8];
    char first[sizeof LS_LFS_START] = "";
    struct stat st;
    if (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return ls_fail(all->code, "%s: this is not a file", path);
    if (st.st_size > 100 && st.st_size < 1024 && ls_sys_read_all(file->fd, first, sizeof first, 0) == 0 &&
        ls_is_lfs_pointer(first, sizeof first))
        return ls_fail(all->code, "%s: " LS_LFS_CURE, path);
    if (st.st_size < 10)
        return ls_fail(all->code, "%s: not a safetensors file: it has %" PRId64 " bytes", path, (int64_t)st.st_size);
    if (ls_sys_read_all(file->fd, start, 8, 0) != 0)
        return ls_fail_errno(all->code, errno, path, "read");
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | start[i];
    if (length < 2 || length > LONGEST_HEADER || length > (uint64_t)st.st_size - 8)
        return ls_fail(all->code,
                       "%s: not a safetensors file, or truncated: its header is said to have %" PRIu64
                       " bytes, the file has %" PRId64,
                       path, length, (int64_t)st.st_size);
    char *text = ls_alloc((size_t)length + 1);
    if (!text)
        return LS_RESOURCE;
    LsStatus status = LS_OK;
    if (ls_sys_read_all(file->fd, text, (int64_t)length, 8) != 0)
        status = ls_fail_errno(all->code, errno, path, "read");
    if (status == LS_OK)
        status = parse_header(all, path, text, (int64_t)length, st.st_size - 8 - (int64_t)length);
    ls_free(text);
    return status;
}

/* Opens every file that the weight_map names, then compares: each tensor must be in the file it names, and no other. */
static LsStatus open_index(LsSafetensors *all, const char *path)
{
    json_t *index = NULL;
    LS_TRY(ls_json_load(path, all->code, &index));
    const json_t *map = json_object_get(index, "weight_map");
    const char *name, *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    json_t *value;
    LsStatus status = LS_OK;
    if (!json_is_object(map))
        LS_TRY_CLEANUP(ls_fail(all->code, "%s: has no weight_map", path));
    all->files = ls_alloc_array((int64_t)json_object_size(map) + 1, sizeof *all->files);
    if (!all->files)
        LS_TRY_CLEANUP(LS_RESOURCE);
    json_object_foreach((json_t *)map, name, value)
    {
        const char *shard = json_string_value(value);
        if (!shard || strchr(shard, '/') || !shard[0])
            LS_TRY_CLEANUP(ls_fail(all->code, "%s: tensor %s: '%s' is not the name of a file beside it", path, name,
                                   shard ? shard : ""));
        char *full = ls_format("%.*s%s", folder, path, shard);
        bool known = false;
        for (int i = 0; full && i < all->file_count; i++)
            known = known || strcmp(all->files[i].path, full) == 0;
        status = !full ? LS_RESOURCE : known ? LS_OK : open_file(all, full);
        ls_free(full);
        if (status != LS_OK)
            goto cleanup;
    }
    json_object_foreach((json_t *)map, name, value)
    {
        const LsSafeTensor *t = ls_safetensors_find(all, name);
        const char *at = t ? all->files[t->file].path + folder : "";
        if (!t || strcmp(at, json_string_value(value)) != 0)
            LS_TRY_CLEANUP(ls_fail(all->code, "%s: tensor %s is not in %s", path, name, json_string_value(value)));
    }
cleanup:
    json_decref(index);
    return status;
}

LsStatus ls_safetensors_open(const char *path, LsStatus code, LsSafetensors **tensors)
{
    *tensors = NULL;
    LsSafetensors *all = ls_alloc(sizeof *all);
    if (!all)
        return LS_RESOURCE;
    all->code = code;
    size_t length = strlen(path);
    LsStatus status = LS_OK;
    if (length > 5 && strcmp(path + length - 5, ".json") == 0) {
        status = open_index(all, path);
    } else {
        all->files = ls_alloc(sizeof *all->files);
        status = all->files ? open_file(all, path) : LS_RESOURCE;
    }
    if (status != LS_OK)
        ls_safetensors_close(all);
    else
        *tensors = all;
    return status;
}

void ls_safetensors_close(LsSafetensors *tensors)
{
    if (!tensors)
        return;
    ls_names_free(tensors->names);
    for (int i = 0; i < tensors->count; i++)
        ls_free(tensors->list[i].name);
    for (int i = 0; i < tensors->file_count; i++) {
        if (tensors->files[i].fd >= 0)
            close(tensors->files[i].fd);
        ls_free(tensors->files[i].path);
    }
    ls_free(tensors->list);
    ls_free(tensors->files);
    ls_free(tensors);
}

const LsSafeTensor *ls_safetensors_find(const LsSafetensors *tensors, const char *name)
{
    int i = ls_names_find(tensors->names, name);
    return i >= 0 ? &tensors->list[i] : NULL;
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

/* IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 of mantissa. */
static float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31u, mantissa = half & 1023u, bits;
    float value;
    if (exponent == 0) { /* subnormal: mantissa times 2^-24, exact in float */
        value = (float)mantissa * 0x1p-24f;
        return sign ? -value : value;
    }
    bits = sign | (exponent == 31 ? 255u << 23 : (exponent + 112) << 23) | mantissa << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float from_bfloat16(uint16_t upper)
{
    uint32_t bits = (uint32_t)upper << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void convert_small(const char *from, int64_t count, float (*convert)(uint16_t), float *to)
{
    for (int64_t i = 0; i < count; i++) {
        uint16_t x;
        memcpy(&x, from + 2 * i, sizeof x);
        to[i] = convert(x);
    }
}

static void convert_doubles(const char *from, int64_t count, float *to)
{
    for (int64_t i = 0; i < count; i++) {
        double x;
        memcpy(&x, from + 8 * i, sizeof x);
        to[i] = (float)x;
    }
}

LsStatus ls_safetensors_read(const LsSafetensors *tensors, const LsSafeTensor *t, float *to)
{
    const LsSafeFile *file = &tensors->files[t->file];
    bool direct = strcmp(t->dtype, "F32") == 0;
    int64_t size = direct ? 4 : strcmp(t->dtype, "F64") == 0 ? 8 : 2, chunk = 1 << 18;
    if (!direct && strcmp(t->dtype, "F16") != 0 && strcmp(t->dtype, "BF16") != 0 && strcmp(t->dtype, "F64") != 0)
        return ls_fail(tensors->code, "%s: tensor %s has elements of type %s; F32, F16, BF16 and F64 are read",
                       file->path, t->name, t->dtype);
    char *buffer = direct ? NULL : ls_alloc((size_t)(chunk * size));
    if (!direct && !buffer)
        return LS_RESOURCE;
    LsStatus status = LS_OK;
    for (int64_t at = 0; at < t->count && status == LS_OK; at += chunk) {
        int64_t count = t->count - at < chunk ? t->count - at : chunk;
        char *into = direct ? (char *)(to + at) : buffer;
        if (ls_sys_read_all(file->fd, into, count * size, t->offset + at * size) != 0)
            status = ls_fail(tensors->code, "%s: tensor %s: could not read: %s", file->path, t->name,
                             errno ? strerror(errno) : "the file ends");
        else if (size == 8)
            convert_doubles(buffer, count, to + at);
        else if (size == 2)
            convert_small(buffer, count, t->dtype[0] == 'B' ? from_bfloat16 : from_half, to + at);
    }
    ls_free(buffer);
    return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

/* The header with its length in front, padded by blanks so that elements start at a multiple of 8. */
static LsStatus make_header(int count, const LsSafeOut *list, char **bytes, int64_t *length)
{
    json_t *header = json_object();
    int64_t offset = 0;
    int failed = json_object_set_new(header, "__metadata__", json_pack("{s:s, s:s}", "format", "pt", "writer", WRITER));
    for (int i = 0; i < count; i++) {
        json_t *shape = json_array();
        int64_t size = 4;
        for (int d = 0; d < list[i].rank; d++) {
            size *= list[i].dim[d];
            failed |= json_array_append_new(shape, json_integer(list[i].dim[d]));
        }
        failed |= json_object_set_new(header, list[i].name,
                                      json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets",
                                                (json_int_t)offset, (json_int_t)(offset + size)));
        offset += size;
    }
    char *text = failed ? NULL : json_dumps(header, JSON_COMPACT);
    json_decref(header);
    if (!text)
        return ls_fail(LS_RESOURCE, "out of memory for a safetensors header");
    int64_t used = (int64_t)strlen(text), padded = (used + 7) / 8 * 8;
    *length = 8 + padded;
    *bytes = ls_alloc((size_t)*length);
    if (*bytes) {
        memset(*bytes + 8, ' ', (size_t)padded);
        memcpy(*bytes + 8, text, (size_t)used);
        for (int i = 0; i < 8; i++)
            (*bytes)[i] = (char)((uint64_t)padded >> (8 * i) & 255u);
    }
    free(text);
    return *bytes ? LS_OK : LS_RESOURCE;
}

bool ls_safetensors_is_ours(const char *path)
{
    static const char begin[] = "{\"__metadata__\":{\"format\":\"pt\",\"writer\":\"" WRITER "\"}";
    char text[8 + sizeof begin - 1];
    FILE *file = fopen(path, "rbe");
    bool whole = file && fread(text, 1, sizeof text, file) == sizeof text;
    if (file)
        fclose(file);
    return whole && memcmp(text + 8, begin, sizeof begin - 1) == 0;
}

typedef struct Writing {
    int count;
    const LsSafeOut *list;
    const float *(*get)(void *self, int i);
    void *self;
} Writing;

static LsStatus write_file(void *self, int fd, const char *path)
{
    const Writing *w = self;
    char *header = NULL;
    int64_t at = 0;
    LS_TRY(make_header(w->count, w->list, &header, &at));
    int failed = ls_sys_write_all(fd, header, at, 0);
    ls_free(header);
    for (int i = 0; i < w->count && !failed; i++) {
        int64_t bytes = 4;
        for (int d = 0; d < w->list[i].rank; d++)
            bytes *= w->list[i].dim[d];
        const float *data = w->get(w->self, i);
        if (!data)
            return ls_message_status();
        failed = ls_sys_write_all(fd, data, bytes, at);
        at += bytes;
    }
    return failed ? ls_fail_errno(LS_ERROR, errno, path, "write") : LS_OK;
}

LsStatus ls_safetensors_write(const char *path, int count, const LsSafeOut *list,
                              const float *(*get)(void *self, int i), void *self)
{
    return ls_file_replace_by(path, write_file, &(Writing){count, list, get, self});
}
