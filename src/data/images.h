/* Pictures with classes as a data set of kind "images".
 *
 *     /SPLIT/pixels   (N, H, W, C) unsigned 8 bits        SPLIT: train, validation, test
 *     /SPLIT/labels   (N), indices into the class names
 *     /info           {"kind": "images", "height", "width", "channels", "classes": [names], "mean": [C], "deviation": [C]}
 *
 * Mean and standard deviation are of all pixels of the training part, by channel, in units of the pixels (0 to 255).
 */
#ifndef LS_DATA_IMAGES_H
#define LS_DATA_IMAGES_H

#include "lockstep/data.h"
#include "data/samples.h"

#define LS_IMAGES_VERSION 1

typedef struct LsImagesSettings {
    char *format;
    LsHeldOutSettings held_out;
    char *classes;
} LsImagesSettings;

LsStatus ls_images_prepare(const LsImagesSettings *settings, int sources, char *const *source,
                           const char *output) LS_MUST_USE;

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

/* Of the section `data:`. */
typedef struct LsImagesUse {
    char *as;      /* picture, rows, pixels */
    char *scaling; /* standard, symmetric */
    int64_t crop;  /* pixels */
    bool mirror;
} LsImagesUse;

extern const LsSetting ls_images_use_settings[];

/* Fields "pixels" (H, W, C), or "values" of T steps, and "label". As LsDataKind.open; without settings whole
 * pictures as they are. */
LsStatus ls_images_open(const LsDataOpen *open, LsSource **opened) LS_MUST_USE;

/* ---- One source being read --------------------------------------------------------------------------------------- */

/* A file or folder with pictures of one size, read in order. A format fills one in. */
typedef struct LsPictures LsPictures;
struct LsPictures {
    char *name; /* for messages */
    int64_t count, height, width, channels;
    int64_t skipped; /* files that are no pictures */
    /* Picture after picture: pixels (H, W, C), and the label. LS_DATA with the file where it is cut or wrong. */
    LsStatus (*read)(LsPictures *pictures, unsigned char *pixels, int64_t *label);
    LsStatus (*end)(LsPictures *pictures); /* after the last: LS_DATA where more follows */
    void (*free)(LsPictures *pictures);
};

void ls_pictures_free(LsPictures *pictures); /* NULL is allowed */

/* A format of pictures. It takes `*used` of the names, from the first. */
typedef struct LsPictureFormat {
    const char *name, *summary;
    const char *classes; /* names where the format fixes them; NULL: from the labels */
    /* Whether the name looks like one of this format. */
    bool (*matches)(const char *name);
    /* classes: names of folders are looked up or added. */
    LsStatus (*open)(int names, char *const *name, LsClasses *classes, int *used, LsPictures **pictures);
} LsPictureFormat;

extern const LsPictureFormat ls_format_idx, ls_format_cifar10, ls_format_png;

/* ---- A file, compressed by gzip or not (images_gzip.c) ----------------------------------------------------------- */

typedef struct LsGzip LsGzip;
LsGzip *ls_gzip_open(const char *path); /* NULL with a message */
/* Reads `bytes`; LS_DATA where the file ends before, with `what` was to be read. */
LsStatus ls_gzip_read(LsGzip *file, void *to, int64_t bytes, const char *what) LS_MUST_USE;
/* LS_DATA where something follows, or the checksum of the compressed stream is wrong. */
LsStatus ls_gzip_end(LsGzip *file) LS_MUST_USE;
/* Bytes from here to the end, which is then read again from the start. */
LsStatus ls_gzip_count(LsGzip *file, int64_t *bytes) LS_MUST_USE;
void ls_gzip_close(LsGzip *file);

#endif
