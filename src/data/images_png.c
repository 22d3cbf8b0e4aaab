/* Pictures in folders of PNG files, a folder a class. Pixels are taken as they are stored: no gamma is applied, 16 bits
 * are cut to 8, palettes are looked up, transparency is left out. */
#include "data/images.h"

#include "io/file.h"
#include "io/folder.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

typedef struct Entry {
    char *path;
    int label;
} Entry;

typedef struct Folder {
    LsPictures base;
    Entry *entry; /* entry: (count), in order of class and name */
    int64_t room, next;
} Folder;

/* ---- One file ---------------------------------------------------------------------------------------------------- */

typedef struct Decoder {
    jmp_buf failed;
    char message[256];
} Decoder;

static void on_error(png_structp png, png_const_charp message)
{
    Decoder *decoder = png_get_error_ptr(png);
    snprintf(decoder->message, sizeof decoder->message, "%s", message);
    longjmp(decoder->failed, 1);
}

static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }

/* Reads the header of an open file and asks for 8 bits, 1 or 3 channels; dim: height, width, channels. */
static void read_info(png_structp png, png_infop info, FILE *file, int64_t dim[3])
{
    png_init_io(png, file);
    png_read_info(png, info);
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    (void)png_set_interlace_handling(png);
    png_read_update_info(png, info);
    dim[0] = png_get_image_height(png, info);
    dim[1] = png_get_image_width(png, info);
    dim[2] = png_get_channels(png, info);
}

/* Either the shape only (pixels NULL), or the pixels of a picture that has the shape `dim`. libpng reports by a jump:
 * what is changed after setjmp is volatile or not read after it. */
static LsStatus decode(const char *path, FILE *file, int64_t dim[3], unsigned char *pixels)
{
    Decoder decoder = {.message = ""};
    int64_t found[3] = {0};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return ls_fail(LS_RESOURCE, "%s: out of memory for reading it", path);
    }
    if (setjmp(decoder.failed)) {
        png_destroy_read_struct(&png, &info, NULL);
        return ls_fail(LS_DATA, "%s: is no whole PNG picture: %s", path, decoder.message);
    }
    read_info(png, info, file, found);
    bool same = !pixels || memcmp(found, dim, sizeof found) == 0;
    if (pixels && same) {
        int passes = png_get_interlace_type(png, info) == PNG_INTERLACE_NONE ? 1 : PNG_INTERLACE_ADAM7_PASSES;
        for (int pass = 0; pass < passes; pass++)
            for (int64_t row = 0; row < found[0]; row++)
                png_read_row(png, pixels + row * found[1] * found[2], NULL);
        png_read_end(png, NULL);
    }
    png_destroy_read_struct(&png, &info, NULL);
    if (!same)
        return ls_fail(LS_DATA,
                       "%s: is a picture of %lld x %lld with %lld channel%s, but those before are of %lld x %lld with "
                       "%lld; bring all to one size first",
                       path, (long long)found[1], (long long)found[0], (long long)found[2], found[2] == 1 ? "" : "s",
                       (long long)dim[1], (long long)dim[0], (long long)dim[2]);
    memcpy(dim, found, sizeof found);
    return LS_OK;
}

static LsStatus read_png(const char *path, int64_t dim[3], unsigned char *pixels)
{
    FILE *file = ls_stream_regular(path, LS_DATA);
    if (!file)
        return ls_message_status();
    LsStatus status = decode(path, file, dim, pixels);
    fclose(file);
    return status;
}

/* ---- Folders ----------------------------------------------------------------------------------------------------- */

/* The pictures of a class are being looked for. */
typedef struct ClassVisit {
    Folder *folder;
    LsClasses *classes;
    int label;
} ClassVisit;

static LsStatus add_entry(Folder *folder, const char *path, int label)
{
    if (folder->base.count == folder->room) {
        int64_t room = folder->room ? 2 * folder->room : 1024;
        Entry *grown = ls_alloc_array(room, sizeof *grown);
        if (!grown)
            return LS_RESOURCE;
        if (folder->room)
            memcpy(grown, folder->entry, (size_t)folder->room * sizeof *grown);
        ls_free(folder->entry);
        folder->entry = grown;
        folder->room = room;
    }
    char *copy = ls_strdup(path);
    if (!copy)
        return LS_RESOURCE;
    folder->entry[folder->base.count++] = (Entry){copy, label};
    return LS_OK;
}

static bool ends_in_png(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcasecmp(name + length - 4, ".png") == 0;
}

static LsStatus visit_picture(void *self, const char *path, const char *name)
{
    ClassVisit *visit = self;
    if (ends_in_png(name))
        return add_entry(visit->folder, path, visit->label);
    visit->folder->base.skipped++;
    return LS_OK;
}

static LsStatus visit_class(void *self, const char *path, const char *name)
{
    ClassVisit *visit = self;
    LsClasses *classes = visit->classes;
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        visit->folder->base.skipped++;
        return LS_OK;
    }
    LsSpan class_name = {name, (int64_t)strlen(name)};
    int64_t before = visit->folder->base.count;
    if (classes->fixed && ls_classes_find(classes, class_name) < 0)
        return ls_fail(LS_DATA, "%s: the folder's name is none of the %d classes", path, classes->count);
    visit->label = ls_classes_add(classes, class_name);
    if (visit->label < 0)
        return ls_message_status();
    LS_TRY(ls_folder_each(path, visit_picture, visit));
    return visit->folder->base.count > before ? LS_OK : ls_fail(LS_DATA, "%s: has no PNG pictures (*.png)", path);
}

static LsStatus read_next(LsPictures *pictures, unsigned char *pixels, int64_t *label)
{
    Folder *folder = (Folder *)pictures;
    const Entry *entry = &folder->entry[folder->next++];
    int64_t dim[3] = {pictures->height, pictures->width, pictures->channels};
    *label = entry->label;
    return read_png(entry->path, dim, pixels);
}

static LsStatus end_folder(LsPictures *pictures)
{
    (void)pictures;
    return LS_OK;
}

static void free_folder(LsPictures *pictures)
{
    Folder *folder = (Folder *)pictures;
    for (int64_t i = 0; i < pictures->count; i++)
        ls_free(folder->entry[i].path);
    ls_free(folder->entry);
    ls_free(folder);
}

static LsStatus open_folder(int names, char *const *name, LsClasses *classes, int *used, LsPictures **pictures)
{
    (void)names;
    int64_t dim[3] = {0};
    Folder *folder = ls_alloc(sizeof *folder);
    if (!folder)
        return LS_RESOURCE;
    folder->base = (LsPictures){.name = ls_strdup(name[0]), .read = read_next, .end = end_folder, .free = free_folder};
    LsStatus status =
        folder->base.name ? ls_folder_each(name[0], visit_class, &(ClassVisit){folder, classes, 0}) : LS_RESOURCE;
    if (status == LS_OK && folder->base.count == 0)
        status = ls_fail(LS_DATA, "%s: has no folders of PNG pictures, one a class", name[0]);
    if (status == LS_OK)
        status = read_png(folder->entry[0].path, dim, NULL);
    if (status != LS_OK) {
        ls_pictures_free(&folder->base);
        return status;
    }
    folder->base.height = dim[0];
    folder->base.width = dim[1];
    folder->base.channels = dim[2];
    *used = 1;
    *pictures = &folder->base;
    return LS_OK;
}

static bool matches_folder(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 && S_ISDIR(st.st_mode);
}

const LsPictureFormat ls_format_png = {
    .name = "png",
    .summary = "a folder with a folder of PNG files for each class",
    .matches = matches_folder,
    .open = open_folder,
};
