/* Pictures in idx files (MNIST's form: a file of pictures and a file of labels), and CIFAR-10's binary form.
 *
 *     idx: 0, 0, 8 (unsigned bytes), number of dimensions; each dimension as 32 bits, largest byte first; the bytes
 *     CIFAR-10: label, 32 x 32 bytes of red, of green, of blue; and the next
 */
#include "data/images.h"

#include <string.h>

void ls_pictures_free(LsPictures *pictures)
{
    if (!pictures)
        return;
    ls_free(pictures->name);
    pictures->free(pictures);
}

/* ---- idx --------------------------------------------------------------------------------------------------------- */

typedef struct Idx {
    LsPictures base;
    LsGzip *pixels, *labels;
    const char *labels_name; /* the caller's */
} Idx;

#define IDX_DIMS 4

/* The header: magic and dimensions. */
static LsStatus read_header(LsGzip *file, const char *name, int *rank, int64_t dim[IDX_DIMS])
{
    unsigned char byte[4];
    LS_TRY(ls_gzip_read(file, byte, 4, "the first four bytes"));
    *rank = byte[3];
    if (byte[0] || byte[1] || byte[2] != 8 || *rank < 1 || *rank > IDX_DIMS)
        return ls_fail(LS_DATA,
                       "%s: is no idx file of bytes: it starts with %02x %02x %02x %02x, where 00 00 08 and the number "
                       "of dimensions (1 for labels, 3 or 4 for pictures) are expected",
                       name, byte[0], byte[1], byte[2], byte[3]);
    for (int i = 0; i < *rank; i++) {
        LS_TRY(ls_gzip_read(file, byte, 4, "the dimensions"));
        dim[i] = (int64_t)byte[0] << 24 | byte[1] << 16 | byte[2] << 8 | byte[3];
        if (dim[i] == 0)
            return ls_fail(LS_DATA, "%s: dimension %d is 0: it holds nothing", name, i + 1);
    }
    return LS_OK;
}

static LsStatus read_idx(LsPictures *pictures, unsigned char *pixels, int64_t *label)
{
    Idx *idx = (Idx *)pictures;
    unsigned char byte;
    int64_t bytes = pictures->height * pictures->width * pictures->channels;
    LS_TRY(ls_gzip_read(idx->pixels, pixels, bytes, "the pictures"));
    LS_TRY(ls_gzip_read(idx->labels, &byte, 1, "the labels"));
    *label = byte;
    return LS_OK;
}

static LsStatus end_idx(LsPictures *pictures)
{
    Idx *idx = (Idx *)pictures;
    LS_TRY(ls_gzip_end(idx->pixels));
    return ls_gzip_end(idx->labels);
}

static void free_idx(LsPictures *pictures)
{
    Idx *idx = (Idx *)pictures;
    ls_gzip_close(idx->pixels);
    ls_gzip_close(idx->labels);
    ls_free(idx);
}

static LsStatus open_headers(Idx *idx, char *const *name)
{
    LsPictures *p = &idx->base;
    int rank = 0;
    int64_t dim[IDX_DIMS] = {0}, labels[IDX_DIMS] = {0};
    p->name = ls_strdup(name[0]);
    idx->pixels = p->name ? ls_gzip_open(name[0]) : NULL;
    if (!idx->pixels)
        return ls_message_status();
    LS_TRY(read_header(idx->pixels, name[0], &rank, dim));
    if (rank < 3)
        return ls_fail(LS_DATA,
                       "%s: has %d dimension%s, as labels have; the file of pictures stands before it of labels",
                       name[0], rank, rank == 1 ? "" : "s");
    p->count = dim[0];
    p->height = dim[1];
    p->width = dim[2];
    p->channels = rank == 4 ? dim[3] : 1;
    idx->labels = ls_gzip_open(name[1]);
    if (!idx->labels)
        return ls_message_status();
    LS_TRY(read_header(idx->labels, name[1], &rank, labels));
    if (rank != 1)
        return ls_fail(LS_DATA, "%s: has %d dimensions, labels have 1", name[1], rank);
    if (labels[0] != dim[0])
        return ls_fail(LS_DATA, "%s: has %lld pictures, but %s has %lld labels", name[0], (long long)dim[0], name[1],
                       (long long)labels[0]);
    return LS_OK;
}

static LsStatus open_idx(int names, char *const *name, LsClasses *classes, int *used, LsPictures **pictures)
{
    (void)classes;
    if (names < 2)
        return ls_fail(LS_USAGE, "%s: idx files come in pairs: pictures, then their labels", name[0]);
    Idx *idx = ls_alloc(sizeof *idx);
    if (!idx)
        return LS_RESOURCE;
    idx->base.read = read_idx;
    idx->base.end = end_idx;
    idx->base.free = free_idx;
    LsStatus status = open_headers(idx, name);
    if (status != LS_OK) {
        ls_pictures_free(&idx->base);
        return status;
    }
    *used = 2;
    *pictures = &idx->base;
    return LS_OK;
}

/* "train-images-idx3-ubyte.gz" and the like: the usual names say it. */
static bool matches_idx(const char *name)
{
    const char *file = strrchr(name, '/');
    return strstr(file ? file : name, "idx") != NULL || strstr(file ? file : name, "ubyte") != NULL;
}

const LsPictureFormat ls_format_idx = {
    .name = "idx",
    .summary = "idx files, pictures and then their labels",
    .matches = matches_idx,
    .open = open_idx,
};

/* ---- CIFAR-10 ---------------------------------------------------------------------------------------------------- */

#define CIFAR_SIDE 32
#define CIFAR_PLANE (CIFAR_SIDE * CIFAR_SIDE)
#define CIFAR_BYTES (1 + 3 * CIFAR_PLANE)

typedef struct Cifar {
    LsPictures base;
    LsGzip *file;
} Cifar;

static LsStatus read_cifar(LsPictures *pictures, unsigned char *pixels, int64_t *label)
{
    unsigned char record[CIFAR_BYTES];
    LS_TRY(ls_gzip_read(((Cifar *)pictures)->file, record, CIFAR_BYTES, "the pictures"));
    *label = record[0];
    for (int at = 0; at < CIFAR_PLANE; at++)
        for (int channel = 0; channel < 3; channel++)
            pixels[3 * at + channel] = record[1 + channel * CIFAR_PLANE + at];
    return LS_OK;
}

static LsStatus end_cifar(LsPictures *pictures) { return ls_gzip_end(((Cifar *)pictures)->file); }

static void free_cifar(LsPictures *pictures)
{
    ls_gzip_close(((Cifar *)pictures)->file);
    ls_free(pictures);
}

static LsStatus open_cifar(int names, char *const *name, LsClasses *classes, int *used, LsPictures **pictures)
{
    (void)names, (void)classes;
    int64_t bytes = 0;
    Cifar *cifar = ls_alloc(sizeof *cifar);
    if (!cifar)
        return LS_RESOURCE;
    cifar->base = (LsPictures){.name = ls_strdup(name[0]),
                               .height = CIFAR_SIDE,
                               .width = CIFAR_SIDE,
                               .channels = 3,
                               .read = read_cifar,
                               .end = end_cifar,
                               .free = free_cifar};
    cifar->file = cifar->base.name ? ls_gzip_open(name[0]) : NULL;
    LsStatus status = cifar->file ? ls_gzip_count(cifar->file, &bytes) : ls_message_status();
    cifar->base.count = bytes / CIFAR_BYTES;
    if (status == LS_OK && (bytes == 0 || bytes % CIFAR_BYTES != 0))
        status =
            ls_fail(LS_DATA,
                    "%s: has %lld bytes, which is no whole number of CIFAR-10's records of %d: it is cut short, or "
                    "of another format",
                    name[0], (long long)bytes, CIFAR_BYTES);
    if (status != LS_OK) {
        ls_pictures_free(&cifar->base);
        return status;
    }
    *used = 1;
    *pictures = &cifar->base;
    return LS_OK;
}

static bool matches_cifar(const char *name)
{
    size_t length = strlen(name);
    return (length > 4 && strcmp(name + length - 4, ".bin") == 0) ||
           (length > 7 && strcmp(name + length - 7, ".bin.gz") == 0);
}

const LsPictureFormat ls_format_cifar10 = {
    .name = "cifar10",
    .summary = "batches of CIFAR-10's binary version",
    .classes = "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck",
    .matches = matches_cifar,
    .open = open_cifar,
};
